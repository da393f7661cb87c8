"""What the segmentation node would have published about a run, as one mcap file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from avs_ros.conversions.detections import make_label_info
from avs_ros.conversions.messages import OK, Status, make_diagnostics, make_header
from avs_ros.conversions.topics import DIAGNOSTICS, LABEL_INFO, Output, Topic, messages
from avs_ros.media.bag_types import BAG
from avs_ros.media.bag_writer import BagWriter

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
        try:
            for topic in (*topics, DIAGNOSTICS):
                self.declare(full_name(topic), topic.type_name, topic.quality == "latched")
        except BaseException:
            self.abort()
            raise

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
