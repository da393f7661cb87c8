"""The house as docs/architecture.md draws it: imports point down, no circles, tests apart."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# From the ground up; rooms of one line may not import each other.  Files beside the rooms
# (errors, segmentation, gate, ...) lie below all of them.
LEVELS = (
    ("models",), ("weights",), ("inference",), ("streaming",), ("conversions",), ("media",),
    ("benchmarks", "evaluation"), ("report", "training"), ("cli", "nodes"),
)  # fmt: skip
# What the order alone would allow.
FORBIDDEN = {("training", "benchmarks"), ("report", "benchmarks")}
HEIGHT = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


def modules(package: str) -> dict[str, Path]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted((ROOT / package).rglob("*.py"))
    }


HOUSE, RECIPES = modules("avs_ros"), modules("recipes")


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of ``known`` that a file imports when it runs, in functions as well."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import module` means the module, anything else the package.
            found |= {
                inner if (inner := f"{node.module}.{alias.name}") in known else node.module
                for alias in node.names
            }
    return found & known.keys()


def room(module: str) -> str:
    """The room of a module, "" for what lies beside the rooms."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in HEIGHT else ""


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, directly or not (Tarjan)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = low[name] = len(number)
        stack.append(name)
        for other in sorted(edges[name]):
            if other not in number:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == number[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(edges):
        if name not in number:
            visit(name)
    return found


def test_circles_are_found() -> None:
    edges: dict[str, set[str]] = defaultdict(set)
    edges |= {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"a"}}
    assert circles(edges) == [["a", "b", "c"]]


def test_no_modules_import_each_other() -> None:
    known = HOUSE | RECIPES
    assert circles({name: imported(path, known) - {name} for name, path in known.items()}) == []


def test_every_folder_has_its_place() -> None:
    folders = {path.parent.name for path in (ROOT / "avs_ros").glob("*/__init__.py")}
    assert folders == HEIGHT.keys()


def test_imports_point_down() -> None:
    wrong = []
    for name, path in HOUSE.items():
        here = room(name)
        for other in sorted(imported(path, HOUSE)):
            there = room(other)
            if not there or here == there:
                continue
            if not here or HEIGHT[there] >= HEIGHT[here] or (here, there) in FORBIDDEN:
                wrong.append(f"{name} imports {other}")
    assert wrong == []


def test_the_package_knows_no_recipe() -> None:
    known = HOUSE | RECIPES
    assert [name for name, path in HOUSE.items() if imported(path, known) & RECIPES.keys()] == []


def test_no_test_module_imports_another() -> None:
    tests = {path.stem: path for path in (ROOT / "test").rglob("*.py")}
    wrong = {
        name: found for name, path in tests.items()
        if (found := {one for one in imported(path, tests) if one.startswith("test_")})
    }
    assert wrong == {}


def private(path: Path) -> list[str]:
    """Members with a leading underscore that a file takes of anything but ``self``."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls"):
            name = node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("attr"):
            # getattr, setattr, monkeypatch.setattr, ...: the name is a text.
            texts = [one.value for one in node.args if isinstance(one, ast.Constant)]
            name = str(next((one for one in texts if isinstance(one, str)), ""))
        else:
            continue
        if name.rpartition(".")[2].startswith("_") and not name.endswith("__"):
            found.append(f"{path.name}:{node.lineno} {name}")
    return sorted(found)


def test_private_members_are_found(tmp_path: Path) -> None:
    code = tmp_path / "code.py"
    code.write_text("self._a\nnode._b\nx.y()._c()\nsetattr(node, '_d', 1)\nnode.__class__\n")
    assert private(code) == ["code.py:2 _b", "code.py:3 _c", "code.py:4 _d"]


def test_tests_of_nodes_take_the_public_door() -> None:
    known = HOUSE | {"node_graph": ROOT}
    nodes = [
        path for path in sorted((ROOT / "test").rglob("test_*.py"))
        if path.name.startswith("test_nodes") or any(
            one == "node_graph" or one.startswith("avs_ros.nodes") for one in imported(path, known)
        )
    ]
    assert len(nodes) > 20
    assert [one for path in nodes for one in private(path)] == []


@pytest.mark.parametrize("folder", ["avs_ros", "recipes", "tools", "test"])
def test_files_and_paths_are_short(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    long = [
        str(path.relative_to(ROOT)) for path in files
        if len(path.read_text(encoding="utf-8").splitlines()) > 300
    ]
    assert long == []
    # Folders below the first one: at most three.
    assert [path for path in files if len(path.relative_to(ROOT).parts) > 5] == []
