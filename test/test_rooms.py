"""Which room may import what: ROS 2 only the nodes, optional libraries only what is declared."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from ros_packages import require_ros
from without import ROS, run_without

from avs_ros.cli.main import VERBS
from avs_ros.errors import EXTRAS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "avs_ros"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
# They come with the machine, not from an extra: NVIDIA's on a Jetson or with its own installer.
FROM_THE_MACHINE = {"tensorrt"}
# Part of Python's own library from 3.14 on.
NEWER_PYTHON = {"compression"}
# What the nodes need, by the name that is imported.
BASE = {"numpy", "yaml", "torch", "torchaudio", "torchvision", "timm", "soxr", "safetensors",
        "cv2", "supervision"}

IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        print(name, error)
"""


def in_nodes(name: str) -> bool:
    return name.startswith("avs_ros.nodes")


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "optional":
            found.add(ast.literal_eval(node.args[0]))
    return found


def test_every_other_room_can_be_imported_without_ros() -> None:
    names = [
        name for name in MODULES if not in_nodes(name) and not name.endswith("__main__")]
    assert len(names) > 100
    done = run_without(ROS, IMPORT_ALL, *names)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_no_other_room_imports_ros_or_the_nodes_later() -> None:
    ros = re.compile("|".join(ROS))
    wrong = {
        name: sorted(found) for name, path in MODULES.items() if not in_nodes(name)
        and (found := {one for one in imports(path)
                       if ros.fullmatch(one.partition(".")[0]) or in_nodes(one)})
    }
    assert wrong == {}


def test_the_nodes_can_be_imported_with_the_base_installation_alone() -> None:
    require_ros()
    # The benchmark's programs belong to `avs benchmark`, which needs the tools.
    names = [name for name in MODULES if in_nodes(name) and ".benchmark_" not in name]
    done = run_without(tuple(EXTRAS), IMPORT_ALL, *names)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_every_library_that_is_imported_is_declared() -> None:
    used: dict[str, set[str]] = defaultdict(set)
    ros = re.compile("|".join(ROS))
    for name, path in MODULES.items():
        for library in {one.partition(".")[0] for one in imports(path)}:
            if library not in sys.stdlib_module_names and not ros.fullmatch(library):
                used[library].add(name)
    unknown = set(used) - BASE - set(EXTRAS) - FROM_THE_MACHINE - NEWER_PYTHON - {"avs_ros"}
    assert unknown == set(), {library: used[library] for library in unknown}


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_needs_no_optional_library(verb: str) -> None:
    code = "import sys; from avs_ros.cli.main import main; main(sys.argv[1:])"
    done = run_without((*EXTRAS, *ROS), code, verb, "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: avs {verb}" in done.stdout


@pytest.mark.parametrize(("arguments", "extra"), [
    (["run", "clip.mp4"], "tools"), (["run", "robot.mcap"], "tools"), (["info"], "tools"),
    (["demo"], "tools"),
])
def test_a_missing_extra_is_one_message(arguments: list[str], extra: str, tmp_path: Path) -> None:
    for name in ("clip.mp4", "robot.mcap"):
        (tmp_path / name).write_bytes(b"anything")
    code = (f"import os, sys; os.chdir({str(tmp_path)!r})\n"
            "from avs_ros.cli.main import main; sys.exit(main(sys.argv[1:]))")
    done = run_without(tuple(EXTRAS), code, *arguments)
    assert done.returncode == 2, done.stderr
    assert f"pip install 'avs_ros[{extra}]'" in done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith(f"avs {arguments[0]}: ")
