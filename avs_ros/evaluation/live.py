"""What a recorder kept of a live replay, and the truth in the bag -> scores with drops and delays.

The bag was played with its own stamps (``start_stamp:=recorded``) and ``/clock``, so answers and
truths pair by stamp.  A frame without an answer is a missed frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avs_ros.conversions.camera import CameraModel, read_camera_info, read_ray
from avs_ros.conversions.detections import read_detections
from avs_ros.conversions.image_reading import read_mask, read_probability
from avs_ros.conversions.messages import stamp_to_ns
from avs_ros.errors import BagError
from avs_ros.evaluation import metrics
from avs_ros.evaluation.frame_scores import ScoredFrame
from avs_ros.evaluation.score_sheet import ScoreSheet
from avs_ros.evaluation.truth import Truth
from avs_ros.media.bag_types import typestore_for
from avs_ros.segmentation import Bytes
from avs_ros.streaming.audio_buffer import AUDIO_COUNTERS
from avs_ros.streaming.synchronizer import FRAME_COUNTERS

CAMERA_INFO, DIAGNOSTICS = "/camera_info", "/diagnostics"
# Counters of the node in words.  Those of NO_TROUBLE are counted, but nothing was lost: the rest
# are drops and troubles.
COUNTED = {**FRAME_COUNTERS, **AUDIO_COUNTERS}
NO_TROUBLE = {"frames_received", "frames_paired", "audio_chunks", "audio_samples"}


def topics_of(node: str, probability: bool) -> dict[str, str]:
    """Topics that a live replay records, name -> type; ``probability`` makes M_F exact."""
    topics = {
        CAMERA_INFO: "sensor_msgs/msg/CameraInfo",
        DIAGNOSTICS: "diagnostic_msgs/msg/DiagnosticArray",
        f"{node}/mask": "sensor_msgs/msg/Image",
        f"{node}/detections": "vision_msgs/msg/Detection2DArray",
        f"{node}/attention": "geometry_msgs/msg/PointStamped",
        f"{node}/debug/latency_ms": "std_msgs/msg/Float64",
        f"{node}/debug/sync_error_ms": "std_msgs/msg/Float64",
    }
    if probability:
        topics[f"{node}/probability"] = "sensor_msgs/msg/Image"
    return topics


@dataclass
class LiveRun:
    """Scores of live replays; :meth:`read` adds one recording.

    ``latencies_ms``, ``sync_errors_ms``: of every answer, as the node published them on
    ``~/debug``, in real milliseconds.  ``drops``: reason -> frames or events.  ``played``,
    ``answers``: images that went out and masks that came back, with a truth or without.
    ``at_once``: IoU of each true frame with the newest mask there was when the frame came, which
    is what a robot acts on.
    """

    sheet: ScoreSheet
    latencies_ms: list[float] = field(default_factory=list)
    sync_errors_ms: list[float] = field(default_factory=list)
    drops: Counter[str] = field(default_factory=Counter)
    at_once: list[float] = field(default_factory=list)
    played: int = 0
    answers: int = 0

    def read(
        self, recording: Path, name: str, node: str, truths: Mapping[int, Truth], rate: float = 1.0
    ) -> None:
        """Add what was recorded of ``node`` while the bag ``name`` played at speed ``rate``.

        Raises BagError when there is no answer at all.
        """
        from rosbags.rosbag2 import Reader

        one, before = _LiveRecording(self, truths, rate), self.answers
        topics = topics_of(node, probability=True)
        with Reader(recording) as reader:
            types = typestore_for(recording, reader.connections)
            for connection, recorded_ns, raw in reader.messages():
                if connection.topic in topics:
                    msg = types.deserialize_cdr(raw, connection.msgtype)
                    one.take(connection.topic.removeprefix(node), msg, recorded_ns)
        if self.answers == before:
            raise BagError(f"{recording}: the node answered none of {len(one.arrived)} images")
        self.sheet.begin(name)
        for stamp_ns, truth in sorted(truths.items()):
            parts = one.parts.get(stamp_ns, {})
            self.sheet.add(ScoredFrame(
                stamp_ns, **(parts if "mask" in parts else {"mask": None}), truth=truth.mask,
                true_labels=truth.labels, true_boxes=truth.boxes,
            ))  # fmt: skip
        self.played += len(one.arrived)
        self.drops.update(drops_by_reason(one.counters, len(one.arrived)))

    def result(self, probability: bool) -> dict[str, Any]:
        """:meth:`ScoreSheet.result` with what only a live run has.

        ``latency_ms``: age of a frame when its answer was published; ``round_trip_ms``: from the
        image's arrival at a third process to its mask's; ``m_j_at_once``: see ``at_once``;
        ``answered_share``: masks for each image.  Without ``probability`` M_F is None.
        """
        scores = self.sheet.result()
        scores["round_trip_ms"] = scores["latency_ms"]
        scores["latency_ms"] = metrics.percentiles(self.latencies_ms)
        scores["sync_error_ms"] = metrics.percentiles(self.sync_errors_ms)
        scores["m_j_at_once"] = float(np.mean(self.at_once)) if self.at_once else None
        scores["images"], scores["answers"] = self.played, self.answers
        scores["answered_share"] = self.answers / max(1, self.played)
        scores["drops"] = dict(self.drops)
        if not probability:
            scores["m_f"] = scores["m_f_set"] = scores["average_precision"] = None
        return scores


class _LiveRecording:
    """One recording, message by message, in the order of arrival; adds to ``run``."""

    def __init__(self, run: LiveRun, truths: Mapping[int, Truth], rate: float) -> None:
        self.run, self.truths, self.rate = run, truths, rate
        self.parts: dict[int, dict[str, Any]] = {}
        self.arrived: dict[int, int] = {}
        self.counters: dict[str, int] = {}
        self._camera: CameraModel | None = None
        self._newest: Bytes | None = None

    def take(self, topic: str, msg: Any, recorded_ns: int) -> None:
        """The next message on ``topic``, less the node's name."""
        if topic == CAMERA_INFO:  # goes out with each image, and is light to record
            self._camera = read_camera_info(msg)
            self._arrives(stamp_to_ns(msg.header.stamp), recorded_ns)
        elif topic == "/mask":
            self.run.answers += 1
            self._newest = np.array(read_mask(msg))
            sent_ns = self.arrived.get(stamp_to_ns(msg.header.stamp))
            latency_ms = None if sent_ns is None else (recorded_ns - sent_ns) * 1e-6
            self._part(msg, mask=self._newest, latency_ms=latency_ms)
        elif topic == "/detections":
            found = read_detections(msg)
            labels = tuple(dict.fromkeys(one.label for one in found))
            self._part(msg, labels=labels, boxes=tuple(one.box for one in found))
        elif topic == "/attention" and self._camera is not None:
            self._part(msg, point=pixel_of(self._camera, read_ray(msg)))
        elif topic == "/probability":
            self._part(msg, probability=np.array(read_probability(msg)))
        elif topic == "/debug/latency_ms":
            # The node measures in the time of the bag, which runs at ``rate``.
            self.run.latencies_ms.append(float(msg.data) / self.rate)
        elif topic == "/debug/sync_error_ms":
            self.run.sync_errors_ms.append(float(msg.data))
        elif topic == DIAGNOSTICS:
            self.counters |= {
                pair.key: int(pair.value)
                for status in msg.status for pair in status.values
                if (pair.key in COUNTED or pair.key.startswith("refused"))
                and str(pair.value).isdecimal()
            }  # fmt: skip

    def _part(self, msg: Any, **parts: Any) -> None:
        """Something of the frame of ``msg``, if it has a truth: fields of :class:`ScoredFrame`."""
        stamp_ns = stamp_to_ns(msg.header.stamp)
        if stamp_ns in self.truths:
            self.parts.setdefault(stamp_ns, {}).update(parts)

    def _arrives(self, stamp_ns: int, recorded_ns: int) -> None:
        """An image; where its truth is a mask, the newest answer is what a robot acts on."""
        self.arrived.setdefault(stamp_ns, recorded_ns)
        truth = self.truths.get(stamp_ns)
        if truth is not None and truth.mask is not None:
            mask = np.zeros_like(truth.mask) if self._newest is None else self._newest
            now = ScoredFrame(stamp_ns, mask, truth.mask).fitted()
            marked = now.marked[None].astype(np.float32)
            self.run.at_once.append(float(metrics.frame_iou(marked, truth.mask[None])[0]))


def pixel_of(camera: CameraModel, ray: tuple[float, float, float]) -> tuple[float, float]:
    """Unit ray in the optical frame -> [x, y] px; the inverse of :meth:`CameraModel.ray`."""
    x, y, z = ray
    if camera.fisheye:
        flat = np.array([[[x / z, y / z]]])
        pixel = cv2.fisheye.distortPoints(flat, camera.k, camera.distortion[:4])
    else:
        direction, still = np.array([ray], np.float64), np.zeros(3)
        pixel, _ = cv2.projectPoints(direction, still, still, camera.k, camera.distortion)
    u, v = np.asarray(pixel).reshape(2)
    return float(u) + 0.5, float(v) + 0.5


def drops_by_reason(counters: Mapping[str, int], played: int) -> dict[str, int]:
    """The node's counters of drops and troubles in words, those that are not zero.

    ``played``: images that went out; what the node never received counts as lost on the way.
    """
    told = {
        COUNTED.get(name, name).removeprefix("of these, "): count
        for name, count in counters.items()
        if count and name not in NO_TROUBLE
    }
    lost = played - counters.get("frames_received", played)
    if lost > 0:
        told["frames that never reached the node's stream (lost on the way, or refused)"] = lost
    return told
