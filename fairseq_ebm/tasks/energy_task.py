"""What training an energy and generating with it have in common."""

from pathlib import Path
from typing import Any, Dict

from fairseq.tasks import FairseqTask

from ..data.tokenizers import DICTIONARY_NAME, load_dictionary
from ..models.checkpoint import SYMBOLS, require_symbols


class EnergyTask(FairseqTask):
    """``data`` has the dictionary, which energies from checkpoints must have been trained with."""

    def __init__(self, cfg: Any, data: Path) -> None:
        super().__init__(cfg)
        self.data = data
        self.dictionary = load_dictionary(data / DICTIONARY_NAME)

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """Of a checkpoint that fairseq loads a model from."""
        if SYMBOLS in state_dict:
            require_symbols(state_dict, self.dictionary, "--path", self.data)
        super().load_state_dict(state_dict)

    source_dictionary = target_dictionary = property(lambda self: self.dictionary)
