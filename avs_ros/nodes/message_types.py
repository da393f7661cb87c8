"""Message and service classes of the ROS 2 installation, by name."""

from __future__ import annotations

import array
import importlib
import os
from typing import Any

from numpy.typing import NDArray

from avs_ros.errors import MessageTypeError


def interface(name: str) -> Any:
    """The class called ``package/msg/Name`` or ``package/srv/Name``.

    For types that are known by name only (read off the graph or a table); others are imported
    plainly.  Raises :class:`MessageTypeError`, which says what to install.
    """
    package, kind, title = name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.{kind}"), title)
    except (ImportError, AttributeError) as error:
        distribution = os.environ.get("ROS_DISTRO", "<distribution>")
        raise MessageTypeError(
            f"{name} is not installed ({error}); try: apt install "
            f"ros-{distribution}-{package.replace('_', '-')}"
        ) from error


class RosTypes:
    """:class:`~avs_ros.conversions.MessageTypes` of the installation."""

    def __call__(self, type_name: str) -> Any:
        """The class of this name; raises :class:`MessageTypeError`."""
        return interface(type_name)

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
