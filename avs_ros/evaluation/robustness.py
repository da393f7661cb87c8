"""Recordings again and again, each time with something wrong: what is left of the score.

Positive conditions leave the sound what it is (worse): the answer should stay.  Negative ones
replace it by something that nothing visible makes: the answer should be empty, and IoU with the
original truth measures how much of the silent thing is marked all the same (AVSBench-Robust).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avs_ros.errors import BagError
from avs_ros.evaluation import metrics
from avs_ros.evaluation.metrics import mean
from avs_ros.evaluation.replay import open_segmenter
from avs_ros.evaluation.robustness_conditions import (
    CLEAN,
    UNDISTURBED,
    Condition,
    RobustnessBag,
    another_class,
    choose_conditions,
)
from avs_ros.evaluation.truth import Truth, read_truth
from avs_ros.inference.segmenter import Segmenter
from avs_ros.media.bag import BagOptions, BagSource
from avs_ros.media.source import Sound
from avs_ros.segmentation import Segmentation
from avs_ros.sound import dbfs
from avs_ros.streaming.inputs import Event
from avs_ros.streaming.pcm import to_mono
from avs_ros.streaming.pipeline import Pipeline

# Quieter tenths of a second do not count for a recording's level.
ACTIVE_DBFS = -60.0
# Images of one bag that are kept, undecoded, from one condition to the next.
KEPT_BYTES = 1 << 30


@dataclass(frozen=True)
class FrameScore:
    """One frame under one condition.

    ``iou``: with the original truth, as AVSBench; ``sounds``: the original truth is not empty;
    ``false``: share of the image's pixels that are marked and should not be; ``marked``: share
    marked.
    """

    iou: float
    sounds: bool
    false: float
    marked: float


@dataclass
class ConditionScores:
    """What a condition came to over all recordings."""

    condition: Condition
    frames: list[FrameScore] = field(default_factory=list)
    recordings: int = 0

    def result(self, clean: ConditionScores) -> dict[str, Any]:
        """Scores in 0..1 by name; None where they say nothing about this condition.

        ``m_j``: mean frame IoU, every frame equal; ``m_j_sounding``: of frames on which something
        sounds; ``fall``: ``m_j`` of the clean recordings, less this one.  All three are None for
        a negative condition, which has ``negative_miou`` (mean IoU with the
        original truth over frames where that is not empty: lower is better) and ``g_miou``
        instead (harmonic mean of the clean mean IoU over the same frames and 1 - it).
        ``false_positive_rate``: marked pixels that should not be, as a share of the image;
        ``empty``: share of frames with nothing marked.
        """
        axis = self.condition.of
        wrong = axis.negative
        m_j = None if wrong else mean(f.iou for f in self.frames)
        seen = mean(f.iou for f in self.frames if f.sounds)
        was = mean(f.iou for f in clean.frames)
        positive = mean(f.iou for f in clean.frames if f.sounds)
        negative = seen if wrong else None
        return {
            "axis": self.condition.axis,
            "amount": self.condition.amount,
            "unit": axis.unit,
            "negative": wrong,
            "recordings": self.recordings,
            "frames": len(self.frames),
            "m_j": m_j,
            "m_j_sounding": None if wrong else seen,
            "fall": None if m_j is None or was is None else was - m_j,
            "false_positive_rate": mean(f.false for f in self.frames),
            "empty": mean(float(f.marked == 0) for f in self.frames),
            "negative_miou": negative,
            "g_miou": None if negative is None or positive is None else (
                metrics.g_miou(positive, negative)
            ),
        }


def read_recording(path: Path, bag: BagOptions | None = None, truth: str = "") -> RobustnessBag:
    """What the conditions need to know of a bag; raises BagError when something is missing."""
    truths = read_truth(path, truth)
    if any(one.mask is None for one in truths.values()):
        raise BagError(
            f"{path} has true boxes only: the fall of M_J needs true masks (`avs evaluate bag` "
            "scores boxes)"
        )
    parts, rate = [], 0
    with closing(BagSource(path, bag)) as source:
        for event in source.events():
            if isinstance(event, Sound):
                parts.append(to_mono(event.samples).samples)
                rate = event.rate_hz
    track = np.concatenate(parts).astype(np.float32)
    tenth = max(1, min(rate // 10, len(track)))
    tenths = track[: len(track) // tenth * tenth].reshape(-1, tenth)
    power = np.mean(np.square(tenths, dtype=np.float64), axis=1)
    loud = power[power > 10 ** (ACTIVE_DBFS / 10)]
    level = dbfs(float(loud.mean())) if len(loud) else ACTIVE_DBFS
    labels = frozenset(name.casefold() for one in truths.values() for name in one.labels)
    return RobustnessBag(path, truths, labels, track, rate, level)


def score_conditions(
    segmenter: Segmenter, recording: RobustnessBag, other: RobustnessBag | None, seed: int,
    conditions: Sequence[Condition], bag: BagOptions | None = None,
) -> dict[Condition, list[FrameScore] | None]:
    """Scores of one recording under each condition, in order; nothing depends on the machine's
    speed.

    ``other``: a recording of another class; None for a condition that needs one and has none.
    ``bag``: which topics.
    """
    events = events_of(recording.path, bag)
    found: dict[Condition, list[FrameScore] | None] = {}
    for condition in conditions:
        change = condition.of.make(recording, other, seed, condition.amount or 0.0)
        found[condition] = None if change is None else play(
            segmenter, change(events()), recording.truths, condition.of.negative
        )
    return found


def play(
    segmenter: Segmenter, events: Iterator[Event], truths: Mapping[int, Truth], negative: bool
) -> list[FrameScore]:
    """One recording under one condition: a score for every frame with a truth, in order.

    Every answer goes through the node's post-processing.  A frame without one is scored with the
    answer before it, as whoever listens to the masks would still have it; without any, with
    nothing.
    """
    answers = {answer.stamp_ns: answer for answer, _ in Pipeline(segmenter).run(events)}
    scores: list[FrameScore] = []
    last: Segmentation | None = None
    for stamp_ns in sorted(truths.keys() | answers.keys()):
        last = answers.get(stamp_ns, last)
        if stamp_ns in truths:
            scores.append(_score(last, truths[stamp_ns], negative))
    return scores


def events_of(path: Path, bag: BagOptions | None = None) -> Callable[[], Iterator[Event]]:
    """What gives a bag's events, as often as it is called; if they fit into memory, read once."""
    kept: list[Event] = []

    def events() -> Iterator[Event]:
        if not kept:
            with closing(BagSource(path, bag)) as source:
                info = source.info
                if info.frames * info.width * info.height * 3 > KEPT_BYTES:
                    yield from source.events()
                    return
                kept.extend(source.events())
        yield from kept

    return events


