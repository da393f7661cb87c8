"""Clips with boxes on one sheet: every moment's frame with what was marked and what is true."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

from avs_ros.evaluation.clips import Judged
from avs_ros.overlay import draw_overlay
from avs_ros.report.sheet import Sheet, scaled
from avs_ros.segmentation import Bytes

HEIGHT = 170
SOURCE, OTHER = (70, 230, 120), (150, 150, 150)


def clip_sheet(judged: Iterable[Judged], target: Path) -> None:
    """A row for each clip, a tile for each moment.

    Green boxes: the sounding objects; grey ones: what may be marked, too.
    """
    sheet = Sheet(HEIGHT)
    for clip, moments in groupby(judged, key=lambda one: one.clip):
        listed = list(moments)
        told = "  |  ".join(_told(one) for one in listed)
        sheet.add([_tile(one) for one in listed], f"{clip}: {told}")
    sheet.write(target)


def _told(one: Judged) -> str:
    truth = ", ".join(dict.fromkeys(thing.label for thing in one.moment.sources)) or "none"
    labels = ", ".join(dict.fromkeys(i.label for i in one.answer.instances)) or "-"
    score = one.score
    if score.empty is not None:
        return f"{one.moment.time_s:g} s {truth}: {'empty' if score.empty else labels}"
    marks = "".join(
        mark for mark, good in (("F", score.found), ("t", score.touched), ("p", score.pointed))
        if good
    )
    return f"{one.moment.time_s:g} s {truth}: {labels} {score.iou:.2f} {marks or 'missed'}"


def _tile(one: Judged) -> Bytes:
    image = scaled(draw_overlay(one.rgb, one.answer, status=False), HEIGHT)
    height, width = image.shape[:2]
    for thing in one.moment.things:
        x0, y0, x1, y1 = thing.box
        first, last = _corner(x0, y0, width, height), _corner(x1, y1, width, height)
        colour = SOURCE if thing in one.moment.sources else OTHER
        cv2.rectangle(image, first, last, (0, 0, 0), 4)
        cv2.rectangle(image, first, last, colour, 2)
    return np.asarray(image, np.uint8)


def _corner(x: float, y: float, width: int, height: int) -> Sequence[int]:
    return min(round(x * width), width - 1), min(round(y * height), height - 1)
