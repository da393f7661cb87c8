"""The truth in a bag: masks, or boxes, and names of the sounding object, by header stamp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.conversions.detections import read_detections
from avs_ros.conversions.image_reading import read_mask
from avs_ros.conversions.messages import stamp_to_ns
from avs_ros.errors import AvsError, BagError
from avs_ros.evaluation.boxes import Box, filled
from avs_ros.media.bag_types import typestore_for
from avs_ros.segmentation import Bytes

if TYPE_CHECKING:
    from avs_ros.media.bag import BagOptions

MASK = "ground_truth/mask"
DETECTIONS = "ground_truth/detections"
# Suffixes of bags that are one file.
FILES = (".mcap", ".db3")
IMAGE_TYPE, DETECTIONS_TYPE = "sensor_msgs/msg/Image", "vision_msgs/msg/Detection2DArray"


@dataclass(frozen=True)
class Truth:
    """One frame: ``mask`` uint8 ``[h, w]``, above 0 = sounding; ``labels`` of the sounding object.

    ``mask`` None: only ``boxes`` around the sounding object are known (px of the image).
    """

    mask: Bytes | None
    labels: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()

    def shown(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """The sounding object, bool ``[h, w]``: the mask, or the boxes filled in ``shape``."""
        return filled(self.boxes, shape) if self.mask is None else self.mask > 0


def read_truth(path: Path, topic: str = "") -> dict[int, Truth]:
    """Header stamp (ns) -> truth.

    ``topic``: of masks (names beside it, in ``detections``) or of boxes; "" = masks on the topic
    that ends in ``ground_truth/mask``, else boxes on the one in ``ground_truth/detections``.
    Raises BagError when the bag has no such topic, no message on it, or one that is broken.
    """
    from avs_ros.media.bag_files import open_reader

    with closing(open_reader(path)) as reader:
        try:
            return _read(reader, path, topic)
        except AvsError:
            raise
        except Exception as error:  # a broken file breaks the reader in any way it likes
            raise BagError(f"{path}: broken in the middle ({error})") from error


def _read(reader: Any, path: Path, topic: str) -> dict[int, Truth]:
    types = {connection.topic: connection.msgtype for connection in reader.connections}
    wanted = _choose(types, path, topic)
    masked = types[wanted] == IMAGE_TYPE
    beside = wanted.removesuffix("mask") + "detections" if masked else wanted
    masks: dict[int, Bytes] = {}
    found: dict[int, tuple[tuple[str, ...], tuple[Box, ...]]] = {}
    chosen = [c for c in reader.connections if c.topic in (wanted, beside)]
    store = typestore_for(path, chosen)
    for connection, _, data in reader.messages(connections=chosen):
        msg: Any = store.deserialize_cdr(data, connection.msgtype)
        stamp_ns = stamp_to_ns(msg.header.stamp)
        if masked and connection.topic == wanted:
            masks[stamp_ns] = np.array(read_mask(msg))
        else:
            boxes = read_detections(msg)
            names = tuple(one.label for one in boxes if one.label)
            found[stamp_ns] = names, tuple(one.box for one in boxes)
    if masked:
        truths = {s: Truth(mask, found[s][0] if s in found else ()) for s, mask in masks.items()}
    else:
        truths = {s: Truth(None, labels, boxes) for s, (labels, boxes) in found.items()}
    if not truths:
        raise BagError(_empty(path, wanted))
    return truths


def _choose(types: Mapping[str, str], path: Path, topic: str) -> str:
    """The topic of the truth."""
    fitting = [t for t, kind in sorted(types.items()) if kind in (IMAGE_TYPE, DETECTIONS_TYPE)]
    wanted = f"ground truth (a topic …/{MASK} or …/{DETECTIONS})"
    if topic:
        name = "/" + topic.lstrip("/")
        if name in types and name not in fitting:
            raise BagError(f"{path}: topic {name} is {types[name]}, neither masks nor boxes")
        wanted, found = f"topic {name}", [name] if name in types else []
    else:
        found = [t for ending in (MASK, DETECTIONS) for t in fitting if t.endswith(ending)]
    if not found:
        raise BagError(
            f"{path} has no {wanted}; its topics: {', '.join(sorted(types)) or 'none'}"
        )
    return found[0]


def _empty(path: Path, topic: str) -> str:
    return f"{path}: there is no message on {topic}, so nothing to score against"


def checked_bags(
    given: Sequence[Path], bag: BagOptions | None = None, truth: str = ""
) -> list[Path]:
    """Every bag that is given or lies below a folder that is, in order of name.

    Raises BagError now, not hours later, where there is none, and for a bag that cannot be scored:
    topics, counts and first messages are looked at.  What is doubtful about a bag is printed.
    """
    from avs_ros.media.bag import BagSource

    paths = [path for one in given for path in _bags_in(one)]
    for path in paths:
        with closing(BagSource(path, bag)) as source:
            connections, doubts = source.connections(), source.doubts
        types = {connection.topic: connection.msgtype for connection in connections}
        wanted = _choose(types, path, truth)
        if not any(one.msgcount for one in connections if one.topic == wanted):
            raise BagError(_empty(path, wanted))
        for doubt in doubts:
            print(f"note: {path.name}: {doubt}")
    return paths


def _bags_in(path: Path) -> list[Path]:
    if not path.exists():
        raise BagError(f"{path}: no such bag")
    if path.is_file() or (path / "metadata.yaml").is_file():
        return [path]
    folders = {found.parent for found in path.rglob("metadata.yaml")}
    files = {found for ending in FILES for found in path.rglob(f"*{ending}")}
    found = sorted(folders | {one for one in files if one.parent not in folders})
    if not found:
        raise BagError(f"{path} holds no rosbag2 (.mcap, .db3 or a folder with metadata.yaml)")
    return found


def bag_names(paths: Sequence[Path]) -> list[str]:
    """A name for each bag: that of its file or folder, with as many folders as tell all apart.

    Raises BagError for a bag that is given twice.
    """
    whole = [path.resolve() for path in paths]
    for number, path in enumerate(whole):
        if path in whole[:number]:
            raise BagError(f"{paths[number]} is given twice")
    for depth in range(1, max((len(path.parts) for path in whole), default=1) + 1):
        names = [
            "/".join([*path.parts[-depth:-1], path.stem if path.suffix in FILES else path.name])
            for path in whole
        ]
        if len({*names}) == len(names):
            break
    return names
