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
from media_files import write_video
from ros_packages import require_ros

import avs_ros
from avs_ros.cli.main import VERBS
from avs_ros.errors import EXTRAS

ROOT = Path(__file__).resolve().parents[1]
NODES = ["attention_node", "evaluator_node", "microphone_node", "player_node", "segmentation_node"]

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
    require_ros()
    for target in commands.values():
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function)), target


def test_ros2_run_finds_the_nodes() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["install"]["install_scripts"] == "$base/lib/avs_ros"
    assert config["develop"]["script_dir"] == "$base/lib/avs_ros"


def test_the_manifest_names_what_the_nodes_import(setup: dict[str, Any]) -> None:
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert package.get("format") == "3"
    assert package.findtext("name") == setup["name"] == "avs_ros"
    assert package.findtext("version") == setup["version"] == avs_ros.__version__
    assert package.findtext("export/build_type") == "ament_python"
    keys = [one.text or "" for one in package if one.tag.endswith("depend")]
    assert len(keys) == len(set(keys))
    source = "".join(path.read_text() for path in (ROOT / "avs_ros").rglob("*.py"))
    used = set(re.findall(r"[\"'](\w+)/(?:msg|srv)/\w+[\"']", source))
    imported = r"^\s*(?:from|import) (rclpy|\w+_msgs|std_srvs|cv_bridge)\b"
    used |= set(re.findall(imported, source, re.M))
    assert {"rclpy", "sensor_msgs", "vision_msgs"} <= used <= set(keys)


def test_a_plain_installation_brings_what_the_nodes_need_and_no_dds(setup: dict[str, Any]) -> None:
    def named(requirements: list[str]) -> set[str]:
        return {re.split(r"[<>=;\[ ]", one)[0].lower() for one in requirements}

    assert named(setup["install_requires"]) == {
        "numpy", "pyyaml", "torch", "torchaudio", "torchvision", "timm", "soxr", "safetensors",
        "opencv-python-headless", "supervision"}
    every = named([one for extra in setup["extras_require"].values() for one in extra])
    assert not [name for name in every if "dds" in name or "rclpy" in name]
    assert set(EXTRAS.values()) <= set(setup["extras_require"])


# One worker builds the package for all tests of what is built.
WHEEL, COLCON = (pytest.mark.xdist_group(name) for name in ("wheel", "colcon"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which `pip install` has put the wheel of a clean copy of the package."""
    folder = tmp_path_factory.mktemp("wheel")
    clean_copy(folder / "source")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    commands = (
        [*pip, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "-w", str(folder),
         str(folder / "source")],
        [*pip, "install", "--no-index", "--no-deps", "--find-links", str(folder),
         "--target", str(folder / "installed"), "avs_ros"],
    )
    for command in commands:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "installed"


def clean_copy(target: Path) -> None:
    shutil.copytree(
        ROOT, target,
        ignore=shutil.ignore_patterns(
            ".*", "__pycache__", "*.egg-info", "build", "install", "log", "demo_output", "test"),
    )


def run_installed(folder: Path, command: str, *arguments: object) -> str:
    """Standard output of an installed command that must succeed, run from elsewhere."""
    done = subprocess.run(
        [sys.executable, str(folder / "bin" / command), *map(str, arguments)], text=True,
        capture_output=True, timeout=200, check=False, cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout


@WHEEL
def test_the_wheel_is_the_whole_package(installed: Path) -> None:
    missing = [
        str(path.relative_to(ROOT)) for path in (ROOT / "avs_ros").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
        and not (installed / path.relative_to(ROOT)).exists()
    ]
    assert missing == []
    assert sorted(path.name for path in (installed / "bin").iterdir()) == sorted(["avs", *NODES])
    assert (installed / "share" / "avs_ros" / "launch" / "avs.launch.py").is_file()


@WHEEL
def test_what_is_installed_runs_a_clip(installed: Path, tmp_path: Path) -> None:
    assert run_installed(installed, "avs", "--version") == f"avs_ros {avs_ros.__version__}\n"
    for verb in VERBS:
        assert verb in run_installed(installed, "avs", "--help")
    clip = write_video(tmp_path / "clip.mp4", seconds=1.0, fps=5)
    out = run_installed(
        installed, "avs", "run", clip, "-o", tmp_path / "out", "--engine", "torch",
        "--duration", "0.5")
    assert "3 frames" in out
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) >= 3
    code = "import avs_ros; print(avs_ros.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], text=True, capture_output=True, check=True,
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed)})
    assert Path(done.stdout.strip()).is_relative_to(installed)


@WHEEL
def test_an_installed_node_says_what_it_needs(installed: Path) -> None:
    require_ros()
    done = subprocess.run(
        [sys.executable, str(installed / "bin" / "player_node")], text=True, capture_output=True,
        timeout=100, check=False, env={**os.environ, "PYTHONPATH": str(installed)})
    assert done.returncode == 2 and "input" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def colcon_prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``install`` of a workspace in which `colcon build` built a clean copy of the package."""
    pytest.importorskip("colcon_ros", reason="colcon is not installed: pip install '.[test]'")
    pytest.importorskip("colcon_python_setup_py", reason="colcon is not installed")
    workspace = tmp_path_factory.mktemp("workspace")
    clean_copy(workspace / "src" / "avs_ros")
    colcon = "import sys; from colcon_core.command import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", colcon, "build"],
        cwd=workspace, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace / "install" / "avs_ros"


@COLCON
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


@COLCON
def test_what_colcon_built_is_the_whole_package(colcon_prefix: Path) -> None:
    [built] = colcon_prefix.glob("lib/python*/site-packages/avs_ros")
    missing = [
        str(path.relative_to(ROOT)) for path in (ROOT / "avs_ros").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
        and not (built.parent / path.relative_to(ROOT)).exists()
    ]
    assert missing == []


@COLCON
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
