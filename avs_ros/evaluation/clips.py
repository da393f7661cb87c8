"""A model on clips with boxes at moments: what is found, pointed at, named, and left alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avs_ros.errors import DatasetError
from avs_ros.evaluation.bootstrap import paired_difference
from avs_ros.evaluation.clip_boxes import (
    MEANINGS,
    ROUNDING_S,
    Moment,
    MomentScore,
    read_moments,
    score_moment,
)
from avs_ros.evaluation.identity import MarkedIdentity
from avs_ros.evaluation.label_sets import LabelSets
from avs_ros.inference.segmenter import Segmenter
from avs_ros.media.opening import open_recording
from avs_ros.media.selection import FrameSelection
from avs_ros.postprocess import PostprocessConfig, Postprocessor
from avs_ros.segmentation import Bytes, Segmentation
from avs_ros.streaming.pipeline import Pipeline

BOXES = "boxes.csv"


@dataclass(frozen=True, eq=False)
class Judged:
    """The answer to one moment of a clip; ``rgb`` uint8 ``[H, W, 3]``: its frame."""

    clip: str
    moment: Moment
    answer: Segmentation
    rgb: Bytes
    score: MomentScore


def clips_of(folder: Path, boxes: Path | None = None) -> dict[Path, list[Moment]]:
    """File -> its moments.  ``boxes``: another table than the folder's own.

    Raises DatasetError where the table cannot be used or a clip that it names is missing.
    """
    table = boxes or folder / BOXES
    found = {folder / name: moments for name, moments in read_moments(table).items()}
    for path in found:
        if not path.is_file():
            raise DatasetError(f"{path} is missing, but {table} names it")
    return found


def judge_clip(
    segmenter: Segmenter, path: Path, moments: Sequence[Moment], fps: float,
    policy: PostprocessConfig | None = None, names: LabelSets | None = None,
    identity: MarkedIdentity | None = None,
) -> Iterator[Judged]:
    """The clip as ``avs run --fps`` walks through it, judged at its moments, in order.

    A moment is answered by the newest frame that is not after it, or by the first one.
    ``identity``: sees every answer up to the last moment.
    """
    if identity is not None:
        identity.begin()
    pipeline = Pipeline(segmenter, postprocessor=Postprocessor(policy or PostprocessConfig()))
    selection = FrameSelection(fps, 0.0, None)
    waiting = [one for one in moments if one.scored]
    newest: tuple[Segmentation, Bytes] | None = None
    with closing(open_recording(path)) as source:
        for answer, pair in pipeline.run(selection.of(source.events())):
            time_s = round((pair.stamp_ns - (selection.zero_ns or 0)) * 1e-9, 6)
            while newest and waiting and time_s > waiting[0].time_s + ROUNDING_S:
                yield _judged(path, waiting.pop(0), *newest, names)
            newest = answer, pair.image
            if identity is not None:
                identity.add(answer)
            if not waiting:
                return
        if newest is None:
            raise DatasetError(f"{path}: no frame can be decoded")
        for moment in waiting:
            yield _judged(path, moment, *newest, names)


def _judged(
    path: Path, moment: Moment, answer: Segmentation, rgb: Bytes, names: LabelSets | None
) -> Judged:
    return Judged(path.name, moment, answer, rgb, score_moment(answer, moment, names))


def totals(judged: Sequence[Judged]) -> dict[str, dict[str, Any]]:
    """Score -> ``value`` (a share, None without moments), ``count`` and ``low``, ``high``.

    The 95 % interval draws whole clips; None for few clips (see ``bootstrap.FEWEST``).
    """
    clips = np.unique([one.clip for one in judged] or [""], return_inverse=True)[1]
    found: dict[str, dict[str, Any]] = {}
    for name in MEANINGS:
        values = np.array([_number(getattr(one.score, name)) for one in judged], np.float64)
        mean = paired_difference(np.where(np.isnan(values), np.nan, 0.0), values, clips)
        if mean is None:
            found[name] = {"value": None, "count": 0, "low": None, "high": None}
        else:
            found[name] = {
                "value": mean.b, "count": mean.frames, "low": mean.low, "high": mean.high,
            }  # fmt: skip
    return found


def records(judged: Sequence[Judged]) -> list[Mapping[str, Any]]:
    """One plain mapping for each moment, for files."""
    return [
        {
            "clip": one.clip, "time": one.moment.time_s,
            "truth": [thing.label for thing in one.moment.sources] or ["none"],
            "labels": [instance.label for instance in one.answer.instances],
            "audio_label": one.answer.audio_label, "area": round(one.answer.area, 6),
            "iou": round(one.score.iou, 4),
            **{name: getattr(one.score, name) for name in MEANINGS},
        }
        for one in judged
    ]  # fmt: skip


def _number(value: bool | None) -> float:
    return float("nan") if value is None else float(value)
