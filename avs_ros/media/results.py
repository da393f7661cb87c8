"""``results.jsonl`` and ``masks/``: the answers of a run as plain files.

One JSON object per processed frame: ``index`` (of the frame in its source), ``time`` (s from
the source's first frame), ``sounding``, ``score`` (0..1), ``label``, ``audio_label``, ``point``
([x, y] px or null), ``area`` (share of the frame), ``instances`` (``id`` (1..254), ``label``,
``score``, ``box`` [x0, y0, x1, y1] px) and ``ms`` ({stage: milliseconds}).  The first line has
``metadata``, too: what computed the answers (see ``inference.description.describe``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import cv2

from avs_ros.errors import MediaError
from avs_ros.segmentation import Bytes, Segmentation


def to_record(segmentation: Segmentation, index: int, time_s: float) -> dict[str, Any]:
    """One line of ``results.jsonl`` as a dictionary."""
    point = segmentation.point
    return {
        "index": index,
        "time": round(time_s, 6),
        "sounding": bool(segmentation.sounding),
        "score": round(float(segmentation.score), 4),
        "label": segmentation.label,
        "audio_label": segmentation.audio_label,
        "point": None if point is None else [round(float(value), 2) for value in point],
        "area": round(float(segmentation.area), 6),
        "instances": [
            {
                "id": instance.index,
                "label": instance.label,
                "score": round(float(instance.score), 4),
                "box": [round(float(edge), 2) for edge in instance.box],
            }
            for instance in segmentation.instances
        ],
        "ms": {stage: round(float(value), 3) for stage, value in segmentation.ms.items()},
    }


class ResultFiles:
    """Writes ``results.jsonl`` and ``masks/<index>.png``; a line is whole once it is written."""

    def __init__(self, folder: Path, metadata: Mapping[str, Any]) -> None:
        """Begin in ``folder``, which exists; masks of an older run there are removed.

        ``metadata``: what computed the answers.
        """
        self.masks = folder / "masks"
        self.masks.mkdir(exist_ok=True)
        for old in self.masks.glob("[0-9]*.png"):
            old.unlink()
        self._file: TextIO = (folder / "results.jsonl").open("w", encoding="utf-8")
        self._metadata: Mapping[str, Any] | None = metadata

    def add(self, segmentation: Segmentation, index: int, time_s: float) -> None:
        """Write one frame's line and its mask (0|255, input size)."""
        write_mask(self.masks / f"{index:06d}.png", segmentation.mask())
        line = to_record(segmentation, index, time_s)
        if self._metadata is not None:
            line["metadata"], self._metadata = self._metadata, None
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def write_mask(path: Path, mask: Bytes) -> None:
    """Write a uint8 ``[H, W]`` image as PNG; raises :class:`MediaError` if the disk refuses."""
    done, data = cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    try:
        if not done:
            raise OSError(f"a mask of shape {mask.shape} cannot be coded")
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise MediaError(f"{path}: cannot be written ({error})") from error
