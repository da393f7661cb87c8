"""Loops of a bag, and what a pipeline answers to a bag."""

from __future__ import annotations

from pathlib import Path

from fakes import BrightnessSegmenter
from media_files import SECOND, BagMaker, lamp, tone

from avs_ros.media.bag import BagOptions, BagSource
from avs_ros.streaming import Pipeline

START = 1_700_000_000 * SECOND
TENTH = SECOND // 10


def lap(bag: BagMaker, number: int, seconds: float = 3.0, *, late: float = 0.0,
        sound_s: float | None = None) -> None:
    """One lap of a loop: the same stamps, recorded later; sound ``late`` seconds after images."""
    sound = tone(seconds, on=(0.7, 1.9))
    for i in range(round(seconds * 10)):
        at = START + i * TENTH
        recorded = at + round(number * seconds * SECOND)
        bag.image(at, lamp(lit=i % 7 != 0), recorded_ns=recorded)
        if sound_s is None or i * 0.1 < sound_s:
            bag.raw_audio(at, sound[i * 1600 : (i + 1) * 1600],
                          recorded_ns=recorded + TENTH + round(late * SECOND))


def answers(path: Path, options: BagOptions | None = None) -> list[tuple[int, float, float, bool]]:
    """(stamp, coverage, level, whether something is marked) of every frame through a pipeline."""
    source = BagSource(path, options)
    pipeline = Pipeline(BrightnessSegmenter())
    found = [
        (pair.stamp_ns, pair.coverage, round(pair.level_dbfs, 3), answer.sounding)
        for answer, pair in pipeline.run(source.events())
    ]
    source.close()
    return found
