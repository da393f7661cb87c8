"""Encodings that our own reader does not know go to cv_bridge, where that imports."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fakes import BrightnessSegmenter
from node_graph import BASE_NS, NodeGraph, Recording, lamp, page, said

from avs_ros.conversions.image_reading import read_mask
from avs_ros.conversions.image_writing import make_image
from avs_ros.conversions.messages import make_header
from avs_ros.nodes.message_types import ROS
from avs_ros.nodes.segmentation_node import SegmentationNode

BRIDGE = """
import numpy as np

class CvBridge:
    def imgmsg_to_cv2(self, msg, desired_encoding):
        if msg.encoding != "vendor24":
            raise RuntimeError("[%s] is not a color format" % msg.encoding)
        assert desired_encoding == "rgb8"
        return np.frombuffer(bytes(msg.data), np.uint8).reshape(msg.height, msg.width, 3)
"""


@pytest.mark.parametrize("bridge", [BRIDGE, "raise AttributeError('_ARRAY_API not found')", None])
def test_cv_bridge_reads_what_we_do_not_know(
    graph: NodeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bridge: str | None
) -> None:
    # A stand-in: cv_bridge itself is no wheel, and apt's does not import beside NumPy 2.
    monkeypatch.delitem(sys.modules, "cv_bridge", raising=False)
    if bridge is not None:
        (tmp_path / "cv_bridge.py").write_text(bridge)
        monkeypatch.syspath_prepend(tmp_path)
    log = graph.listen("rcl_interfaces/msg/Log", "/rosout", 200, latched=True)
    masks = graph.listen("sensor_msgs/msg/Image", "/segmentation_node/mask")
    graph.add(SegmentationNode, create_segmenter=lambda parameters: BrightnessSegmenter(),
              parameters={"diagnostics_period": 0.1})
    values = page(graph)
    recording = Recording(graph)
    recording.wait_for_node()

    def send(at_s: float, encoding: str) -> None:
        msg = make_image(ROS, make_header(ROS, BASE_NS + round(at_s * 1e9), "cam"), lamp())
        msg.encoding = encoding
        recording.images.publish(msg)

    def refusals(number: int) -> bool:
        return values.get("refused image_encoding") == str(number)

    recording.sound(0.0, 5.0)
    send(1.0, "32FC1")
    graph.wait(lambda: refusals(1), "depth to be refused")
    send(2.0, "vendor24")
    if bridge == BRIDGE:
        graph.wait(lambda: masks, "a mask")
        assert read_mask(masks[0])[10:30, 20:40].all()
        send(3.0, "vendor25")
        graph.wait(lambda: refusals(2), "what cv_bridge cannot read either")
        told = said(log, "is read by cv_bridge")
        assert len(told) == 2 and "'vendor24'" in told[0]  # one line for each encoding
    else:
        graph.wait(lambda: refusals(2), "the encoding to be refused")
        assert not masks
    monkeypatch.delitem(sys.modules, "cv_bridge", raising=False)
