"""What the built-in corpora contain, and that they share nothing."""

import ast
from pathlib import Path

import pytest

from fairseq_ebm.data import python_corpora
from fairseq_ebm.errors import UserError


@pytest.fixture(scope="module")
def pydocs():
    return list(python_corpora.pydocs())


@pytest.fixture(scope="module")
def pysource():
    return list(python_corpora.pysource())


def test_pydocs_has_docstrings_of_python_and_of_c_and_the_reference(pydocs):
    assert sum(map(len, set(pydocs))) > 2_000_000
    assert ast.get_docstring(ast.parse(Path(ast.__file__).read_text())) in pydocs
    assert any(
        text.startswith("S.join(iterable)") or "Concatenate any number of strings" in text
        for text in pydocs
    )
    assert any("with" in text and "context manager" in text and "suite" in text for text in pydocs)


def test_pysource_is_code_without_docstrings(pysource):
    assert sum(map(len, pysource)) > 5_000_000
    code = next(text for text in pysource if "class NodeVisitor" in text)
    assert "def generic_visit" in code and "Called if no explicit visitor function" not in code


def test_packages_has_docstrings_and_no_paragraph_twice(monkeypatch):
    monkeypatch.setattr(python_corpora, "PACKAGES", ("numpy", "networkx"))
    documents = list(python_corpora.packages())
    assert sum(map(len, documents)) > 2_000_000
    assert any("Find the unique elements of an array" in text for text in documents)
    paragraphs = [p for text in documents for p in text.split("\n\n") if p]
    assert len(paragraphs) > 10_000 and len(set(paragraphs)) > 0.999 * len(paragraphs)


def test_a_package_that_is_not_there(monkeypatch):
    monkeypatch.setattr(python_corpora, "PACKAGES", ("no_such_package",))
    with pytest.raises(UserError, match="no_such_package is not installed"):
        next(python_corpora.packages())


def test_the_corpora_share_no_text(pydocs, pysource):
    source = {line.strip() for text in pysource for line in text.split("\n")}
    lines = {line.strip() for text in pydocs for line in text.split("\n")}
    long_lines = {line for line in lines if len(line) > 60}
    shared = long_lines & source
    assert len(long_lines) > 5_000
    assert len(shared) / len(long_lines) < 0.01  # some modules print their documentation as strings


def test_reference_is_cut_into_sections():
    page = "Title\n*****\n\nFirst.\n\nPart - one\n==========\n\nSecond\n------ not\n"
    assert list(python_corpora._sections(page)) == [
        "",
        "Title\n\nFirst.",
        "Part - one\n\nSecond\n------ not",
    ]


def test_docstrings_are_cut_out_and_code_stays():
    source = '"""Module."""\nx = """kept"""\n\ndef f():\n    """One\n    two."""\n    return 1\n'
    code = python_corpora._without_docstrings(source, ast.parse(source))
    assert code == 'x = """kept"""\n\ndef f():\n    return 1\n'


def test_a_form_feed_does_not_end_a_line():
    source = 'x = 1\n\f\ndef f():\n    """Gone."""\n    return "stays"\nclass E: "stays"\n'
    code = python_corpora._without_docstrings(source, ast.parse(source))
    assert code == 'x = 1\n\f\ndef f():\n    return "stays"\nclass E: "stays"\n'
