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


def test_a_repeated_flag_takes_one_value_each():
    """So that what comes after it is an argument."""
    export = options_of("human-eval export")
    words = ["--pair", "joint,base", "a.jsonl", "b.jsonl", "--pair", "joint,real", "--dest", "x"]
    expected = {"pair": ["joint,base", "joint,real"], "pools": ["a.jsonl", "b.jsonl"], "dest": "x"}
    assert parse("prog", export, words) == export(**expected)


def test_text_that_begins_like_a_flag_is_a_value():
    next_token = options_of("next-token")
    for prefix in (["--prefix=-- he said"], ["--prefix", "-- he said"]):
        words = ["data", "--path", "a:b", *prefix, "--cpu"]
        assert parse("prog", next_token, words).prefix == "-- he said"


def test_a_misspelt_flag_is_named_before_what_is_missing(capsys):
    with pytest.raises(SystemExit):
        parse("prog", options_of("prepare"), ["--nonsense=3"])
    assert capsys.readouterr().err.startswith("prog: error: unrecognized arguments: --nonsense ")
