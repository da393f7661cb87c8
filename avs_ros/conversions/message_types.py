"""Where message classes come from: the conversions make whatever classes they are handed.

``avs run`` hands in the classes of rosbags (``BAG`` of :mod:`avs_ros.media.bag_messages`), the
nodes those of the ROS 2 installation (``ROS`` of ``avs_ros.nodes.message_types``).
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from numpy.typing import NDArray

# Message classes are generated on the machine that runs ROS 2: no checker can know their fields.
Message: TypeAlias = Any


class MessageTypes(Protocol):
    """Message classes by name, and arrays in the form that their fields take."""

    def __call__(self, type_name: str) -> Any:
        """The class called ``package/msg/Name``; fields left out of its call are zero or empty.

        Raises :class:`~avs_ros.errors.MessageTypeError` where it is not known.
        """
        ...

    def array(self, values: NDArray[Any]) -> Any:
        """``values`` (float64, float32, int16 or uint8, any shape), flat, for an array field."""
        ...
