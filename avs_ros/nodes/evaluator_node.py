"""Answers of a segmentation node and the truth of a bag -> scores, while the bag plays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avs_ros.conversions import (
    Message,
    read_detections,
    read_mask,
    read_probability,
    stamp_to_ns,
)
from avs_ros.errors import AvsError, DatasetError
from avs_ros.evaluation import run_files
from avs_ros.evaluation.pairing import StampPairing
from avs_ros.evaluation.score_sheet import ScoreSheet
from avs_ros.middleware import get_message, rclpy
from avs_ros.nodes import quality_of_service
from avs_ros.nodes.declared_parameters import DeclaredParameters
from avs_ros.nodes.entry_point import run_node
from avs_ros.nodes.parameters import EVALUATOR
from avs_ros.nodes.topics import EVALUATOR_INPUTS, EVALUATOR_OUTPUTS, qos_of
from avs_ros.report.evaluation_report import EvaluationSummary, write_report


class EvaluatorNode(rclpy.node.Node):  # type: ignore[misc, name-defined]
    """Scores every frame that has a truth; at the end writes what :mod:`run_files` describes and
    ``report.html``.

    ``~/iou`` shows the running mean, for whoever watches.
    """

    def __init__(self, node_name: str = "evaluator_node", **options: Any) -> None:
        """Subscribe; ``options`` go to ``rclpy.node.Node``."""
        super().__init__(node_name, **options)
        self._settings = DeclaredParameters(self, EVALUATOR)
        self._sheet = ScoreSheet(self._settings["batch_frames"])
        self._pairing = StampPairing(self._sheet, self._settings["wait"])
        self._malformed = 0
        self._written = False
        callbacks = {
            "mask": self._on_mask,
            "detections": self._on_detections,
            "probability": self._on_probability,
            "ground_truth/mask": self._on_truth,
            "ground_truth/detections": self._on_true_detections,
        }
        for topic in EVALUATOR_INPUTS:
            if topic.name == "probability" and not self._settings["use_probability"]:
                continue
            resolved = self.resolve_topic_name(topic.name)
            self.create_subscription(
                get_message(topic.type_name),
                topic.name,
                callbacks[topic.name],
                quality_of_service.profile(self._settings["qos"], topic.depth),
                event_callbacks=quality_of_service.subscription_events(
                    resolved, self.get_logger().warning
                ),
                qos_overriding_options=quality_of_service.overridable(),
            )
        topic = EVALUATOR_OUTPUTS[0]
        self._mean = self.create_publisher(get_message(topic.type_name), topic.name, qos_of(topic))

    def _put(self, msg: Message, **parts: Any) -> None:
        self._pairing.put(stamp_to_ns(msg.header.stamp), **parts)

    def _refuse(self, error: AvsError) -> None:
        self._malformed += 1
        self.get_logger().warning(f"message refused: {error}", throttle_duration_sec=5.0)

    def _on_mask(self, msg: Message) -> None:
        age_ns = self.get_clock().now().nanoseconds - stamp_to_ns(msg.header.stamp)
        try:
            self._put(msg, mask=read_mask(msg), latency_ms=age_ns * 1e-6)
        except AvsError as error:
            self._refuse(error)
        if (mean := self._sheet.running_iou()) is not None:
            self._mean.publish(get_message("std_msgs/msg/Float64")(data=mean))

    def _on_probability(self, msg: Message) -> None:
        try:
            self._put(msg, probability=read_probability(msg))
        except AvsError as error:
            self._refuse(error)

    def _on_detections(self, msg: Message) -> None:
        found = read_detections(msg)
        self._put(
            msg,
            labels=tuple(one.label for one in found),
            boxes=tuple(one.box for one in found),
            point=max(found, key=lambda one: one.score).center if found else None,
        )

    def _on_truth(self, msg: Message) -> None:
        try:
            self._put(msg, truth=read_mask(msg))
        except AvsError as error:
            self._refuse(error)

    def _on_true_detections(self, msg: Message) -> None:
        found = read_detections(msg)
        self._put(
            msg,
            true_labels=tuple(one.label for one in found if one.label),
            true_boxes=tuple(one.box for one in found),
        )

    def finish(self) -> None:
        """Score what is held and write the files; once."""
        if self._written:
            return
        self._written = True
        self._pairing.flush()
        folder = Path(self._settings["output"]).expanduser()
        try:
            scores = self._sheet.result()
        except DatasetError as error:
            self.get_logger().error(str(error))
            return
        try:
            run_files.make_folder(folder)
        except DatasetError as error:
            self.get_logger().error(str(error))
            return
        run_files.write_frames(folder / run_files.FRAMES, self._sheet.records())
        about = {
            "mode": "live", "source": "evaluator_node", "frames_file": run_files.FRAMES, **scores,
            "malformed_messages": self._malformed,
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
                "malformed messages": self._malformed,
            },
        )
        write_report(folder / "report.html", summary)
        shown = ", ".join(
            f"{words} {scores[name]:.4f}"
            for name, words in (("m_j", "M_J"), ("m_f", "M_F"), ("c_iou", "cIoU"))
            if scores[name] is not None
        )
        self.get_logger().info(f"{scores['frames']} frames: {shown}; written to {folder}")

    def destroy_node(self) -> None:
        """Write the files before the node goes."""
        self.finish()
        super().destroy_node()


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is interrupted; returns the exit status."""
    return run_node(EvaluatorNode, args)
