"""Box annotations of clips: VGG-SS's own JSON, or a table.

JSON, as VGG-SS publishes it (``vggss.json``): a list of ``{"file": ID, "class": NAME, "bbox":
[[x0, y0, x1, y1], ...]}``, coordinates as shares of width and height; ``file`` is the name of the
clip without its suffix.  The boxes belong to the clip's middle frame, which is what was annotated,
unless ``"time"`` (seconds from the first picture) says otherwise; this key is ours.

CSV: columns ``file,class,x0,y0,x1,y1`` and optionally ``time``; one line a box.  A line without
coordinates says that nothing sounds then.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avs_ros.errors import DatasetError
from avs_ros.evaluation.boxes import Box

COLUMNS = ("file", "class", "x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class BoxNote:
    """Boxes (shares of width and height) of one moment of a clip.

    ``time_s``: from its first picture, None for its middle; no boxes: nothing sounds.
    """

    label: str
    boxes: tuple[Box, ...]
    time_s: float | None = None

    def in_pixels(self, width: int, height: int) -> tuple[Box, ...]:
        """The boxes in a picture of this size, cut at its edges."""
        return tuple(
            (x0 * width, y0 * height, x1 * width, y1 * height) for x0, y0, x1, y1 in self.boxes
        )


def read_boxes(path: Path) -> dict[str, list[BoxNote]]:
    """Clip -> what is known of it.  Raises DatasetError, saying which entry is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error
    entries = _from_csv(path, text) if path.suffix == ".csv" else _from_json(path, text)
    notes: dict[str, list[BoxNote]] = {}
    for where, entry in entries:
        try:
            note = _note(entry)
            name = str(entry["file"])
        except (KeyError, TypeError, ValueError) as error:
            words = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise DatasetError(f"{path}, {where}: {words}") from error
        notes.setdefault(name, []).append(note)
    if not notes:
        raise DatasetError(f"{path} holds no boxes")
    return notes


def _from_json(path: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise DatasetError(f"{path}: not JSON ({error})") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DatasetError(f"{path}: expected a list of objects with file, class and bbox")
    return [(f"entry {number}", entry) for number, entry in enumerate(entries, 1)]


def _from_csv(path: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
    rows = csv.DictReader(text.splitlines())
    missing = set(COLUMNS) - set(rows.fieldnames or ())
    if missing:
        raise DatasetError(f"{path} has no column {', '.join(sorted(missing))}")
    out = []
    for number, row in enumerate(rows, 2):
        corners = [row[name] or "" for name in COLUMNS[2:]]
        boxes = [corners] if any(corner.strip() for corner in corners) else []
        entry: dict[str, Any] = {"file": row["file"], "class": row["class"], "bbox": boxes}
        if (row.get("time") or "").strip():
            entry["time"] = row["time"]
        out.append((f"line {number}", entry))
    return out


def _note(entry: dict[str, Any]) -> BoxNote:
    time = entry.get("time")
    return BoxNote(
        str(entry["class"]),
        tuple(_box(box) for box in entry["bbox"]),
        None if time is None else float(time),
    )


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
