"""How soon a mask comes after a sound has begun, and goes after it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from avs_ros.evaluation.composite import MATCHED, Case
from avs_ros.inference.segmenter import Segmenter
from avs_ros.postprocess import PostprocessConfig, Postprocessor
from avs_ros.sound import SAMPLE_RATE
from avs_ros.streaming.inputs import Event, Frame, Sound
from avs_ros.streaming.pipeline import Pipeline

CASES, FPS = 12, 10
QUIET_S, SOUND_S = 2, 3
SECOND_NS = 1_000_000_000

# score -> what it means
MEANINGS: dict[str, str] = {
    "onset_delay_s": "median time from the start of a sound to the first mask",
    "offset_delay_s": "median time from the end of a sound to the last mask",
    "onset_answered": "share of the sounds that were answered at all",
}


def reaction(
    segmenter: Segmenter, cases: Sequence[Case], postprocess: PostprocessConfig | None = None
) -> dict[str, Any]:
    """Scores of ``MEANINGS`` on the first few matched cases: silence, the sound thrice, silence.

    None where nothing was asked, or nothing answered.
    """
    asked = [case for case in cases if case.kind == MATCHED][:CASES]
    onsets: list[float] = []
    offsets: list[float] = []
    for case in asked:
        times = _marked_times(segmenter, case, postprocess or PostprocessConfig())
        inside = [t for t in times if QUIET_S <= t <= QUIET_S + SOUND_S]
        if inside:
            onsets.append(inside[0] - QUIET_S)
            offsets.append(max(0.0, times[-1] - QUIET_S - SOUND_S))
    return {
        "onset_delay_s": float(np.median(onsets)) if onsets else None,
        "offset_delay_s": float(np.median(offsets)) if offsets else None,
        "onset_answered": len(onsets) / len(asked) if asked else None,
    }


def _marked_times(
    segmenter: Segmenter, case: Case, postprocess: PostprocessConfig
) -> list[float]:
    """Times (s) of the frames on which anything is marked; the sound begins at ``QUIET_S``."""
    quiet = np.zeros(QUIET_S * SAMPLE_RATE, np.float32)
    track = np.concatenate([quiet, np.tile(case.sound(), SOUND_S), quiet])
    rgb = case.view().rgb
    pipeline = Pipeline(segmenter, postprocessor=Postprocessor(postprocess))
    count = len(track) * FPS // SAMPLE_RATE
    frames = (Frame.of((k + 1) * SECOND_NS // FPS, rgb, k) for k in range(FPS - 1, count))
    events: list[Event] = [Sound(0, track, SAMPLE_RATE), *frames]
    return [
        pair.stamp_ns / SECOND_NS for answer, pair in pipeline.run(events) if answer.instances
    ]
