"""Which family of sound messages a test finds installed."""

from __future__ import annotations

import pytest
from ros_packages import require_ros

require_ros()

from avs_ros.conversions.audio import AUDIO_TYPES  # noqa: E402
from avs_ros.errors import MessageTypeError  # noqa: E402
from avs_ros.nodes.message_types import ROS, published_audio_type  # noqa: E402

# What a publisher takes by itself here.
PUBLISHED = published_audio_type("auto")
PUBLISHED_TYPE = AUDIO_TYPES[PUBLISHED]


def need(audio_type: str) -> None:
    """Skip where the family of ``audio_type`` is not the installed one."""
    try:
        ROS(AUDIO_TYPES[audio_type])
    except MessageTypeError:
        pytest.skip(f"{audio_type} is of the other family: see test_nodes_audio_families.py")
