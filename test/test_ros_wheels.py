"""The tool that builds a ROS 2 into the environment, and what it has built."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from ros_packages import require_ros, ros_drivers_environment
from rosbags.typesys import get_types_from_msg

from avs_ros.media.bag_types import known_types

ROOT = Path(__file__).resolve().parents[1]
MESSAGES = Path("avs_ros", "data", "msgs")
SHOW = """
import importlib, json, sys
found = {}
for name in sys.argv[1:]:
    package, message = name.split("/")
    kind = getattr(importlib.import_module(package + ".msg"), message, None)
    found[name] = kind and kind.get_fields_and_field_types()
print(json.dumps(found))
"""


@pytest.fixture
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ros_wheels", ROOT / "tools" / "ros_wheels.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def note_done(tool: ModuleType, prefix: Path) -> None:
    for name, state in tool.missing(prefix).items():
        stamp = tool.stamp(prefix, name)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(state)


def test_a_missing_compiler_is_one_message_before_anything_is_installed(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(tool.CannotBuild, match=r"g\+\+ is missing.*apt-get install g\+\+$"):
        tool.build(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_tells_and_does_not_crash() -> None:
    """With the system's Python, where nothing may be installed."""
    base = os.path.realpath(sys.executable)
    done = subprocess.run(
        [base, "-I", str(ROOT / "tools" / "ros_wheels.py")], capture_output=True, text=True,
        check=False)
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("ROS 2 was not built: ") and done.stderr.count("\n") == 1


def test_what_is_there_is_left_alone(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_done(tool, tmp_path)
    monkeypatch.setenv("PATH", "")  # whatever it tried to do would fail
    tool.build(tmp_path)


def test_a_changed_definition_is_built_again_alone(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(tool.missing(tmp_path)) == ["wheels", *tool.PACKAGES]
    note_done(tool, tmp_path)
    assert tool.missing(tmp_path) == {}
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    for folder in tool.PACKAGES:
        theirs = ROOT / MESSAGES / folder / "msg"
        ours = tmp_path / MESSAGES / folder / "msg"
        ours.mkdir(parents=True)
        for file in theirs.glob("*.msg"):
            (ours / file.name).write_text(file.read_text())
    assert tool.missing(tmp_path) == {}
    (tmp_path / MESSAGES / "foxglove_msgs" / "msg" / "RawAudio.msg").write_text("uint8[] data\n")
    assert list(tool.missing(tmp_path)) == ["foxglove_msgs"]


def test_paths_of_the_machine_that_built_the_wheels_are_mended(
    tool: ModuleType, tmp_path: Path
) -> None:
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    builder = f"/opt/python/{tag}-{tag}"
    file = tmp_path / "share" / "some_msgs" / "cmake" / "export.cmake"
    file.parent.mkdir(parents=True)
    file.write_text(
        f'set(a "{builder}/include/{version};'
        f'{builder}/lib/{version}/site-packages/numpy/_core/include;/usr/include")')
    tool.mend_paths(tmp_path)
    includes = sysconfig.get_paths()["include"]
    assert file.read_text() == f'set(a "{includes};{np.get_include()};/usr/include")'


def fields(folder: str, message: str) -> list[str]:
    """Names of the fields in a definition of ``avs_ros/data/msgs``."""
    text = (ROOT / MESSAGES / folder / "msg" / f"{message}.msg").read_text()
    return [line.split()[1] for line in text.splitlines() if line.strip()]


def built(names: list[str], environment: dict[str, str] | None = None) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", SHOW, *names], capture_output=True, text=True, check=True,
        env=environment)
    return {name: list(found or ()) for name, found in json.loads(done.stdout).items()}


@pytest.mark.parametrize("folder", ["vision_msgs", "foxglove_msgs", "mgonzs13/audio_common_msgs"])
def test_the_built_messages_have_the_fields_of_their_definitions(folder: str) -> None:
    require_ros()
    package = folder.rpartition("/")[2]
    messages = [path.stem for path in (ROOT / MESSAGES / folder / "msg").glob("*.msg")]
    assert messages
    wanted = {f"{package}/{message}": fields(folder, message) for message in messages}
    assert built(list(wanted)) == wanted


def test_the_other_audio_family_is_found_in_its_own_prefix_alone() -> None:
    environment = ros_drivers_environment()
    names = ["AudioDataStamped", "AudioInfo", "AudioStamped"]
    theirs = built([f"audio_common_msgs/{name}" for name in names], environment)
    ours = built([f"audio_common_msgs/{name}" for name in names])
    assert theirs["audio_common_msgs/AudioStamped"] == []
    assert ours["audio_common_msgs/AudioDataStamped"] == []
    for folder, found in (("ros_drivers", theirs), ("mgonzs13", ours)):
        info = fields(f"{folder}/audio_common_msgs", "AudioInfo")
        assert found["audio_common_msgs/AudioInfo"] == info


def test_bags_are_read_with_the_definitions_that_ros_is_built_with() -> None:
    for folder in (ROOT / MESSAGES).rglob("msg"):
        package = folder.parent.name
        known = known_types(folder.parent.parent.name == "mgonzs13").fielddefs
        for file in folder.glob("*.msg"):
            name = f"{package}/msg/{file.stem}"
            assert known[name] == get_types_from_msg(file.read_text(), name)[name], name


ROUND_TRIP = """
import rclpy
from rclpy.serialization import deserialize_message, serialize_message
from audio_common_msgs.msg import AudioDataStamped
message = AudioDataStamped()
message.header.stamp.sec = 7
message.audio.data = b"abc"
back = deserialize_message(serialize_message(message), AudioDataStamped)
print(back.header.stamp.sec, bytes(back.audio.data).decode())
"""


def test_the_other_audio_family_can_be_sent() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ROUND_TRIP], capture_output=True, text=True, check=False,
        env=ros_drivers_environment())
    assert (done.returncode, done.stdout) == (0, "7 abc\n"), done.stderr


@pytest.mark.slow
def test_a_package_is_compiled_into_a_prefix_of_its_own(tool: ModuleType, tmp_path: Path) -> None:
    require_ros()
    prefix = tmp_path / "prefix"
    tool.compile_package(
        ROOT / MESSAGES / "foxglove_msgs", ("builtin_interfaces",), Path(sys.prefix), prefix)
    [made] = prefix.glob("lib/python*/site-packages/foxglove_msgs/msg/_raw_audio.py")
    assert "sample_rate" in made.read_text()
    assert list(prefix.glob("lib/libfoxglove_msgs__rosidl_typesupport_fastrtps_c*"))
