"""Bags with truth, and recordings of a node that answered some of their frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avs_ros.conversions.camera import make_camera_info
from avs_ros.conversions.image_writing import make_image
from avs_ros.conversions.messages import Status, make_diagnostics, make_header
from avs_ros.evaluation.bag_making import SceneWriter
from avs_ros.evaluation.live import topics_of
from avs_ros.evaluation.truth import read_truth
from avs_ros.media.bag_types import BAG
from avs_ros.media.bag_writer import BagWriter

START = 1_700_000_000_000_000_000
TENTH = 100_000_000
NODE = "/segmentation_node"
PITCH = {"lamp": 0.2, "fan": 0.9}


def lamp_scene(path: Path, *, wrong: bool = False, frames: int = 30, **form: object) -> Path:
    """A lamp that is loud in its second second; ``wrong``: the truth says the dark side sounds."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[10:30, 20:40] = 255
    mask = (image[..., 0] == 0 if wrong else image[..., 0] > 0).astype(np.uint8)
    writer = SceneWriter(path, **form)  # type: ignore[arg-type]
    tone = (np.sin(np.arange(16000) * 0.2) * 8000).astype(np.int16)
    for second in range(3):
        sound = tone if second == 1 else np.zeros(16000, np.int16)
        writer.sound(START + second * 10 * TENTH, sound, 16000)
    for n in range(1, frames + 1):
        stamp = START + n * TENTH
        writer.image(stamp, image)
        loud = 11 <= n <= 19
        writer.truth(stamp, mask if loud else 0 * mask, ["lamp"] if loud else [])
    writer.close()
    return path


def recorded(path: Path, bag: Path, *, answered: slice) -> Path:
    """What a recorder keeps when the frames in ``answered`` get the true mask 30 ms later."""
    truths = sorted(read_truth(bag).items())
    writer = BagWriter(path)
    for topic, kind in topics_of(NODE, False).items():
        writer.declare(topic, kind)
    chosen = {stamp for stamp, _ in truths[answered]}
    for stamp, truth in truths:
        header = make_header(BAG, stamp)
        writer.write("/camera_info", make_camera_info(BAG, header, 64, 48, 1.0), stamp)
        if stamp in chosen:
            mask = make_image(BAG, header, truth.mask)
            writer.write(f"{NODE}/mask", mask, stamp + 30_000_000)
            age = BAG("std_msgs/msg/Float64")(data=60.0)
            writer.write(f"{NODE}/debug/latency_ms", age, stamp + 30_000_001)
    values = {"frames_received": "28", "dropped_busy": "7", "frames_paired": "21"}
    status = Status("segmentation_node: stream", b"\x00", "running", values)
    page = make_diagnostics(BAG, truths[-1][0], [status])
    writer.write("/diagnostics", page, truths[-1][0] + TENTH)
    writer.close()
    return path


def scene(path: Path, label: str = "lamp", frames: int = 20) -> Path:
    """Two seconds of a bright thing that hums all the time; a truth for each frame."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[10:30, 20:40] = 255
    writer = SceneWriter(path)
    hum = (np.sin(np.arange(32000) * PITCH[label]) * 6000).astype(np.int16)
    writer.sound(START, hum, 16000)
    for n in range(1, frames + 1):
        writer.image(START + n * TENTH, image)
        writer.truth(START + n * TENTH, image[..., 0], [label])
    writer.close()
    return path
