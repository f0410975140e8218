"""The task hands out reversed blocks of the very text that language_modeling does."""

import pytest
from fairseq.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask

from fairseq_ebm.tasks.right_to_left_language_modeling import RightToLeftLanguageModelingTask


def first_items(task_class, data, break_mode):
    config = LanguageModelingConfig(
        data=str(data), tokens_per_sample=20, sample_break_mode=break_mode
    )
    config.dataset_impl, config.use_plasma_view = "mmap", False  # other groups' settings
    task = task_class.setup_task(config)
    task.load_dataset("valid")
    return [task.dataset("valid")[i] for i in range(5)]


@pytest.mark.parametrize("break_mode", ["none", "eos"])
def test_targets_are_reversed_and_sources_shifted(sums, break_mode):
    forward = first_items(LanguageModelingTask, sums, break_mode)
    backward = first_items(RightToLeftLanguageModelingTask, sums, break_mode)
    for left, right in zip(forward, backward):
        expected = left["target"].flip(0)
        if break_mode == "eos":
            expected = expected.roll(-1)
        assert right["target"].tolist() == expected.tolist() != left["target"].tolist()
        assert right["source"].tolist() == [2, *expected[:-1].tolist()]
