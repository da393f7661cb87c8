"""A model on clips whose sounding objects somebody boxed at a few moments.

Table ``boxes.csv``, one row for each thing at a moment: ``clip`` (file beside it), ``time_s`` (of
the frame that is shown then; the second that ends there is judged), ``label``, ``x0,y0,x1,y1``
(shares of width and height), ``role`` (``source`` makes the sound; ``player`` moves it, ``also``
may add to it: both may be marked, neither must), ``sure`` (0: not to be scored).  The label
``none`` without a box: nothing visible sounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avs_ros.errors import DatasetError
from avs_ros.evaluation.boxes import Box, box_iou, box_of, read_table
from avs_ros.evaluation.identity import MarkedIdentity
from avs_ros.evaluation.label_sets import LabelSets
from avs_ros.evaluation.metrics import grouped_difference
from avs_ros.inference.segmenter import Segmenter
from avs_ros.media.opening import open_recording
from avs_ros.media.source import FrameSelection
from avs_ros.postprocess import PostprocessConfig, Postprocessor
from avs_ros.segmentation import Bytes, Segmentation
from avs_ros.streaming.pipeline import Pipeline

COLUMNS = ("clip", "time_s", "label", "x0", "y0", "x1", "y1", "role", "sure")
NONE, SOURCE = "none", "source"
ROLES = (SOURCE, "player", "also")
FOUND_IOU = 0.5
# Share of the mask that must lie within what may be marked.
TOUCHED = 0.5
# Share of the image that may be marked where nothing visible sounds.
EMPTY_AREA = 0.01
# A frame this much after the moment (s) is still the one shown: times are rounded.
ROUNDING_S = 1e-3

# score -> what it means, in the order of the tables; each is a share of the moments asked
MEANINGS: dict[str, str] = {
    "found": "an instance's box, or the box around all marks, has IoU >= .5 with a source's",
    "touched": "at least half of what is marked lies in boxes of the sounding objects and players",
    "pointed": "the attention point lies in a source's box",
    "named": "a label given is right, of the moments with something marked",
    "empty": "at moments when nothing visible sounds, at most 1 % of the image is marked",
}


@dataclass(frozen=True)
class Thing:
    """One row: ``box`` in shares of the image; ``sure``: whether it is to be scored."""

    label: str
    box: Box
    role: str
    sure: bool


@dataclass(frozen=True)
class Moment:
    """The sounding object ``time_s`` after the clip's first frame; nothing visible where
    ``things`` is empty, and that is to be scored where ``sure``.
    """

    time_s: float
    things: tuple[Thing, ...]
    sure: bool = True

    @property
    def sources(self) -> tuple[Thing, ...]:
        """The sounding objects that are to be scored."""
        return tuple(one for one in self.things if one.role == SOURCE and one.sure)

    @property
    def scored(self) -> bool:
        """Whether anything is to be scored here."""
        return bool(self.sources) if self.things else self.sure


def read_moments(path: Path) -> dict[str, list[Moment]]:
    """Clip -> its moments in order of time.  Raises DatasetError, saying which line is wrong."""
    found: dict[str, dict[float, Moment]] = {}
    for line, row in read_table(path, COLUMNS):
        moments = found.setdefault(row["clip"], {})
        try:
            moment = _moment(row)
        except (TypeError, ValueError) as error:
            raise DatasetError(f"{path}, {line}: {error}") from error
        known = moments.get(moment.time_s, Moment(moment.time_s, ()))
        moments[moment.time_s] = Moment(
            moment.time_s, known.things + moment.things, known.sure and moment.sure
        )
    if not found:
        raise DatasetError(f"{path} holds no moments")
    return {clip: [times[at] for at in sorted(times)] for clip, times in sorted(found.items())}


def _moment(row: Mapping[str, str]) -> Moment:
    """What one row says."""
    time_s = float(row["time_s"])
    if not math.isfinite(time_s) or time_s < 0:
        raise ValueError(f"time_s is {row['time_s']}; seconds from the first frame are needed")
    if row["sure"] not in ("0", "1"):
        raise ValueError(f"sure is {row['sure']!r}; 0 or 1 is needed")
    sure = row["sure"] == "1"
    if row["label"] == NONE:
        return Moment(time_s, (), sure)
    if row["role"] not in ROLES:
        raise ValueError(f"role is {row['role']!r}; one of {', '.join(ROLES)} is needed")
    x0, y0, x1, y1 = (float(row[name]) for name in ("x0", "y0", "x1", "y1"))
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise ValueError(f"a box is {x0}, {y0}, {x1}, {y1}; shares from 0 to 1 are needed")
    return Moment(time_s, (Thing(row["label"], (x0, y0, x1, y1), row["role"], sure),))


@dataclass(frozen=True)
class MomentScore:
    """One answer: 1 or 0, None where the moment does not ask for it; ``iou``: the best one, and
    ``ious`` the best one of each source.
    """

    found: bool | None = None
    touched: bool | None = None
    pointed: bool | None = None
    named: bool | None = None
    empty: bool | None = None
    iou: float = 0.0
    ious: tuple[float, ...] = ()


def score_moment(
    answer: Segmentation, moment: Moment, names: LabelSets | None = None
) -> MomentScore:
    """What ``answer`` is worth; ``names``: further right names (see ``label_sets``)."""
    mask = answer.mask() > 0
    if not moment.things:
        return MomentScore(empty=bool(mask.mean() <= EMPTY_AREA))
    height, width = mask.shape
    sources = [one.box for one in moment.sources]
    allowed = np.zeros(mask.shape, bool)
    for one in moment.things:
        x0, y0, x1, y1 = one.box
        rows = slice(int(y0 * height), math.ceil(y1 * height))
        allowed[rows, int(x0 * width) : math.ceil(x1 * width)] = True
    boxes = [instance.box for instance in answer.instances]
    around = box_of(mask)
    if around is not None:
        boxes.append(around)
    shares = [(x0 / width, y0 / height, x1 / width, y1 / height) for x0, y0, x1, y1 in boxes]
    ious = tuple(max((box_iou(box, one) for box in shares), default=0.0) for one in sources)
    best = max(ious, default=0.0)
    labels = [instance.label for instance in answer.instances]
    truths = [one.label for one in moment.sources]
    names = names or LabelSets()
    right = names.sees(labels, truths) or any(names.hears(label, truths) for label in labels)
    return MomentScore(
        found=best >= FOUND_IOU,
        touched=bool(mask.any() and (mask & allowed).sum() >= TOUCHED * mask.sum()),
        pointed=answer.point is not None and any(
            x0 <= answer.point[0] / width <= x1 and y0 <= answer.point[1] / height <= y1
            for x0, y0, x1, y1 in sources
        ),
        named=right if labels else None,
        iou=best,
        ious=ious,
    )


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

    def judged(moment: Moment, answer: Segmentation, rgb: Bytes) -> Judged:
        return Judged(path.name, moment, answer, rgb, score_moment(answer, moment, names))

    if identity is not None:
        identity.begin()
    pipeline = Pipeline(segmenter, postprocessor=Postprocessor(policy))
    selection = FrameSelection(fps, 0.0, None)
    waiting = [one for one in moments if one.scored]
    newest: tuple[Segmentation, Bytes] | None = None
    with closing(open_recording(path)) as source:
        for answer, pair in pipeline.run(selection.of(source.events())):
            time_s = round((pair.stamp_ns - (selection.zero_ns or 0)) * 1e-9, 6)
            while newest and waiting and time_s > waiting[0].time_s + ROUNDING_S:
                yield judged(waiting.pop(0), *newest)
            newest = answer, pair.image
            if identity is not None:
                identity.add(answer)
            if not waiting:
                return
        if newest is None:
            raise DatasetError(f"{path}: no frame can be decoded")
        for moment in waiting:
            yield judged(moment, *newest)


def totals(judged: Sequence[Judged]) -> dict[str, dict[str, Any]]:
    """Score -> ``value`` (a share, None without moments), ``count`` and ``low``, ``high``.

    The 95 % interval draws whole clips; None for few clips (see ``metrics.FEWEST``).
    """
    found: dict[str, dict[str, Any]] = {}
    for name in MEANINGS:
        values = [getattr(one.score, name) for one in judged]
        mean = grouped_difference(None, values, [one.clip for one in judged])
        found[name] = {"value": None, "count": 0, "low": None, "high": None} if mean is None else {
            "value": mean.b, "count": mean.frames, "low": mean.low, "high": mean.high,
        }  # fmt: skip
    return found


def by_label(judged: Sequence[Judged]) -> dict[str, dict[str, int]]:
    """Label of the tables -> ``found`` of ``count`` sources, one by one, the most frequent first.

    In a moment of several sources each is asked for, where :data:`MEANINGS` asks for one of them.
    """
    counts: dict[str, dict[str, int]] = {}
    for one in judged:
        for source, iou in zip(one.moment.sources, one.score.ious, strict=True):
            entry = counts.setdefault(source.label, {"found": 0, "count": 0})
            entry["count"] += 1
            entry["found"] += iou >= FOUND_IOU
    return dict(sorted(counts.items(), key=lambda item: (-item[1]["count"], item[0])))


def records(judged: Sequence[Judged]) -> list[Mapping[str, Any]]:
    """One plain mapping for each moment, for files."""
    return [
        {
            "clip": one.clip, "time": one.moment.time_s,
            "truth": [thing.label for thing in one.moment.sources] or ["none"],
            "labels": [instance.label for instance in one.answer.instances],
            "audio_label": one.answer.audio_label, "area": round(one.answer.area, 6),
            "iou": round(one.score.iou, 4), "ious": [round(iou, 4) for iou in one.score.ious],
            **{name: getattr(one.score, name) for name in MEANINGS},
        }
        for one in judged
    ]  # fmt: skip
