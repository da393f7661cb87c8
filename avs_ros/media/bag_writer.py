"""Write one mcap file that AnyReader, `ros2 bag` and Foxglove open."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from avs_ros.errors import BagError, MissingDependencyError
from avs_ros.media.bag_types import SECOND_AUDIO, known_types
from avs_ros.middleware import rclpy


class BagWriter:
    """A bag of middleware messages in one ``.mcap`` file, whole after :meth:`close`.

    rosbags writes a folder; only the file in it is kept.  Chunks are compressed with zstd: masks
    shrink to almost nothing.
    """

    def __init__(self, path: Path) -> None:
        """Begin ``path``; an older file there is replaced when this one is closed."""
        try:
            from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
        except ImportError as error:
            raise MissingDependencyError(
                "rosbags", "Writing bags", "pip install rosbags"
            ) from error
        self.path = path
        self.counts: dict[str, int] = {}
        self._folder = path.with_name(f".{path.stem}.part")
        shutil.rmtree(self._folder, ignore_errors=True)
        self._writer = Writer(self._folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        try:
            self._writer.open()
        except OSError as error:
            raise BagError(f"{path}: cannot be written ({error.strerror})") from error
        self._connections: dict[str, Any] = {}

    def declare(self, topic: str, type_name: str, latched: bool = False) -> None:
        """Make ``topic`` known (also one that will stay empty)."""
        if topic in self._connections:
            return
        self._connections[topic] = self._writer.add_connection(
            topic, type_name, typestore=known_types(type_name in SECOND_AUDIO),
            offered_qos_profiles=[_qos(latched)],
        )
        self.counts[topic] = 0

    def write(self, topic: str, message: Any, stamp_ns: int) -> None:
        """Add a message of the middleware to a declared topic, recorded at ``stamp_ns``."""
        self.write_serialized(topic, rclpy.serialization.serialize_message(message), stamp_ns)

    def write_serialized(self, topic: str, data: bytes, stamp_ns: int) -> None:
        """Add a message that is CDR bytes already."""
        self._writer.write(self._connections[topic], stamp_ns, data)
        self.counts[topic] += 1

    def close(self) -> None:
        """Finish the file and put it in its place."""
        self._writer.close()
        (self._folder / f"{self._folder.name}.mcap").replace(self.path)
        shutil.rmtree(self._folder, ignore_errors=True)


def _qos(latched: bool) -> Any:
    """What `ros2 bag play` shall offer: reliable, and kept for late subscribers if latched."""
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )

    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    forever = QosTime(9223372036, 854775807)
    return Qos(
        QosHistory.KEEP_LAST, 1 if latched else 10, QosReliability.RELIABLE, durability,
        forever, forever, QosLiveliness.AUTOMATIC, forever, False,
    )
