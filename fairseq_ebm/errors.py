"""The errors that a user can mend."""

import re
from collections.abc import Mapping
from typing import Any, Dict

NAMED = re.compile(r"\{(\w+)\}")


class UserError(Exception):
    """One line that names the flag or file, what is wrong with it, and what to do.

    Programs print it to standard error and end with exit code 2; no traceback helps here.
    """


class OptionError(UserError):
    """About options of a function, which the message names in braces: "{num_samples}: too few".

    In Python that is read as the parameter's name; programs say the flag instead.
    """

    def __init__(self, message: str) -> None:
        super().__init__(NAMED.sub(r"\1", message))
        self._message = message

    def in_flags(self, flags: Mapping[str, str]) -> UserError:
        """``flags``: those with another name than the parameter, {"top_k": "--sampling-topk"}."""

        def flag(found: "re.Match[str]") -> str:
            return flags.get(found[1]) or f"--{found[1].replace('_', '-')}"

        return UserError(NAMED.sub(flag, self._message))


class Interrupted(KeyboardInterrupt):
    """By Ctrl-C, with the ``record`` of what is done."""

    def __init__(self, message: str, record: Dict[str, Any]) -> None:
        super().__init__(message)
        self.record = record
