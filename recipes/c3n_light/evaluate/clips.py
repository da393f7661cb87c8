"""The real clips: facts of each, and a sheet to look at.  They have no masks to score against."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avs_ros.errors import DatasetError, ParameterError
from avs_ros.inference.segmenter import Segmenter
from avs_ros.media.opening import open_recording
from avs_ros.media.overlay import draw_overlay
from avs_ros.media.source import Frame
from avs_ros.segmentation import Bytes, Segmentation
from avs_ros.streaming.inputs import Event, Pair
from avs_ros.streaming.pipeline import Pipeline
from recipes.c3n_light.evaluate.contestants import Contestant
from recipes.c3n_light.evaluate.evidence import Evidence
from avs_ros.report.sheet import Sheet, scaled

SHOWN, TILE_HEIGHT = 6, 150


@dataclass(frozen=True)
class Clip:
    """A row of the clips' table: the file, and what sounds in it, in words."""

    path: Path
    sounds: str


@dataclass(frozen=True)
class ClipFacts:
    """What a model did with one clip.

    ``marked``: share of the frames with something marked; ``label``: the most frequent one among
    them, "" for none; ``label_share``: how frequent; ``area``: mean share of the picture, over
    marked frames; ``sounding``: mean of the model's own figure.
    """

    frames: int
    marked: float
    label: str
    label_share: float
    area: float
    sounding: float

    def __str__(self) -> str:
        label = f"{self.label} ({self.label_share:.0%})" if self.label else "-"
        return (
            f"marked {self.marked:4.0%} of {self.frames:3d}  {label:24s}"
            f"area {self.area:4.0%}  sounding {self.sounding:.2f}"
        )


def read_clips(folder: Path) -> list[Clip]:
    """The clips that ``clips.csv`` names; raises DatasetError where it or a file is missing."""
    table = folder / "clips.csv"
    if not table.is_file():
        raise DatasetError(f"{table} is missing: --data must hold clips/clips.csv")
    with table.open(newline="", encoding="utf-8") as lines:
        clips = [Clip(folder / row["file"], row["what_sounds"]) for row in csv.DictReader(lines)]
    for clip in clips:
        if not clip.path.is_file():
            raise DatasetError(f"{clip.path} is missing, but {table} names it")
    return clips


def run_clip(
    segmenter: Segmenter, path: Path, rate_hz: float
) -> Iterator[tuple[Segmentation, Pair]]:
    """Answers at ``rate_hz`` frames per second, in order, as ``avs run`` would give them."""
    segmenter.reset()
    with closing(open_recording(path)) as source:
        yield from Pipeline(segmenter).run(_thinned(source.events(), rate_hz))


def _thinned(events: Iterator[Event], rate_hz: float) -> Iterator[Event]:
    """All sound, and frames at ``rate_hz``."""
    next_ns = 0
    for event in events:
        if isinstance(event, Frame):
            if event.stamp_ns < next_ns:
                continue
            next_ns = event.stamp_ns + round(0.95e9 / rate_hz)
        yield event


def facts_of(answers: Sequence[Segmentation]) -> ClipFacts:
    """Counts over the answers to one clip."""
    found = [answer for answer in answers if answer.sounding]
    labels = Counter(answer.label for answer in found)
    label, count = labels.most_common(1)[0] if labels else ("", 0)
    return ClipFacts(
        len(answers),
        len(found) / max(len(answers), 1),
        label,
        count / max(len(found), 1),
        float(np.mean([answer.area for answer in found])) if found else 0.0,
        float(np.mean([answer.score for answer in answers])) if answers else 0.0,
    )


def show_clips(
    folder: Path,
    contestants: Sequence[Contestant],
    rate_hz: float,
    output: Path,
    say: Callable[[str], None],
) -> dict[str, dict[str, ClipFacts]]:
    """Print the facts of every clip and model, write one sheet: a row per clip and model.

    Returns model -> clip -> facts.  For light models the evidence of the most likely families is
    printed too (:class:`Evidence`).
    """
    if not rate_hz > 0:
        raise ParameterError(f"--rate is {rate_hz:g}; it must be above 0")
    clips = read_clips(folder)
    sheet, facts = Sheet(TILE_HEIGHT), {one.title: dict[str, ClipFacts]() for one in contestants}
    models = [(one, one.make(), Evidence(one.light) if one.light else None) for one in contestants]
    try:
        for clip in clips:
            say(f"{clip.path.name}: {clip.sounds}")
            for one, model, evidence in models:
                answers, tiles = _watch(model, clip, rate_hz, evidence)
                facts[one.title][clip.path.name] = found = facts_of(answers)
                say(f"  {one.title:22s} {found}")
                for line in evidence.lines() if evidence else ():
                    say(f"    {line}")
                sheet.add(tiles, f"{one.title}: {clip.path.stem}: {clip.sounds}: {found}")
    finally:
        for _, model, _ in models:
            model.close()
    sheet.write(output)
    say(f"wrote {output}")
    return facts


def _watch(
    model: Segmenter, clip: Clip, rate_hz: float, evidence: Evidence | None
) -> tuple[list[Segmentation], list[Bytes]]:
    """Answers to a clip, and :data:`SHOWN` of its frames drawn."""
    answers: list[Segmentation] = []
    drawn: list[Bytes] = []
    if evidence:
        evidence.begin()
    for answer, pair in run_clip(model, clip.path, rate_hz):
        answers.append(answer)
        drawn.append(scaled(draw_overlay(pair.image, answer), TILE_HEIGHT))
        if evidence:
            evidence.add(pair.image, pair.window)
    # The middles of equal parts: at its very beginning a clip has not been heard.
    count = min(SHOWN, len(drawn))
    at = ((np.arange(count) + 0.5) * len(drawn) / max(count, 1)).astype(int)
    return answers, [drawn[i] for i in at]
