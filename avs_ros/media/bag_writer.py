"""Write a bag that AnyReader, `ros2 bag` and Foxglove open: an mcap file, or a rosbag2 folder.

And what the segmentation node would have published about a run, as one.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from avs_ros.conversions.detections import make_label_info
from avs_ros.conversions.messages import OK, Status, make_diagnostics, make_header
from avs_ros.conversions.topics import DIAGNOSTICS, LABEL_INFO, Output, Topic, messages
from avs_ros.errors import BagError, ParameterError, optional
from avs_ros.media.bag_types import BAG, SECOND_AUDIO, STORAGES, known_types, serialize

# The newest form of metadata that `ros2 bag` of Humble can read, too.
METADATA_VERSION: Final = 8
Bag = TypeVar("Bag", bound="BagWriter")


class BagWriter:
    """A bag of messages, whole after :meth:`close`; :meth:`abort` leaves nothing.

    A path that ends in ``.mcap`` becomes one file, any other a folder with ``metadata.yaml``.
    Chunks of an mcap are compressed with zstd: masks shrink to almost nothing.
    """

    def __init__(self, path: Path, storage: str = "mcap") -> None:
        """Begin ``path``; an older bag there is replaced when this one is closed.

        ``storage``: one of :data:`~avs_ros.media.bag_types.STORAGES`.  Raises ParameterError where
        path and storage do not fit together, BagError when the path cannot be written.
        """
        optional("rosbags.rosbag2", "Writing bags")
        from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

        _check(path, storage)
        self.path = path
        self.counts: dict[str, int] = {}
        self._beside = path.with_name(f".{path.name}.part")
        # The storage file inside gets the folder's name.
        self._folder = self._beside / path.stem
        shutil.rmtree(self._beside, ignore_errors=True)
        plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
        self._writer = Writer(self._folder, version=METADATA_VERSION, storage_plugin=plugin)
        if storage == "mcap":
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
        """Add a message of :class:`BagMessages` to a declared topic, recorded at ``stamp_ns``."""
        data = serialize(message, self._connections[topic].msgtype)
        self.write_serialized(topic, data, stamp_ns)

    def write_serialized(self, topic: str, data: bytes, stamp_ns: int) -> None:
        """Add a message that is CDR bytes already."""
        self._writer.write(self._connections[topic], stamp_ns, data)
        self.counts[topic] += 1

    def close(self) -> None:
        """Finish the bag and put it in its place."""
        self._writer.close()
        if self.path.suffix == ".mcap":
            (self._folder / f"{self._folder.name}.mcap").replace(self.path)
        else:
            if self.path.exists():
                shutil.rmtree(self.path)
            self._folder.replace(self.path)
        shutil.rmtree(self._beside, ignore_errors=True)

    def abort(self) -> None:
        """Throw away what was written."""
        self._writer.abort()
        shutil.rmtree(self._beside, ignore_errors=True)

    def __enter__(self: Bag) -> Bag:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close, or abort after an error."""
        if kind is None:
            self.close()
        else:
            self.abort()


def _check(path: Path, storage: str) -> None:
    if storage not in STORAGES:
        raise ParameterError(f"storage is {storage!r}; use one of {', '.join(STORAGES)}")
    if path.suffix == ".mcap":
        if storage != "mcap":
            raise ParameterError(f"{path} ends in .mcap: a {storage} bag is a folder, name one")
        return
    if path.suffix == ".db3":
        raise ParameterError(
            f"{path}: a sqlite3 bag is a folder with metadata.yaml and a .db3; name the folder"
        )
    if path.exists() and not (path / "metadata.yaml").is_file():
        raise BagError(f"{path} is there and is no rosbag2; choose another name")


def _qos(latched: bool) -> Any:
    """What `ros2 bag play` shall offer: reliable, and kept for late subscribers if latched."""
    from rosbags import interfaces as ros

    durability = ros.QosDurability.TRANSIENT_LOCAL if latched else ros.QosDurability.VOLATILE
    forever = ros.QosTime(9223372036, 854775807)
    return ros.Qos(
        ros.QosHistory.KEEP_LAST, 1 if latched else 10, ros.QosReliability.RELIABLE, durability,
        forever, forever, ros.QosLiveliness.AUTOMATIC, forever, False,
    )


NODE = "/segmentation_node"


def full_name(topic: Topic) -> str:
    """The name of one of the node's topics on the graph."""
    return topic.name.replace("~", NODE, 1)


class AnswerBag(BagWriter):
    """A bag of the node's ``topics`` and /diagnostics."""

    def __init__(
        self, path: Path, topics: Sequence[Topic], labels: Sequence[str], threshold: float
    ) -> None:
        """``labels``, ``threshold``: the model's vocabulary and the mask's threshold (0..1)."""
        super().__init__(path)
        self._topics, self._labels, self._threshold = topics, labels, threshold
        self._last_ns = 0
        for topic in (*topics, DIAGNOSTICS):
            self.declare(full_name(topic), topic.type_name, topic.quality == "latched")

    def add(self, answer: Output, recorded_ns: int) -> None:
        """Write an answer as recorded at ``recorded_ns``; before the first one, the labels."""
        label_info, stamp_ns = full_name(LABEL_INFO), answer.segmentation.stamp_ns
        if not self.counts[label_info]:
            header = make_header(BAG, stamp_ns)
            info = make_label_info(BAG, header, self._labels, self._threshold)
            self.write(label_info, info, stamp_ns)
        for topic, message in messages(BAG, answer, self._topics.__contains__):
            self.write(full_name(topic), message, recorded_ns)
        self._last_ns = recorded_ns

    def finish(self, message: str, values: Mapping[str, object]) -> None:
        """One page of diagnostics with ``values``, at the time of the last answer (if any)."""
        if self._last_ns:
            told = {name: str(value) for name, value in values.items()}
            status = Status("segmentation_node: stream", OK, message, told)
            page = make_diagnostics(BAG, self._last_ns, [status])
            self.write(DIAGNOSTICS.name, page, self._last_ns)
