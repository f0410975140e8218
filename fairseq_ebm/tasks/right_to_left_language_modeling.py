"""Language modelling from right to left, for generators of what stands before a context."""

from typing import Any

from fairseq.tasks import register_task
from fairseq.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask

from ..data.right_to_left import RightToLeftBlocks


@register_task("right_to_left_language_modeling", dataclass=LanguageModelingConfig)
class RightToLeftLanguageModelingTask(LanguageModelingTask):
    """fairseq's ``language_modeling`` on reversed text: every model and flag of it applies."""

    def load_dataset(self, split: str, *args: Any, **kwargs: Any) -> None:
        super().load_dataset(split, *args, **kwargs)
        monolingual, whole = self.datasets[split], self.args.sample_break_mode == "eos"
        monolingual.dataset = RightToLeftBlocks(monolingual.dataset, self.dictionary, whole)
