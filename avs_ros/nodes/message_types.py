"""Message and service classes of the ROS 2 installation, by name.

For types that are known by name only (read off the graph or a table); others are imported
plainly.  Sound comes in families, and two packages share the name ``audio_common_msgs``: that of
ros-drivers (``AudioDataStamped``, what apt installs) and that of mgonzs13 (``AudioStamped``).  A
machine has one of them, or none.
"""

from __future__ import annotations

import array
import importlib
import os
from typing import Any

from numpy.typing import NDArray

from avs_ros.conversions.audio import AUDIO_TYPES
from avs_ros.errors import MessageTypeError

# What publishes sound takes the first of these that is installed.
_PREFERRED = ("AudioDataStamped", "RawAudio", "AudioStamped")
# Names that both packages have, with a field that only ros-drivers' message has.
_ROS_DRIVERS_FIELD = {
    "audio_common_msgs/msg/AudioData": "data",
    "audio_common_msgs/msg/AudioInfo": "sample_format",
}


def _installed(name: str) -> Any:
    """The class, or None where its package has no such type; ImportError without the package."""
    package, kind, title = name.split("/")
    found = getattr(importlib.import_module(f"{package}.{kind}"), title, None)
    field = _ROS_DRIVERS_FIELD.get(name)
    if found is not None and field and field not in found.get_fields_and_field_types():
        return None
    return found


def installed_audio_types() -> tuple[str, ...]:
    """Short names of the sound types that are installed, the one to publish first."""
    found = []
    for name in (*_PREFERRED, *sorted(set(AUDIO_TYPES) - set(_PREFERRED))):
        try:
            if _installed(AUDIO_TYPES[name]) is not None:
                found.append(name)
        except ImportError:
            pass
    return tuple(found)


def published_audio_type(chosen: str) -> str:
    """The sound type to publish: ``chosen``, or for ``auto`` the first that is installed.

    Raises :class:`MessageTypeError` where it, or for ``auto`` any at all, is not installed.
    """
    if chosen == "auto":
        chosen = next(iter(installed_audio_types()), _PREFERRED[0])
    ROS(AUDIO_TYPES[chosen])
    return chosen


class RosTypes:
    """:class:`~avs_ros.conversions.messages.MessageTypes` of the installation."""

    def __call__(self, type_name: str) -> Any:
        """The class called ``package/msg/Name`` or ``package/srv/Name``.

        Raises :class:`MessageTypeError`, which says what to install, or that another package of
        the same name is.
        """
        package = type_name.split("/")[0]
        distribution = os.environ.get("ROS_DISTRO", "jazzy")
        get = f"apt install ros-{distribution}-{package.replace('_', '-')}"
        if type_name == AUDIO_TYPES["AudioStamped"]:
            get = "build https://github.com/mgonzs13/audio_common in your workspace"
        try:
            found = _installed(type_name)
        except ImportError as error:
            raise MessageTypeError(f"{type_name} is not installed ({error}): {get}") from error
        if found is not None:
            return found
        if package == "audio_common_msgs":
            others = " or ".join(installed_audio_types())
            raise MessageTypeError(
                f"{type_name} is not installed: the other family of the name {package} is; set "
                f"audio_type to {others}, or uninstall it and {get}"
            )
        raise MessageTypeError(f"{type_name} is not in the {package} that is installed: {get}")

    def array(self, values: NDArray[Any]) -> array.array[Any]:
        """``values``, flat, in one memory copy.

        rclpy takes an ``array`` without looking at each element, while an ndarray or memoryview
        costs tens of milliseconds for an image.
        """
        filled = array.array(values.dtype.char)
        if values.size:  # an empty array cannot be cast
            filled.frombytes(memoryview(values).cast("B"))  # type: ignore[arg-type]
        return filled


ROS = RosTypes()
