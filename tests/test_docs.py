"""What the documents say can be followed: links, programs, make targets, Python."""

import argparse
import importlib
import re
import shlex

import pytest

from fairseq_ebm.cli import program as programs
from fairseq_ebm.tasks import generation_config
from fairseq_ebm.workflow.children import installed_programs
from tests.conftest import CHECKOUT

DOCUMENTS = [CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *CHECKOUT.glob("docs/*.md")]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
COMMANDS = (CHECKOUT / "docs" / "commands.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def commands():
    """Indented lines, joined where they end in a backslash."""
    lines = re.sub(r"\\\n\s*", "", f"{README}\n{COMMANDS}").splitlines()
    return [re.sub(r"\s+#.*", "", line).strip() for line in lines if line.startswith("    ")]


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"`?make ([a-z-]+)", README + COMMANDS))
    assert {"demo", "test", "lint", "bench"} <= named <= targets


def flags_of(program):
    """Those that its parser knows; its help may name others."""
    parser = importlib.import_module(installed_programs()[program].module).build_parser()
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found.update(*(each._option_string_actions for each in action.choices.values()))
    return found


def test_flags_of_our_programs_exist():
    checked = 0
    for command in commands():
        words = shlex.split(command.replace("…", "").replace("$(which ", "").replace(")", ""))
        for program in [w for w in words if w in installed_programs() and "ebm" in w]:
            flags = {w for w in words[words.index(program) :] if w.startswith("--")}
            assert flags <= flags_of(program), command
            checked += len(flags)
    assert checked > 10
    assert "--draw" in flags_of("fairseq-ebm eval-lm") and "--path" not in flags_of(
        "fairseq-ebm analyse"
    )


def test_python_runs(sums, sums_lm, sums_energy):
    blocks = re.findall(r"```python\n(.*?)```", README + COMMANDS, re.S)
    assert len(blocks) >= 3
    for block in blocks:
        block = block.replace("lm/checkpoint_best.pt", str(sums_lm))
        block = block.replace("energy/checkpoint_best.pt", str(sums_energy))
        block = block.replace("data/pydocs", str(sums)).replace("(2, 120)", "(2, 10)")
        block = block.replace("The function returns", "1 + 2").replace("length=20", "length=3")
        block = block.replace("a list of names", "= 0 3 0")
        exec(compile(block, "README.md", "exec"), {})


def test_messages_in_troubleshooting_are_those_of_the_code():
    """Between the … of a message stands what the code says."""
    sources = [
        path.read_text(encoding="utf-8") for path in (CHECKOUT / "fairseq_ebm").rglob("*.py")
    ]
    code = "\n".join(re.sub(r'"\s*\n\s*f?r?"', "", source) for source in sources)
    for name, flag in {**programs.FLAGS, **generation_config.FLAGS}.items():
        code = re.sub(rf"{{+{name}}}+", flag, code)
    text = (CHECKOUT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", text, re.M)
    assert len(rows) > 10
    for message in (m for row in rows for m in re.findall(r"`([^`]*)`", row)):
        for part in filter(None, (part.strip(" ;:,()") for part in message.split("…"))):
            assert part in re.sub(r"\{[^}]*\}", "", code) or part in code, part
