"""The side by side scenes as clips in AVSBench's S4 layout, to be made into bags and disturbed."""

from __future__ import annotations

import csv
import wave
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from avs_ros.errors import DatasetError
from avs_ros.evaluation.side_by_side import Shot
from avs_ros.segmentation import Bytes
from avs_ros.sound import SAMPLE_RATE

SECONDS = 5


def write_clips(root: Path, shots: Sequence[Shot]) -> int:
    """Write every shot in which something sounds as a test clip under ``root``; count them.

    A clip shows its scene for five seconds; the second of sound is repeated.
    """
    data = root / "Single-source" / "s4_data"
    rows = [["name", "start", "category", "split"]]
    for shot in shots:
        if not shot.sounds:
            continue
        name = shot.name.replace(",", "").replace(" ", "_")
        place = Path("test") / shot.sounds
        mask = shot.view.masks[shot.sounds].astype(np.uint8) * np.uint8(255)
        for t in range(1, SECONDS + 1):
            frame = data / "visual_frames" / place / name / f"{name}_{t}.png"
            _picture(frame, cv2.cvtColor(shot.view.rgb, cv2.COLOR_RGB2BGR))
            _picture(data / "gt_masks" / place / name / f"{name}_{t}.png", mask)
        sound = np.round(np.tile(shot.window, SECONDS) * 32767).astype("<i2")
        path = data / "audio_wav" / place / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(sound.tobytes())
        rows.append([name, "0", shot.sounds, "test"])
    with (root / "Single-source" / "s4_meta_data.csv").open("w", newline="") as table:
        csv.writer(table).writerows(rows)
    return len(rows) - 1


def _picture(path: Path, image: Bytes | np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image):
        raise DatasetError(f"{path} cannot be written")
