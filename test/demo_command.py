"""``avs demo`` as a process of its own, with the brightness model in the node's process."""

from __future__ import annotations

import sys
from pathlib import Path

NODE = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from fakes import BrightnessSegmenter
from avs_ros.errors import ModelError
from avs_ros.nodes.entry_point import run_node
from avs_ros.nodes.segmentation_node import SegmentationNode

def create(parameters):
    if parameters["model"] == "unknown":
        raise ModelError("no model 'unknown'; known: brightness")
    return BrightnessSegmenter()

if "model:=dies" in sys.argv:
    print("these are my last words", file=sys.stderr)
    sys.exit(3)
sys.exit(run_node(lambda: SegmentationNode(create_segmenter=create)))
"""

if __name__ == "__main__":
    from fakes import BrightnessSegmenter

    from avs_ros.cli import demo, main, recorded_play

    recorded_play.SEGMENTATION_NODE = NODE
    demo.create_segmenter = lambda *_, **__: BrightnessSegmenter()
    sys.exit(main.main())
