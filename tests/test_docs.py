"""What the documents say can be followed: links, programs, make targets, Python."""

import re
import shlex
import subprocess
import sys

import pytest

from fairseq_ebm.cli.parser import FLAGS, build_parser
from fairseq_ebm.tasks import generation_config
from fairseq_ebm.verbs import VERBS, options_of
from tests.conftest import CHECKOUT

DOCUMENTS = [CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *CHECKOUT.glob("docs/*.md")]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
PYTHON = (CHECKOUT / "docs" / "python.md").read_text(encoding="utf-8")
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


def flags_of(verb):
    """Those that its parser knows; its help may name others."""
    return set(build_parser(verb, options_of(verb))._option_string_actions)


def verb_in(words):
    """The verb that follows ``fairseq-ebm`` or ``-m fairseq_ebm``, and the words after it."""
    for i, word in enumerate(words):
        if word in ("fairseq-ebm", "fairseq_ebm"):
            for length in (2, 1):
                if " ".join(words[i + 1 : i + 1 + length]) in VERBS:
                    return " ".join(words[i + 1 : i + 1 + length]), words[i + 1 + length :]
    return None, []


def test_flags_of_our_program_exist():
    checked, verbs = 0, set()
    for command in commands():
        verb, words = verb_in(shlex.split(command.replace("…", "")))
        if verb:
            flags = {word for word in words if word.startswith("--")}
            assert flags <= flags_of(verb), command
            checked += len(flags)
            verbs.add(verb)
    assert checked > 50 and verbs == set(VERBS)
    assert "--draw" in flags_of("eval-lm") and "--path" not in flags_of("analyse")


def test_the_whole_way_in_python_in_thirty_lines(tmp_path):
    """Prepare, train, negatives, train, bounds, detection, report: as a notebook would."""
    (script, *_) = re.findall(r"```python\n(.*?)```", PYTHON, re.S)
    assert sum(bool(line.strip()) for line in script.splitlines()) <= 30
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    lower, upper, accuracy = map(float, done.stdout.split()[-3:])
    assert 1 < lower <= upper and 0 < accuracy < 1
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Perplexity" in page and "Telling generated text from real" in page


def test_every_verb_has_its_options_in_python():
    import fairseq_ebm  # noqa: PLC0415

    for verb in VERBS:
        name = options_of(verb).__name__
        assert getattr(fairseq_ebm, name) is options_of(verb) and f"`{name}`" in PYTHON
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = fairseq_ebm.Nonsense


def test_the_architecture_is_that_of_the_code():
    """Every module is in the map, under its room, and what the text names is there."""
    package = CHECKOUT / "fairseq_ebm"
    text = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
    tree = text[text.index("    fairseq_ebm/") : text.index("Imports point downward")]
    rooms = dict(re.findall(r"^      (\w+)/ (.*\n(?:        .*\n)*)", tree, re.M))
    for path in [p for p in package.rglob("[a-z]*.py") if p.stem != "options"]:
        room = path.parent.name if path.parent != package else ""
        words = rooms[room] if room else tree
        family = "energy_*" if path.stem.startswith("energy_") else path.stem
        assert re.search(rf"\b{re.escape(family.rstrip('*'))}", words), path
    for name in re.findall(r"`([a-z_]+/[a-z_]+)`", text):
        assert (package / f"{name}.py").exists(), name


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
    for name, flag in {**FLAGS, **generation_config.FLAGS}.items():
        code = re.sub(rf"{{+{name}}}+", flag, code)
    text = (CHECKOUT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", text, re.M)
    assert len(rows) > 10
    for message in (m for row in rows for m in re.findall(r"`([^`]*)`", row)):
        for part in filter(None, (part.strip(" ;:,()") for part in message.split("…"))):
            assert part in re.sub(r"\{[^}]*\}", "", code) or part in code, part
