"""Which family of sound a node takes by itself, and what it says of the one that is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ros_packages import require_ros, ros_drivers_environment

require_ros()

from audio_families import PUBLISHED  # noqa: E402

from avs_ros.errors import MessageTypeError  # noqa: E402
from avs_ros.nodes.message_types import (  # noqa: E402
    ROS,
    installed_audio_types,
    published_audio_type,
)

HERE = Path(__file__).resolve().parent
PROGRAM = """
from avs_ros.errors import MessageTypeError
from avs_ros.nodes.message_types import installed_audio_types, published_audio_type
print(installed_audio_types()[:2], published_audio_type("auto"))
try:
    published_audio_type("AudioStamped")
except MessageTypeError as error:
    print(error)
"""


def python(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=HERE.parent, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=280, check=False)


def test_what_is_installed_is_published() -> None:
    # This environment has mgonzs13's audio_common_msgs and foxglove_msgs.
    assert installed_audio_types() == ("RawAudio", "AudioStamped")
    assert published_audio_type("auto") == PUBLISHED == "RawAudio"
    assert published_audio_type("AudioStamped") == "AudioStamped"


@pytest.mark.parametrize("name", ["AudioDataStamped", "AudioData", "AudioInfo"])
def test_the_other_family_of_that_name_is_told(name: str) -> None:
    with pytest.raises(MessageTypeError, match="other family of the name") as caught:
        # AudioData and AudioInfo are in both packages, with other fields.
        ROS(f"audio_common_msgs/msg/{name}")
    assert "AudioStamped" in str(caught.value) and "apt install" in str(caught.value)


def test_a_package_that_is_missing_is_told() -> None:
    with pytest.raises(MessageTypeError, match=r"apt install ros-.*-hri-msgs"):
        ROS("hri_msgs/msg/LiveSpeech")
    with pytest.raises(MessageTypeError, match="not in the sensor_msgs that is installed"):
        ROS("sensor_msgs/msg/Microphone")


def test_beside_ros_drivers_the_choice_is_theirs() -> None:
    done = python(ros_drivers_environment(), "-c", PROGRAM)
    chosen, told = done.stdout.splitlines()[-2:]
    assert chosen == "('AudioDataStamped', 'RawAudio') AudioDataStamped"
    assert "other family" in told and "mgonzs13" in told


def test_the_tests_of_the_other_family_pass_beside_it() -> None:
    files = ("microphone", "player", "segmentation_inputs", "effects_segmentation")
    done = python(
        ros_drivers_environment(), "-m", "pytest", "-q", "-p", "no:cacheprovider",
        "-p", "no:xdist", "-k", "AudioDataStamped or AudioData or that_the_chunks_contradict"
        " or audio_rate or audio_channels or audio_format",
        *(str(HERE / f"test_nodes_{file}.py") for file in files))
    assert done.returncode == 0, done.stdout
    # Two of each of the first three, the contradiction, three parameters.
    assert "10 passed" in done.stdout and "skipped" not in done.stdout, done.stdout
