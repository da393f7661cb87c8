"""What `colcon build` and `pip install` put where."""

from __future__ import annotations

import configparser
import importlib
import os
import re
import runpy
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


@pytest.mark.slow
def test_the_layout_that_colcon_makes(tmp_path: Path) -> None:
    for name in ("avs_ros", "launch", "config", "rviz", "resource", "package.xml", "setup.py",
                 "setup.cfg", "pyproject.toml", "README.md"):
        if (ROOT / name).exists():
            os.symlink(ROOT / name, tmp_path / name)
    prefix = tmp_path / "install"
    subprocess.run(
        [sys.executable, "setup.py", "-q", "install", "--prefix", str(prefix),
         "--single-version-externally-managed", "--record", str(tmp_path / "log")],
        cwd=tmp_path, check=True, capture_output=True, timeout=300)
    for node in NODES:
        assert os.access(prefix / "lib" / "avs_ros" / node, os.X_OK)
    marker = prefix / "share" / "ament_index" / "resource_index" / "packages" / "avs_ros"
    assert marker.exists()
    assert (prefix / "share" / "avs_ros" / "launch" / "avs.launch.py").exists()
