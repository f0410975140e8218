"""Generic text of two sources, specific text, and a language model before and after the latter."""

import pytest

from tests.conftest import CHECKOUT
from tests.selection.mixture import CUT, language_model, prepare_mixture


@pytest.fixture(scope="session")
def mixture(run_program, tmp_path_factory):
    return prepare_mixture(run_program, tmp_path_factory.mktemp("mixture"))


@pytest.fixture(scope="session")
def language_models(run_program, mixture, tmp_path_factory):
    """(before, after)"""
    folder = tmp_path_factory.mktemp("lms")

    def train(data, name, *flags, **changed):
        flags = [*language_model(**changed), *CUT, "--task", "language_modeling", *flags]
        flags += ["--save-dir", folder / name, "--cpu", "--disable-validation"]
        done = run_program("fairseq-train", data, *flags)
        assert done.returncode == 0, done.stderr
        return folder / name / "checkpoint_last.pt"

    before = train(mixture[0], "before", max_update=30)
    return before, train(mixture[1], "after", "--finetune-from-model", before, lr=0.005)


@pytest.fixture(scope="session")
def selected(run_program, mixture, tmp_path_factory):
    """A language model trained by the classifier, and its log."""
    folder = tmp_path_factory.mktemp("selected") / "classifier"
    generic, specific = mixture
    flags = [*language_model(max_update=30), *CUT, "--batch-size", 32, "--selected-size", 8]
    flags += ["--task", "data_selection_lm", "--selection", "classifier", "--specific", specific]
    flags += ["--user-dir", CHECKOUT / "fairseq_ebm", "--save-dir", folder, "--cpu"]
    flags += ["--meta-lr", 0.02, "--valid-subset", "specific_valid", "--log-interval", 5]
    flags += ["--validate-interval-updates", 10]
    done = run_program("fairseq-train", generic, *flags)
    assert done.returncode == 0, done.stderr
    return folder
