"""The evaluator node: answers and truth in, scores on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from node_graph import BASE_NS, NodeGraph

from avs_ros.conversions.detections import make_detections
from avs_ros.conversions.image_writing import make_image
from avs_ros.conversions.messages import make_header
from avs_ros.evaluation.pairing import StampPairing
from avs_ros.evaluation.score_sheet import ScoreSheet
from avs_ros.nodes.evaluator_node import EvaluatorNode
from avs_ros.nodes.message_types import ROS
from avs_ros.segmentation import Instance, Segmentation

TENTH = 100_000_000


def box(on: bool) -> np.ndarray:
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:40] = 255 * on
    return mask


def found(label: str) -> Segmentation:
    one = (Instance(1, label, 0.9, (20.0, 10.0, 40.0, 30.0), 400),)
    empty = np.zeros((4, 4), np.uint8)
    shown = empty.astype(np.float32)
    return Segmentation(1, 64, 48, True, 0.9, label, "", 0.0, one, None, 0.1, shown, empty)


class Replay:
    """Publishes what a node and a bag would."""

    def __init__(self, graph: NodeGraph, output: Path, **parameters: Any) -> None:
        self.graph = graph
        self.output = output
        self.diagnostics = graph.listen("diagnostic_msgs/msg/DiagnosticArray", "/diagnostics")
        self.node = graph.add(EvaluatorNode, parameters={"output": str(output), **parameters})
        image, array = "sensor_msgs/msg/Image", "vision_msgs/msg/Detection2DArray"
        self.mask = graph.publisher(image, "mask", 50)
        self.probability = graph.publisher(image, "probability", 50)
        self.detections = graph.publisher(array, "detections", 50)
        self.truth = graph.publisher(image, "ground_truth/mask", 50)
        self.true_detections = graph.publisher(array, "ground_truth/detections", 50)
        for publisher in (
            self.mask, self.probability, self.detections, self.truth, self.true_detections
        ):  # fmt: skip
            graph.wait(publisher.get_subscription_count, "the evaluator's subscription")

    def frame(self, number: int, answer: bool | None, truth: bool) -> None:
        header = make_header(ROS, BASE_NS + number * TENTH)
        self.truth.publish(make_image(ROS, header, box(truth)))
        if truth:
            self.true_detections.publish(make_detections(ROS, header, found("dog")))
        if answer is None:
            return
        self.mask.publish(make_image(ROS, header, box(answer)))
        shown = np.float32(0.9) * (box(answer) > 0)
        self.probability.publish(make_image(ROS, header, shown))
        if answer:
            self.detections.publish(make_detections(ROS, header, found("dog")))

    def counts(self, name: str) -> int:
        """What /diagnostics counts under ``name``."""
        pages = [page.status[0] for page in self.diagnostics]
        counts = {pair.key: pair.value for pair in pages[-1].values} if pages else {}
        return int(counts.get(name, "0"))

    def wait_for(self, **received: int) -> None:
        """Until the node has had so many messages on these topics (``truth_mask`` and so on)."""
        for name, count in received.items():
            topic = "/" + name.replace("truth_", "ground_truth/")
            self.graph.wait(
                lambda topic=topic, count=count: self.counts(f"received {topic}") == count, topic)

    def scores(self) -> dict[str, Any]:
        self.graph.remove(self.node)  # as at shutdown
        assert (self.output / "report.html").is_file()
        loaded: dict[str, Any] = json.loads((self.output / "metrics.json").read_text())
        return loaded


def test_frames_are_paired_by_stamp_and_scored(graph: NodeGraph, tmp_path: Path) -> None:
    replay = Replay(graph, tmp_path / "out", wait=60.0)
    for number in range(4):
        replay.frame(number, answer=True, truth=True)
    replay.frame(4, answer=True, truth=False)  # marked though nothing sounds
    replay.frame(5, answer=None, truth=True)  # never answered
    without_truth = make_header(ROS, BASE_NS + 9 * TENTH)
    replay.mask.publish(make_image(ROS, without_truth, box(True)))
    replay.wait_for(mask=6, probability=5, detections=5, truth_mask=6, truth_detections=5)
    scores = replay.scores()
    assert scores["frames"] == 5 and scores["missed_frames"] == 1
    assert scores["m_j_sounding"] == pytest.approx(1.0, abs=1e-6)
    assert scores["m_f_set"] == pytest.approx(1.0, abs=1e-6)
    assert scores["silent_empty"] == 0.0 and scores["false_positive_rate"] > 0
    assert scores["label_accuracy"] == 1.0 and scores["c_iou"] == 1.0
    assert scores["latency_ms"] is not None


def test_a_looped_bag_is_a_new_recording(graph: NodeGraph, tmp_path: Path) -> None:
    replay = Replay(graph, tmp_path / "out", wait=1.0)
    for sent in (10, 20, 30, 40):
        # Within the wait, topics may overtake each other.
        for number in range((sent - 10) % 20, (sent - 10) % 20 + 10):
            replay.frame(number, answer=True, truth=True)
        replay.wait_for(mask=sent, truth_mask=sent)
    scores = replay.scores()
    assert scores["recordings"] == 2 and scores["frames"] == 40
    assert scores["missed_frames"] == 0


def test_malformed_masks_are_counted(graph: NodeGraph, tmp_path: Path) -> None:
    replay = Replay(graph, tmp_path / "out", wait=60.0)
    wrong = make_image(ROS, make_header(ROS, BASE_NS), np.zeros((48, 64, 3), np.uint8))
    replay.mask.publish(wrong)
    graph.wait(lambda: replay.counts("refused image_encoding") == 1, "the count")
    replay.frame(1, answer=True, truth=True)
    replay.wait_for(mask=2, truth_mask=1)
    assert replay.scores()["malformed_messages"] == 1


def test_nothing_to_score_is_said_and_no_file_is_written(
    graph: NodeGraph, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    replay = Replay(graph, tmp_path / "out")
    graph.remove(replay.node)
    assert not (tmp_path / "out").exists()
    assert "nothing to score" in capfd.readouterr().err


def test_an_answer_may_overtake_the_first_truth_of_a_loop() -> None:
    sheet = ScoreSheet()
    pairing = StampPairing(sheet, wait_s=0.5)
    for turn in range(2):
        for number in range(10):
            parts = [{"truth": box(True)}, {"mask": box(True)}]
            for part in reversed(parts) if turn else parts:
                pairing.put(BASE_NS + number * TENTH, **part)
    pairing.flush()
    result = sheet.result()
    assert (result["recordings"], result["frames"], result["missed_frames"]) == (2, 20, 0)


def test_boxes_are_the_truth_where_there_are_no_masks(graph: NodeGraph, tmp_path: Path) -> None:
    replay = Replay(graph, tmp_path / "out", wait=60.0)
    for number in range(3):
        header = make_header(ROS, BASE_NS + number * TENTH)
        replay.true_detections.publish(make_detections(ROS, header, found("dog")))
        if number < 2:
            replay.mask.publish(make_image(ROS, header, box(True)))
            replay.detections.publish(make_detections(ROS, header, found("dog")))
    replay.wait_for(mask=2, detections=2, truth_detections=3)
    scores = replay.scores()
    assert (scores["frames"], scores["missed_frames"], scores["mask_frames"]) == (2, 1, 0)
    assert scores["c_iou"] == scores["box_c_iou"] == scores["label_accuracy"] == 1.0
    assert scores["m_j"] is None and scores["onsets"] == 0


def test_boxes_beside_masks_only_carry_names() -> None:
    sheet = ScoreSheet()
    pairing = StampPairing(sheet, wait_s=0.5)
    for number in range(3):
        stamp = BASE_NS + number * TENTH
        if number != 1:  # a true mask that was lost
            pairing.put(stamp, truth=box(True))
        pairing.put(stamp, true_boxes=((0.0, 0.0, 64.0, 48.0),), true_labels=("dog",))
        pairing.put(stamp, mask=box(True), labels=("dog",))
    pairing.flush()
    result = sheet.result()
    assert (result["frames"], result["mask_frames"]) == (2, 2)
    assert result["c_iou"] == result["label_accuracy"] == 1.0
