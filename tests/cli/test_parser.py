"""A command line says what the options of its verb say, and Python the same."""

import dataclasses

import pytest

from fairseq_ebm.cli.parser import build_parser, in_order, parse
from fairseq_ebm.options import MACHINE, OUTPUT
from fairseq_ebm.verbs import VERBS, options_of


@pytest.mark.parametrize("name", VERBS)
def test_every_field_has_a_flag_that_is_explained(name):
    options = options_of(name)
    text = " ".join(build_parser("prog", options).format_help().split())
    for each in dataclasses.fields(options):
        words = str(each.metadata["help"])
        assert len(words) > 4 and " ".join(words.split()[:3]) in text
        if not each.metadata["argument"]:
            assert f"--{each.name.replace('_', '-')}" in text


def test_own_flags_first_the_machine_last():
    groups = [group for group, _ in in_order(options_of("eval-lm"))]
    assert groups == sorted(groups, key=lambda group: {OUTPUT: 1, MACHINE: 2}.get(group, 0))


def test_a_command_line_is_options():
    eval_lm = options_of("eval-lm")
    words = "data --path a:b --sample-curve 10,100 --baseline x.json y.json --cpu --prefix-length 3"
    parsed = parse("prog", eval_lm, words.split())
    assert parsed == eval_lm(
        data="data", path="a:b", sample_curve=(10, 100), baseline=["x.json", "y.json"], cpu=True,
        prefix_length=3,
    )  # fmt: skip


def test_what_options_refuse_ends_the_program(capsys):
    with pytest.raises(SystemExit) as end:
        parse("prog", options_of("eval-lm"), ["data", "--path", "a", "--draw"])
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "prog: error: --results-path: needed with shards, --resume and --draw (see prog --help)\n"
    )