def _score(answer: Segmentation | None, truth: Truth, negative: bool) -> FrameScore:
    assert truth.mask is not None  # read_recording has seen to it
    true = truth.mask > 0
    marked = np.zeros(true.shape, bool)
    if answer is not None:
        size = (true.shape[1], true.shape[0])
        marked = cv2.resize(answer.mask(), size, interpolation=cv2.INTER_NEAREST) > 0
    iou = metrics.frame_iou(marked[None].astype(np.float32), true[None])[0]
    false = marked if negative else marked & ~true
    return FrameScore(float(iou), bool(true.any()), float(false.mean()), float(marked.mean()))


@dataclass(frozen=True)
class SuiteJob:
    """One recording on one model, under the conditions of one axis.

    ``other``: a recording of another class, its truth left out; ``seed``: the recording's number;
    ``load``: see :func:`~avs_ros.evaluation.replay.open_segmenter`.
    """

    axis: str
    own: RobustnessBag
    other: RobustnessBag | None
    seed: int
    model: str
    engine: str
    device: str
    threads: int
    bag: BagOptions
    load: Callable[..., Segmenter] | None = None


@dataclass(frozen=True)
class SuiteDone:
    """``scores``: condition -> its frames, None if it was left out; ``engine`` it ran on."""

    job: SuiteJob
    engine: str
    scores: dict[Condition, list[FrameScore] | None]


# The last model of this process: loading one takes longer than playing a short recording.
_loaded: dict[tuple[str, str, str, int], Segmenter] = {}


def release() -> None:
    """Free the model that this process has loaded."""
    while _loaded:
        _loaded.popitem()[1].close()


def run_suite_job(job: SuiteJob) -> SuiteDone:
    """Play one recording under the conditions of one axis."""
    chosen = (job.model, job.engine, job.device, job.threads)
    if chosen not in _loaded:
        release()
        _loaded[chosen] = open_segmenter(*chosen, job.load)
    segmenter = _loaded[chosen]
    conditions = [UNDISTURBED] if job.axis == CLEAN else choose_conditions([job.axis])
    scores = score_conditions(segmenter, job.own, job.other, job.seed, conditions, job.bag)
    # The truth need not travel back.
    light = replace(job, own=replace(job.own, truths={}), other=None, load=None)
    return SuiteDone(light, segmenter.engine, scores)


def jobs_of(
    recordings: Sequence[RobustnessBag], only: Sequence[str] = (), *, models: Sequence[str],
    **how: Any,
) -> list[SuiteJob]:
    """Model by model, recording by recording: the clean one, then each of the axes ``only``.

    ``how``: the other fields of :class:`SuiteJob`.
    """
    axes = [CLEAN, *dict.fromkeys(condition.axis for condition in choose_conditions(only))]
    others = [another_class(recordings, seed) for seed in range(len(recordings))]
    return [
        SuiteJob(axis, own, others[seed], seed, model, **how)
        for model in models for seed, own in enumerate(recordings) for axis in axes
    ]  # fmt: skip


def gathered(done: Sequence[SuiteDone], model: str) -> list[ConditionScores]:
    """What each condition came to over all recordings of ``model``, in the table's order."""
    sheets: dict[Condition, ConditionScores] = {}
    for one in done:
        for condition, scores in one.scores.items() if one.job.model == model else ():
            sheet = sheets.setdefault(condition, ConditionScores(condition))
            if scores is not None:
                sheet.frames += scores
                sheet.recordings += 1
    return list(sheets.values())
