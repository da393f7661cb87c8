"""Boxes ``(x0, y0, x1, y1)``, right and bottom edges exclusive, and the files that hold them.

JSON, as VGG-SS publishes it (``vggss.json``): a list of ``{"file": ID, "class": NAME, "bbox":
[[x0, y0, x1, y1], ...]}``, coordinates as shares of width and height; ``file`` is the name of the
clip without its suffix.  The boxes belong to the clip's middle frame, which is what was annotated,
unless ``"time"`` (seconds from the first image) says otherwise; this key is ours.

CSV: columns ``file,class,x0,y0,x1,y1`` and optionally ``time``; one line a box.  A line without
coordinates says that nothing sounds then.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import DatasetError
from avs_ros.evaluation.run_files import read_json, read_text

Box = tuple[float, float, float, float]


def box_of(mask: NDArray[Any]) -> Box | None:
    """Smallest box around everything above 0 in ``[h, w]``; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union, 0..1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def best_overlap(boxes: Sequence[Box], truths: Sequence[Box]) -> float:
    """Mean over ``truths`` (one at least) of the IoU of the best of ``boxes``."""
    found = [max((box_iou(box, truth) for box in boxes), default=0.0) for truth in truths]
    return sum(found) / len(found)


def filled(boxes: Sequence[Box], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """``[h, w]``: pixels whose centre lies in one of ``boxes``."""
    out = np.zeros(shape[:2], bool)
    for x0, y0, x1, y1 in boxes:
        left, top, right, bottom = (max(0, math.ceil(v - 0.5)) for v in (x0, y0, x1, y1))
        out[top:bottom, left:right] = True
    return out


COLUMNS = ("file", "class", "x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class BoxNote:
    """Boxes (shares of width and height) of one moment of a clip.

    ``time_s``: from its first image, None for its middle; no boxes: nothing sounds.
    """

    label: str
    boxes: tuple[Box, ...]
    time_s: float | None = None


def read_boxes(path: Path) -> dict[str, list[BoxNote]]:
    """Clip -> what is known of it.  Raises DatasetError, saying which entry is wrong."""
    entries = _from_csv(path) if path.suffix == ".csv" else _from_json(path)
    notes: dict[str, list[BoxNote]] = {}
    for where, entry in entries:
        try:
            time, boxes = entry.get("time"), tuple(_box(box) for box in entry["bbox"])
            note = BoxNote(str(entry["class"]), boxes, None if time is None else float(time))
            name = str(entry["file"])
        except (KeyError, TypeError, ValueError) as error:
            description = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise DatasetError(f"{path}, {where}: {description}") from error
        notes.setdefault(name, []).append(note)
    if not notes:
        raise DatasetError(f"{path} holds no boxes")
    return notes


def read_table(path: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Rows of a CSV file that has ``columns`` at least, each with its "line N".

    Raises DatasetError for a file that cannot be read or lacks a column.
    """
    rows = csv.DictReader(read_text(path).splitlines())
    missing = set(columns) - set(rows.fieldnames or ())
    if missing:
        raise DatasetError(f"{path} has no column {', '.join(sorted(missing))}")
    return [(f"line {number}", row) for number, row in enumerate(rows, 2)]


def _from_json(path: Path) -> list[tuple[str, dict[str, Any]]]:
    entries = read_json(path)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DatasetError(f"{path}: expected a list of objects with file, class and bbox")
    return [(f"entry {number}", entry) for number, entry in enumerate(entries, 1)]


def _from_csv(path: Path) -> list[tuple[str, dict[str, Any]]]:
    out = []
    for line, row in read_table(path, COLUMNS):
        corners = [row[name] or "" for name in COLUMNS[2:]]
        boxes = [corners] if any(corner.strip() for corner in corners) else []
        entry: dict[str, Any] = {"file": row["file"], "class": row["class"], "bbox": boxes}
        if (row.get("time") or "").strip():
            entry["time"] = row["time"]
        out.append((line, entry))
    return out


def _box(values: Sequence[Any]) -> Box:
    if len(values) != 4:
        raise ValueError(f"a box is {values}; expected [x0, y0, x1, y1]")
    x0, y0, x1, y1 = (float(value) for value in values)
    # Annotators' boxes reach a little over the edge; pixels reach far over it.
    if not all(math.isfinite(v) and -0.5 <= v <= 1.5 for v in (x0, y0, x1, y1)):
        raise ValueError(
            f"a box is {list(values)}; expected shares of width and height from 0 to 1, not pixels"
        )
    x0, y0, x1, y1 = (min(max(v, 0.0), 1.0) for v in (x0, y0, x1, y1))
    if x0 >= x1 or y0 >= y1:
        raise ValueError(f"a box is {list(values)}, which is empty; expected [x0, y0, x1, y1]")
    return x0, y0, x1, y1
