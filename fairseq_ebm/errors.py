"""The error that a user can mend."""


class UserError(Exception):
    """One line that names the flag or file, what is wrong with it, and what to do.

    Programs print it to standard error and end with exit code 2; no traceback helps here.
    """
