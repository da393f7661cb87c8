"""The real segmentation node, with a subject of the benchmark as its model.

``python -m avs_ros.nodes.benchmark_subject SUBJECT ENGINE DEVICE --ros-args …``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from avs_ros.inference.segmenter import Segmenter
from avs_ros.nodes.entry_point import run_node
from avs_ros.nodes.segmentation_node import SegmentationNode


def main() -> int:
    """Run it until it is told to end."""
    values, engine, device = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]

    def create_segmenter(_: Mapping[str, Any]) -> Segmenter:
        # torch comes in when the node is configured, as it does for any model: an unconfigured
        # node's memory is measured too.
        from avs_ros.benchmarks.subject import Subject, segmenter

        return segmenter(Subject(**values), engine, device)

    return run_node(
        lambda: SegmentationNode(create_segmenter=create_segmenter), sys.argv[:1] + sys.argv[4:]
    )


if __name__ == "__main__":
    sys.exit(main())
