"""The truth in a bag: masks and names of what sounds, by header stamp."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avs_ros.errors import BagError
from avs_ros.media.bag_types import typestore_for
from avs_ros.messages import read_detections, read_mask, stamp_to_ns
from avs_ros.segmentation import Bytes

MASK = "ground_truth/mask"
DETECTIONS = "ground_truth/detections"


@dataclass(frozen=True)
class Truth:
    """One frame: ``mask`` uint8 ``[h, w]``, above 0 = sounding; ``labels`` of what sounds."""

    mask: Bytes
    labels: tuple[str, ...] = ()


def read_truth(path: Path, topic: str = "") -> dict[int, Truth]:
    """Header stamp (ns) -> truth.

    ``topic``: of the masks; "" = the one that ends in ``ground_truth/mask``, names beside it in
    ``ground_truth/detections``.  Raises BagError when the bag has no such topic.
    """
    from avs_ros.media.bag import open_reader

    reader = open_reader(path)
    try:
        store = typestore_for(path, reader.connections)
        topics = {connection.topic for connection in reader.connections}
        wanted = topic or next((t for t in sorted(topics) if t.endswith(MASK)), "")
        if wanted not in topics:
            raise BagError(
                f"{path} has no topic {topic or '…/' + MASK} with true masks; its topics: "
                f"{', '.join(sorted(topics))}"
            )
        beside = wanted.removesuffix("mask") + "detections"
        masks: dict[int, Bytes] = {}
        labels: dict[int, tuple[str, ...]] = {}
        chosen = [c for c in reader.connections if c.topic in (wanted, beside)]
        for connection, _, data in reader.messages(connections=chosen):
            msg: Any = store.deserialize_cdr(data, connection.msgtype)
            stamp_ns = stamp_to_ns(msg.header.stamp)
            if connection.topic == wanted:
                masks[stamp_ns] = np.array(read_mask(msg))
            else:
                labels[stamp_ns] = tuple(one.label for one in read_detections(msg))
    finally:
        reader.close()
    return {stamp: Truth(mask, labels.get(stamp, ())) for stamp, mask in masks.items()}


def bags_in(path: Path) -> Iterator[Path]:
    """``path`` itself if it is a bag, else every bag below it, in order of name.

    Raises BagError when there is none.
    """
    if path.is_file() or (path / "metadata.yaml").is_file():
        yield path
        return
    found = sorted(
        {p.parent for p in path.rglob("metadata.yaml")}
        | {p for p in path.rglob("*.mcap") if not (p.parent / "metadata.yaml").is_file()}
        | {p for p in path.rglob("*.db3") if not (p.parent / "metadata.yaml").is_file()}
    )
    if not found:
        raise BagError(f"{path} holds no rosbag2 (.mcap, .db3 or a folder with metadata.yaml)")
    yield from found
