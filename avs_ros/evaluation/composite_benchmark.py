"""What a model answers to the composite benchmark's cases, and what each answer is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from avs_ros.evaluation.composite import BOTH, MATCHED, MISMATCHED, SILENT, Case
from avs_ros.evaluation.composite_data import View
from avs_ros.evaluation.label_sets import names_it
from avs_ros.evaluation.metrics import mask_iou
from avs_ros.inference.segmenter import Segmenter
from avs_ros.postprocess import PostprocessConfig, Postprocessor
from avs_ros.segmentation import Bytes, Float, Segmentation
from avs_ros.sound import SAMPLE_RATE, level_dbfs
from avs_ros.streaming.inputs import Event, Frame, Pair, Sound
from avs_ros.streaming.pipeline import Pipeline

# Share of a thing's pixels from which it counts as marked among two that sound.
COVERED = 1 / 3
# Of the reaction: matched cases, frames a second, seconds of silence and of sound.
REACTION_CASES, FPS = 12, 10
QUIET_S, SOUND_S = 2, 3
SECOND_NS = 1_000_000_000
Bools = NDArray[np.bool_]

# score of the reaction -> what it means
REACTION: dict[str, str] = {
    "onset_delay_s": "median time from the start of a sound to the first mask",
    "offset_delay_s": "median time from the end of a sound to the last mask",
    "onset_answered": "share of the sounds that were answered at all",
}


@dataclass(frozen=True, eq=False)
class ScoredCase:
    """A case and what came of it; shares are 0..1, None where the kind has no such figure.

    ``iou``: with the sounding object; ``marked``: share of the image; ``labels``: names given;
    ``right``: share of the two things' marked pixels that lies on the sounding one; ``by_area``:
    what marking both would give; ``silent_marked``: share of the silent thing that is marked;
    ``found``: how many of two that sound (0..2) are marked, each under a name of its own;
    ``audio_label``: name of what the model heard.  ``shown``: uint8 rgb ``[H, W, 3]``, and bool
    ``[H, W]`` what was marked and what is true.
    """

    case: Case
    marked: float
    labels: tuple[str, ...]
    shown: tuple[Bytes, Bools, Bools] | None
    audio_label: str = ""
    iou: float | None = None
    right: float | None = None
    by_area: float | None = None
    silent_marked: float | None = None
    found: int | None = None


class CompositeBenchmark:
    """Asks one segmenter, each case as a stream of its own, with the node's post-processing."""

    def __init__(self, segmenter: Segmenter, postprocess: PostprocessConfig | None = None) -> None:
        """``postprocess``: None for the defaults."""
        self.segmenter = segmenter
        self.postprocess = postprocess

    def ask(self, case: Case) -> ScoredCase:
        """The answer to one case, and what it is worth."""
        view = case.view()
        answer = answer_to(self.segmenter, view.rgb, case.sound(), self.postprocess)
        labels = tuple(dict.fromkeys(one.label for one in answer.instances))
        return judge(case, view, answer.mask() > 0, labels, answer.audio_label)


def answer_to(
    segmenter: Segmenter, rgb: Bytes, second: Float, postprocess: PostprocessConfig | None = None
) -> Segmentation:
    """One frame uint8 ``[H, W, 3]`` and its second float32 ``[16000]``, as a stream of its own."""
    # Every model hears one second; the protocol says how many samples that is for it.
    count = round(segmenter.window_s * segmenter.sample_rate)
    if segmenter.sample_rate != SAMPLE_RATE:
        second = soxr.resample(second, SAMPLE_RATE, segmenter.sample_rate)
    window = np.pad(second[-count:], (max(0, count - len(second)), 0))
    segmenter.reset()
    prediction = segmenter.step(rgb, window, 0)
    pair = Pair(Frame.of(0, rgb), window, 1.0, True, level_dbfs(window), 0.0)
    return Postprocessor(postprocess).process(prediction, pair)


def judge(
    case: Case, view: View, mask: Bools, labels: tuple[str, ...] = (),
    audio_label: str = "",
) -> ScoredCase:
    """What an answer to ``case`` (its ``view``) is worth: ``mask`` bool ``[H, W]`` and names."""
    marked = float(mask.mean())
    if case.kind in (MISMATCHED, SILENT):
        return ScoredCase(case, marked, labels, (view.rgb, mask, mask & False), audio_label)
    known = ~view.unknown
    found = mask & known
    own, other = (view.mask(name) & known for name in (case.category, case.other))
    true = own | other if case.kind == BOTH else own
    scored = ScoredCase(case, marked, labels, (view.rgb, found, true), audio_label)
    if case.kind == BOTH:
        things = {case.category: own, case.other: other}
        return replace(scored, found=how_many_found(labels, found, things))
    scored = replace(scored, iou=mask_iou(found, own, empty=1.0))
    if case.kind == MATCHED:
        return scored
    silent = other & ~own
    right, wrong = int((found & own).sum()), int((found & silent).sum())
    return replace(
        scored,
        right=right / (right + wrong) if right + wrong else None,
        by_area=int(own.sum()) / max(1, int(own.sum() + silent.sum())),
        silent_marked=wrong / max(1, int(silent.sum())),
    )


def how_many_found(
    labels: Sequence[str], found: Bools, things: Mapping[str, Bools]
) -> int:
    """How many of ``things`` (category -> its pixels) are marked, each under a name of its own."""
    return sum(
        names_it(labels, name) and int((found & own).sum()) >= COVERED * max(1, int(own.sum()))
        for name, own in things.items()
    )


def reaction(
    segmenter: Segmenter, cases: Sequence[Case], postprocess: PostprocessConfig | None = None
) -> dict[str, Any]:
    """How soon a mask comes after a sound has begun, and goes after it has ended: scores of
    ``REACTION`` on the first few matched cases (silence, the sound thrice, silence).

    None where nothing was asked, or nothing answered.
    """
    asked = [case for case in cases if case.kind == MATCHED][:REACTION_CASES]
    onsets, offsets = [], []
    for case in asked:
        times = _marked_times(segmenter, case, postprocess)
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
    segmenter: Segmenter, case: Case, postprocess: PostprocessConfig | None
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
