"""What `colcon build` and `pip install` put where."""

from __future__ import annotations

import configparser
import importlib
import os
import re
import runpy
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import setuptools

ROOT = Path(__file__).resolve().parents[1]
NODES = ["attention_node", "evaluator_node", "microphone_node", "player_node", "segmentation_node"]
# rosdep keys that exist in the distributions' lists; anything else must be a ROS package.
PYTHON_KEYS = {
    "python3-numpy", "python3-opencv", "python3-yaml", "python3-torch", "python3-timm-pip",
    "python3-sounddevice-pip", "python3-pytest", "python3-pytest-timeout", "python3-rosbags-pip",
}


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The keyword arguments that setup.py gives to setuptools."""
    given: dict[str, Any] = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(setuptools, "setup", lambda **kwargs: given.update(kwargs))
    runpy.run_path("setup.py")
    yield given


def test_every_shared_file_is_installed(setup: dict[str, Any]) -> None:
    installed = {name for _, files in setup["data_files"] for name in files}
    wanted = {
        str(path.relative_to(ROOT))
        for folder in ("launch", "config", "rviz")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in (".py", ".yaml", ".json", ".rviz")
        and "__pycache__" not in path.parts
    }
    assert wanted <= installed
    assert {"package.xml", "resource/avs_ros"} <= installed
    places = dict((name, place) for place, files in setup["data_files"] for name in files)
    assert places["resource/avs_ros"] == "share/ament_index/resource_index/packages"
    assert places["launch/avs.launch.py"] == "share/avs_ros/launch"
    assert places["config/avs.yaml"] == "share/avs_ros/config"
    assert places["rviz/avs.rviz"] == "share/avs_ros/rviz"


def test_every_command_has_a_function(setup: dict[str, Any]) -> None:
    commands = dict(
        re.split(r"\s*=\s*", one) for one in setup["entry_points"]["console_scripts"])
    assert {"avs", *NODES} <= set(commands)
    pytest.importorskip("cyclonedds", reason="the nodes need a middleware")
    for target in commands.values():
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function)), target


def test_ros2_run_finds_the_nodes() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["install"]["install_scripts"] == "$base/lib/avs_ros"
    assert config["develop"]["script_dir"] == "$base/lib/avs_ros"


def test_the_manifest_names_only_what_exists(setup: dict[str, Any]) -> None:
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert package.get("format") == "3"
    assert package.findtext("name") == setup["name"] == "avs_ros"
    assert package.findtext("version") == setup["version"]
    assert package.findtext("export/build_type") == "ament_python"
    keys = [one.text or "" for one in package if one.tag.endswith("depend")]
    assert len(keys) == len(set(keys))
    assert {key for key in keys if key.startswith("python3-")} <= PYTHON_KEYS
    # Every message package that the nodes name is a dependency.
    source = "".join(path.read_text() for path in (ROOT / "avs_ros").rglob("*.py")
                     if "embedded" not in path.parts)
    used = set(re.findall(r"[\"'](\w+)/(?:msg|srv)/\w+[\"']", source))
    assert used - set(keys) <= {"example_interfaces"}


@pytest.fixture(scope="module")
def colcon_prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``install`` of a workspace in which `colcon build` built a clean copy of the package."""
    pytest.importorskip("colcon_ros", reason="colcon is not installed: pip install '.[test]'")
    pytest.importorskip("colcon_python_setup_py", reason="colcon is not installed")
    workspace = tmp_path_factory.mktemp("workspace")
    shutil.copytree(
        ROOT, workspace / "src" / "avs_ros",
        ignore=shutil.ignore_patterns(
            ".*", "__pycache__", "*.egg-info", "build", "install", "log", "demo_output"),
    )
    colcon = "import sys; from colcon_core.command import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", colcon, "build"],
        cwd=workspace, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace / "install" / "avs_ros"


def test_colcon_build_gives_what_ros2_run_and_ros2_launch_look_for(colcon_prefix: Path) -> None:
    for node in NODES:
        assert os.access(colcon_prefix / "lib" / "avs_ros" / node, os.X_OK), node
    share = colcon_prefix / "share"
    assert (share / "ament_index" / "resource_index" / "packages" / "avs_ros").exists()
    assert (share / "avs_ros" / "package.xml").exists()
    for folder in ("launch", "config", "rviz"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert (share / "avs_ros" / path.relative_to(ROOT)).exists(), path


def test_what_colcon_built_is_the_whole_package(colcon_prefix: Path) -> None:
    [built] = colcon_prefix.glob("lib/python*/site-packages/avs_ros")
    missing = [
        str(path.relative_to(ROOT)) for path in (ROOT / "avs_ros").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
        and not (built.parent / path.relative_to(ROOT)).exists()
    ]
    assert missing == []


def test_sourcing_the_workspace_finds_the_package(colcon_prefix: Path) -> None:
    say = "import avs_ros, os; print(avs_ros.__file__, os.environ['AMENT_PREFIX_PATH'])"
    done = subprocess.run(
        ["sh", "-c", '. ../setup.sh && "$0" -c "$1"', sys.executable, say],
        env={**os.environ, "COLCON_CURRENT_PREFIX": str(colcon_prefix.parent)},
        cwd=colcon_prefix, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    file, prefixes = done.stdout.split()
    assert Path(file).is_relative_to(colcon_prefix)
    assert str(colcon_prefix) in prefixes.split(os.pathsep)
