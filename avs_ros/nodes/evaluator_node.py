"""Answers of a segmentation node and the truth of a bag -> scores, while the bag plays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Float64
from vision_msgs.msg import Detection2DArray

from avs_ros.conversions.detections import Detection, read_detections
from avs_ros.conversions.image_reading import read_mask, read_probability
from avs_ros.conversions.messages import Message, stamp_to_ns
from avs_ros.errors import DatasetError
from avs_ros.evaluation import run_files
from avs_ros.evaluation.pairing import StampPairing
from avs_ros.evaluation.score_sheet import ScoreSheet
from avs_ros.nodes.declared_parameters import BaseNode
from avs_ros.nodes.diagnostics import Listening
from avs_ros.nodes.entry_point import run_node
from avs_ros.nodes.subscriptions import MessageCounters
from avs_ros.nodes.topics import TOPICS
from avs_ros.report.evaluation_report import EvaluationSummary, write_report


class EvaluatorNode(BaseNode):
    """Scores every frame that has a truth; at the end writes what :mod:`run_files` describes and
    ``report.html``.

    ``~/iou`` shows the running mean, for whoever watches; ``failed`` is whether nothing could be
    scored or written.
    """

    TABLE = "evaluator_node"
    failed = False
    _written = True  # nothing to write before there is anything to score

    def _set_up(self) -> None:
        self._sheet = ScoreSheet(self._settings["batch_frames"])
        self._pairing = StampPairing(self._sheet, self._settings["wait"])
        self._refused = MessageCounters(self.get_logger())
        self._mean = self.publisher(self.topics["~/iou"])
        callbacks: dict[str, Callable[[Message], None]] = {
            "mask": self._on_mask,
            "detections": self._on_detections,
            "ground_truth/mask": lambda msg: self._put(msg, truth=read_mask(msg)),
            "ground_truth/detections": self._on_true_detections,
        }
        if self._settings["use_probability"]:
            callbacks["probability"] = (
                lambda msg: self._put(msg, probability=read_probability(msg))
            )
        self._inputs = Listening(
            self, TOPICS[self.TABLE]["subscribes"], self._settings["qos"], self._refused, callbacks
        )
        self._written = False

    def _put(self, msg: Message, **parts: Any) -> None:
        self._pairing.put(stamp_to_ns(msg.header.stamp), **parts)

    def _on_mask(self, msg: Image) -> None:
        age_ns = self.now_ns() - stamp_to_ns(msg.header.stamp)
        self._put(msg, mask=read_mask(msg), latency_ms=age_ns * 1e-6)
        if (mean := self._sheet.running_iou()) is not None:
            self._mean.publish(Float64(data=mean))

    def _on_detections(self, msg: Detection2DArray) -> None:
        found = self._read(msg)
        self._put(
            msg,
            labels=tuple(one.label for one in found),
            boxes=tuple(one.box for one in found),
            point=max(found, key=lambda one: one.score).center if found else None,
        )

    def _on_true_detections(self, msg: Detection2DArray) -> None:
        found = self._read(msg)
        self._put(
            msg,
            true_labels=tuple(one.label for one in found if one.label),
            true_boxes=tuple(one.box for one in found),
        )

    def _read(self, msg: Detection2DArray) -> list[Detection]:
        """The detections; those whose box is not finite are counted and left out."""
        found = read_detections(msg)
        finite = [one for one in found if np.isfinite((*one.box, one.score)).all()]
        for _ in range(len(found) - len(finite)):
            self._refused.count("detection_not_finite", "a detection's box or score is not finite")
        return finite

    def finish(self) -> None:
        """Score what is held and write the files; once."""
        if self._written:
            return
        self._written = True
        folder = Path(self._settings["output"]).expanduser()
        try:
            self._pairing.flush()
        except Exception as error:  # the other frames' scores are there
            self._refused.refuse(error, "frame")
        try:
            scores = self._sheet.result()
            run_files.make_folder(folder)
        except DatasetError as error:
            self.failed = True
            self.get_logger().error(str(error))
            return
        run_files.write_frames(folder / run_files.FRAMES, self._sheet.records())
        malformed = sum(self._refused.counts().values())
        about = {
            "mode": "live", "source": "evaluator_node", "frames_file": run_files.FRAMES, **scores,
            "malformed_messages": malformed,
        }
        run_files.write_metrics(folder, about)
        summary = EvaluationSummary(
            "Evaluation by replay",
            scores,
            latencies_ms=self._pairing.latencies_ms,
            curves=(
                {"live": self._sheet.precision_recall()}
                if self._settings["use_probability"] else {}
            ),
            drops={
                "frames without an answer": scores["missed_frames"],
                "malformed messages": malformed,
            },
        )
        write_report(folder / "report.html", summary)
        shown = ", ".join(
            f"{description} {scores[name]:.4f}"
            for name, description in (("m_j", "M_J"), ("m_f", "M_F"), ("c_iou", "cIoU"))
            if scores[name] is not None
        )
        self.get_logger().info(f"{scores['frames']} frames: {shown}; written to {folder}")

    def destroy_node(self) -> None:
        """Write the files before the node goes."""
        try:
            self.finish()
        finally:
            super().destroy_node()


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is interrupted; returns the exit status, 1 without a score."""
    return run_node(EvaluatorNode, args)
