"""What `avs evaluate clips` counts where no gate has met the clip that it judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avs_ros.evaluation.clips import Judged, judge_clip, totals
from avs_ros.inference.explaining import ExplainingGate
from avs_ros.inference.light_detecting import DetectingSegmenter
from recipes.c3n_light import gate_examples


def clips_apart(
    file: Path, data: Path, gates: Sequence[Mapping[str, Any]]
) -> dict[str, list[str]]:
    """Set of clips -> scores, as they are printed.

    ``gates``: of ``recipes.c3n_light.explaining.gates_apart``, on the examples of
    :func:`gate_examples.gather_examples`; networks and thresholds are the file's.
    """
    found: dict[str, list[str]] = {}
    if not gates:
        return found
    model = DetectingSegmenter(file)
    try:
        clips = 0
        for name in gate_examples.CLIP_SETS:
            judged: list[Judged] = []
            for path, moments in gate_examples.clips_in(data, name):
                model.explain = ExplainingGate(gates[clips % len(gates)])
                model.reset()
                judged += judge_clip(model, path, moments, gate_examples.CLIP_FPS)
                clips += 1
            found[name] = [
                f"{score} {one['value']:.3f} of {one['count']}"
                for score, one in totals(judged).items()
                if one["value"] is not None
            ]
    finally:
        model.close()
    return found
