"""The few frames of a film that tell what happens in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from avs_ros.media.decoding import import_av, local_url
from avs_ros.segmentation import Bytes


def choose_moments(
    times: Sequence[float], scores: Sequence[float], labels: Sequence[str], most: int = 8
) -> list[int]:
    """Positions of at most ``most`` frames: the surest of each run of equal labels.

    ``labels``: what was marked, "" for nothing.  The longest runs come first; the result is in
    order of time.
    """
    runs: list[list[int]] = []
    for position, label in enumerate(labels):
        if runs and labels[runs[-1][0]] == label:
            runs[-1].append(position)
        else:
            runs.append([position])
    runs.sort(key=lambda run: (-(times[run[-1]] - times[run[0]]), run[0]))
    chosen = []
    for run in runs[:most]:
        if labels[run[0]]:
            chosen.append(max(run, key=lambda position: scores[position]))
        else:
            chosen.append(run[len(run) // 2])
    return sorted(chosen)


def jpeg(rgb: Bytes, width: int = 480, quality: int = 82) -> bytes:
    """An image as JPEG, at most ``width`` pixels wide."""
    if rgb.shape[1] > width:
        size = (width, max(1, round(rgb.shape[0] * width / rgb.shape[1])))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def thumbnails(video: Path, positions: Sequence[int], width: int = 480) -> list[bytes]:
    """Frames number ``positions`` (rising) of a film as JPEG images."""
    wanted = set(positions)
    found = []
    with import_av().open(local_url(video)) as container:
        for position, frame in enumerate(container.decode(video=0)):
            if position in wanted:
                found.append(jpeg(frame.to_ndarray(format="rgb24"), width))
            if len(found) == len(wanted):
                break
    return found
