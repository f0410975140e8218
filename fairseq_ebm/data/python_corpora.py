"""Corpora that are there wherever this package is, so no network is needed.

pydocs    the English of the running Python's documentation: docstrings of the standard library,
          its Python and its compiled modules, and the language reference as ``pydoc`` shows it
pysource  the standard library's source code without those docstrings: the two share no text
packages  docstrings of the libraries that this package or torch needs, ten times pydocs

The first two depend on the version of Python alone, the third on that of the libraries.
"""

import ast
import gc
import importlib.util
import inspect
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from itertools import chain
from pathlib import Path
from pydoc_data.topics import topics
from types import ModuleType
from typing import List, Optional, Set, Tuple, Union

from ..errors import UserError

# Tests, what is not part of the library, and what only some builds of Python include.
LEFT_OUT = {"__pycache__", "site-packages", "dist-packages", "ensurepip", "lib2to3", "pydoc_data"}
LEFT_OUT |= {"test", "tests", "idle_test"}

PACKAGES = ("matplotlib", "networkx", "numpy", "scipy", "sklearn", "sympy", "torch")
DISTRIBUTIONS = {"sklearn": "scikit-learn"}  # where a package's own name is another

Documented = Union[ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef]


def pydocs() -> Iterator[str]:
    """Docstrings, by file and then by compiled module, then the reference: by section, since some
    of its pages contain other pages entirely."""
    docstrings = _docstrings(_standard_library())
    sections = (section for _, page in sorted(topics.items()) for section in _sections(page))
    yield from filter(_is_text, chain(docstrings, _compiled_docstrings(), sections))


def pysource() -> Iterator[str]:
    """One document per file."""
    yield from filter(_is_text, (_without_docstrings(*each) for each in _standard_library()))


def packages() -> Iterator[str]:
    """Docstrings by package and file. A paragraph stands where it is first: much in them is said
    again and again, and held-out text that training text contains would measure memory."""
    seen: Set[str] = set()
    for docstring in chain.from_iterable(_docstrings(_sources(_folder(p))) for p in PACKAGES):
        if not _is_text(docstring):
            continue
        paragraphs = []
        for paragraph in re.split(r"\n\s*\n", docstring):
            if paragraph.strip() not in seen:
                seen.add(paragraph.strip())
                paragraphs.append(paragraph)
        text = "\n\n".join(paragraphs)
        if _is_text(text):
            yield text


def _is_text(text: str) -> bool:
    """Has a letter and no lone surrogate (some docstrings contain one as an example)."""
    return any(c.isalpha() for c in text) and not re.search("[\ud800-\udfff]", text)


def _docstrings(sources: Iterable[Tuple[str, ast.Module]]) -> Iterator[str]:
    nodes = (node for _, tree in sources for node in _documented(tree))
    return (ast.get_docstring(node) or "" for node in nodes)


def _standard_library() -> Iterator[Tuple[str, ast.Module]]:
    return _sources(Path(sysconfig.get_paths()["stdlib"]))


def _folder(package: str) -> Path:
    """Found, not imported."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UserError(f"--corpus packages: {package} is not installed; pip install it")
    return Path(found.submodule_search_locations[0])


def _sources(root: Path) -> Iterator[Tuple[str, ast.Module]]:
    for path in sorted(root.rglob("*.py")):
        folders = path.relative_to(root).parts[:-1]
        if LEFT_OUT.intersection(folders) or any(f.startswith("config-") for f in folders):
            continue
        try:
            source = path.read_text(encoding="utf-8")
            tree = _parse(source)
        except (UnicodeDecodeError, SyntaxError):
            continue
        yield source, tree


def _parse(source: str) -> ast.Module:
    """Without garbage collection: in Python 3.11 whatever it runs may upset the parser's recursion
    count (SystemError). Syntax trees are many small objects, so this is faster too."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in old docstrings
            return ast.parse(source)
    finally:
        if was_enabled:
            gc.enable()


def _documented(tree: ast.Module) -> List[Documented]:
    """The nodes that may have a docstring, in the order of the source."""
    nodes = [n for n in ast.walk(tree) if isinstance(n, Documented.__args__)]  # type: ignore[attr-defined]
    return sorted(nodes, key=lambda n: getattr(n, "lineno", 0))


def _without_docstrings(source: str, tree: ast.Module) -> str:
    """The source without the lines of its docstrings; one that shares a line with code stays."""
    lines: List[Optional[str]] = list(source.split("\n"))  # as ast counts them
    for node in _documented(tree):
        if ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            first, last = docstring.lineno - 1, docstring.end_lineno or docstring.lineno
            if (lines[first] or "")[: docstring.col_offset].isspace() or not docstring.col_offset:
                lines[first:last] = [None] * (last - first)
    return "\n".join(line for line in lines if line is not None)


def _compiled_docstrings() -> Iterator[str]:
    """Docstrings of modules without a source file, and of their classes and functions."""
    for name in sorted(set(sys.builtin_module_names) | _extension_modules()):
        if name.startswith(("_test", "_xx", "xx")):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # deprecated modules
                module = importlib.import_module(name)
        except ImportError:
            continue
        yield from _members_docstrings(module)


def _extension_modules() -> "set[str]":
    folder = Path(sysconfig.get_paths()["platstdlib"]) / "lib-dynload"
    suffixes = tuple(EXTENSION_SUFFIXES)
    return {p.name.split(".")[0] for p in folder.glob("*") if p.name.endswith(suffixes)}


def _members_docstrings(owner: Union[ModuleType, type]) -> Iterator[str]:
    if isinstance(owner.__doc__, str):
        yield inspect.cleandoc(owner.__doc__)
    for _, member in sorted(vars(owner).items()):
        if isinstance(member, type) and isinstance(owner, ModuleType):
            yield from _members_docstrings(member)
        elif inspect.isroutine(member) or inspect.isdatadescriptor(member):
            text = getattr(member, "__doc__", None)
            if isinstance(text, str):
                yield inspect.cleandoc(text)


def _sections(page: str) -> Iterator[str]:
    """Cuts before each underlined heading; drops the underline, which varies with depth."""
    section: List[str] = []
    for line in page.split("\n"):
        heading = section[-1] if section else ""
        if heading and re.fullmatch(r"([-*=~^\"])\1+", line) and len(line) == len(heading):
            yield "\n".join(section[:-1]).strip("\n")
            section = [heading]
        else:
            section.append(line)
    yield "\n".join(section).strip("\n")
