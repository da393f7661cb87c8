"""A contact sheet: rows of small images, each row with a line of words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

from avs_ros.evaluation.clips import Judged
from avs_ros.evaluation.run_files import write_whole
from avs_ros.media.film import decode, jpeg
from avs_ros.overlay import draw_overlay, put_text, text_width
from avs_ros.segmentation import Bytes

LETTERS, STRIP, GAP = 9, 20, 4
PAPER, INK = 245, (20, 20, 20)


class Sheet:
    """Collects rows and writes them as one JPEG."""

    def __init__(self, height: int) -> None:
        """``height`` of the small images, px."""
        self._height = height
        self._rows: list[Bytes] = []

    def add(self, tiles: Sequence[Bytes], description: str) -> None:
        """A row of images uint8 RGB, none higher than the sheet's rows, under ``description``."""
        gap = np.full((self._height, GAP, 3), PAPER, np.uint8)
        parts = [part for tile in tiles for part in (self._filled(tile), gap)]
        body = np.hstack(parts) if parts else gap
        description = description.encode("ascii", "replace").decode()
        width = max(body.shape[1], text_width(description, LETTERS) + 2 * GAP)
        strip = np.full((STRIP, width, 3), PAPER, np.uint8)
        put_text(strip, description, GAP, STRIP - 6, LETTERS, INK)
        self._rows += [strip, np.asarray(body, np.uint8)]

    def _filled(self, tile: Bytes) -> Bytes:
        """As high as the row: scaled, or with paper below where it is low already."""
        image = tile if len(tile) < self._height else scaled(tile, self._height)
        below = ((0, self._height - len(image)), (0, 0), (0, 0))
        return np.asarray(np.pad(image, below, constant_values=PAPER), np.uint8)

    def write(self, path: Path) -> None:
        """One image, as wide as its widest row."""
        rows = self._rows or [np.full((STRIP, 1, 3), PAPER, np.uint8)]
        width = max(row.shape[1] for row in rows)
        whole = np.vstack([
            np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=PAPER)
            for row in rows
        ])
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, jpeg(np.asarray(whole, np.uint8), width, quality=80))


def write_sheet(path: Path, shown: Sequence[tuple[bytes, str]]) -> None:
    """Images (JPEG) with a line of words each, one below the other."""
    images = [decode(data) for data, _ in shown]
    sheet = Sheet(images[0].shape[0] if images else 1)
    for image, (_, description) in zip(images, shown, strict=True):
        sheet.add([image], description)
    sheet.write(path)


def scaled(image: Bytes, height: int, most: float = math.inf) -> Bytes:
    """The same at another height, px, or lower where it would be wider than ``most`` heights."""
    rows, columns = image.shape[:2]
    scale = min(height / rows, most * height / columns)
    size = (max(1, round(scale * columns)), max(1, round(scale * rows)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


# Of the rows, px; panoramas are at most so many times as wide.
HEIGHT, WIDEST = 170, 2.5
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
    image = scaled(draw_overlay(one.rgb, one.answer, status=False), HEIGHT, WIDEST)
    height, width = image.shape[:2]
    for thing in one.moment.things:
        x0, y0, x1, y1 = (
            min(round(edge * side), side - 1)
            for edge, side in zip(thing.box, (width, height) * 2, strict=True)
        )
        colour = SOURCE if thing in one.moment.sources else OTHER
        cv2.rectangle(image, (x0, y0), (x1, y1), (0, 0, 0), 4)
        cv2.rectangle(image, (x0, y0), (x1, y1), colour, 2)
    return np.asarray(image, np.uint8)
