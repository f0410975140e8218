"""The layering of docs/architecture.md, held by the imports themselves."""

import ast
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "fairseq_ebm"
NAME = PACKAGE.name
LAYERS = [
    {"version", "errors", "files", "records", "launchers", "values"},
    {"options", "progress", "provenance", "registration"},
    {"numerics"},
    {"data"},
    {"lm"},
    {"negatives"},
    {"models"},
    {"criterions", "joint", "detection", "selection"},
    {"evaluation", "weaknesses"},
    {"tasks"},
    {"reports"},
    {"human_eval", "explore"},
    {"workflow"},
    {"verbs", "cli"},
]
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}


def module_name(path, package):
    parts = [NAME, *path.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path, package):
    """Absolute names of all modules that a file imports, inside functions too."""
    here = module_name(path, package).split(".")
    folder = here if path.name == "__init__.py" else here[:-1]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else []
            base = [*base, *(node.module.split(".") if node.module else [])]
            names |= {".".join([*base, alias.name]) for alias in node.names}
    return names


def resolve(name, modules):
    """The module that an imported name belongs to: itself or the closest one around it."""
    while name not in modules and "." in name:
        name = name.rpartition(".")[0]
    return name if name in modules else None


def import_graph(package):
    files = {module_name(path, package): path for path in package.rglob("*.py")}
    return {
        module: {resolve(name, files) for name in imports_of(path, package)} - {None, module}
        for module, path in files.items()
    }


def room(module):
    return module.split(".")[1]


def upward_imports(graph):
    return [
        (module, other)
        for module, others in graph.items()
        if module not in (NAME, f"{NAME}.__main__")
        for other in others
        if other == NAME or RANK[room(other)] > RANK[room(module)]
    ]


def circles(graph):
    """Modules and rooms that import each other, directly or not."""
    rooms = {}
    for module, others in graph.items():
        if module != NAME:
            rooms.setdefault(room(module), set()).update({room(o) for o in others - {NAME}})
    found = []
    for edges in (graph, {r: others - {r} for r, others in rooms.items()}):
        reach = {node: set(others) for node, others in edges.items()}
        for _ in edges:
            for targets in reach.values():
                targets |= set().union(*(reach.get(t, set()) for t in targets))
        found += [node for node, targets in reach.items() if node in targets]
    return found


def test_every_room_has_its_place():
    rooms = {room(m) for m in import_graph(PACKAGE) if m not in (NAME, f"{NAME}.__main__")}
    assert rooms <= set(RANK), "a new room must be given its layer here and in docs/architecture.md"


def test_layers_import_downward_only():
    assert upward_imports(import_graph(PACKAGE)) == []


def test_no_circles():
    assert circles(import_graph(PACKAGE)) == []


def test_numerics_needs_torch_and_the_standard_library_only():
    standard = getattr(sys, "stdlib_module_names", {"math", "typing", "collections"})
    for path in (PACKAGE / "numerics").rglob("*.py"):
        tops = {name.split(".")[0] for name in imports_of(path, PACKAGE)}
        assert tops <= {"torch", NAME, *standard}, path


def test_the_package_only_registers():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    assert not [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))]


def test_the_checks_find_what_they_look_for(tmp_path):
    package = tmp_path / NAME
    for name, content in {
        "__init__.py": "from . import models",
        "numerics/losses.py": "from ..models import energy",
        "numerics/text.py": f"from {NAME} import JointModel",
        "models/__init__.py": "from .energy import x",
        "models/energy.py": "def f():\n    import fairseq_ebm.numerics.losses",
        "data/a.py": "from ..lm.b import y",
        "lm/b.py": "from ..data import c",
        "data/c.py": "",
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(content)
    graph = import_graph(package)
    assert set(upward_imports(graph)) == {
        (f"{NAME}.data.a", f"{NAME}.lm.b"),
        (f"{NAME}.numerics.losses", f"{NAME}.models.energy"),
        (f"{NAME}.numerics.text", NAME),
    }
    assert f"{NAME}.models.energy" in circles(graph)
    assert {"data", "lm"} <= set(circles(graph))
