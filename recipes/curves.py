"""A training log as one small image: a curve for each kind of line."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from avs_ros.errors import DatasetError

WIDTH, HEIGHT, MARGIN = 720, 220, 40
INK, LINE, PALE = (40, 40, 40), (180, 90, 20), (225, 225, 225)


def draw_curves(log: Path, target: Path, value: str = "smooth") -> Path | None:
    """Write ``target`` (PNG): ``value`` over the steps, a panel for each kind of line in ``log``.

    A step that a resumed run took again counts once.  None, and no file, when the log holds no
    such value.  Raises DatasetError when a line cannot be read or the image not be written.
    """
    series: dict[str, dict[int, float]] = {}
    text = ""
    try:
        for text in log.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            if value in line:
                series.setdefault(str(line["kind"]), {})[int(line["at"])] = float(line[value])
    except OSError as error:
        raise DatasetError(f"{log}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{log}: {text[:60]!r} is no line of a training log") from error
    if not series:
        return None
    panels = [_panel(kind, sorted(points.items())) for kind, points in series.items()]
    part = target.with_name("part_" + target.name)
    if not cv2.imwrite(str(part), np.concatenate(panels)):
        raise DatasetError(f"{target} cannot be written")
    part.replace(target)
    return target


def _panel(kind: str, points: list[tuple[int, float]]) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    steps, values = (np.array(column, np.float64) for column in zip(*points, strict=True))
    low, high = float(values.min()), float(values.max())
    span = max(high - low, 1e-9)
    last = max(float(steps.max()), 1.0)
    x = MARGIN + steps / last * (WIDTH - 2 * MARGIN)
    y = HEIGHT - MARGIN - (values - low) / span * (HEIGHT - 2 * MARGIN)
    for share in (0.0, 0.5, 1.0):
        level = round(HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN))
        cv2.line(image, (MARGIN, level), (WIDTH - MARGIN, level), PALE, 1)
        _write(image, f"{low + share * span:.2f}", (4, level + 4))
    curve = np.stack([x, y], axis=1).round().astype(np.int32)
    cv2.polylines(image, [curve], False, LINE, 2, cv2.LINE_AA)
    _write(image, f"{kind}: loss over {last:.0f} steps", (MARGIN, 24))
    return image


def _write(image: np.ndarray, text: str, at: tuple[int, int]) -> None:
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, INK, 1, cv2.LINE_AA)
