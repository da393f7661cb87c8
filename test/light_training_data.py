"""Caches of a tiny data set for the light model's training: dogs, cats, and short noises."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import soundfile

from avs_ros.evaluation.composite_data import image_held
from avs_ros.models.light.vocabulary import SOUNDS
from avs_ros.sound import SAMPLE_RATE
from recipes.c3n_light.images import SIZE, TrainingImage
from recipes.c3n_light.recordings import TrainingSound

CONFIGS = Path(__file__).resolve().parents[1] / "recipes" / "c3n_light"
TINY = {
    "image_size": 64, "small_size": 64, "batch": 2, "gate_images": 8, "gate_sounds": 224,
    "gate_steps": 3, "refine_steps": 4, "trunk_steps": 2, "trunk_pairs": 4, "spoken": "false",
    "motors": "false",
}  # fmt: skip


class Reporter:
    """Keeps what it is told, holds what is logged to be finite; interrupts after some steps."""

    def __init__(self, until: int = 1000) -> None:
        self.until, self.steps = until, 0
        self.lines: list[str] = []

    def track(self, items: Iterable[int], total: int, what: str) -> Iterator[int]:
        yield from items

    def say(self, line: str) -> None:
        self.lines.append(line)

    def log(self, kind: str, at: int, values: dict[str, float]) -> None:
        assert np.isfinite(list(values.values())).all(), kind
        self.steps += 1
        if self.steps >= self.until:
            raise KeyboardInterrupt


def make_work(folder: Path) -> Path:
    """Write the caches into ``folder``: a dog and a cat each way, a noise for every sound."""
    rng = np.random.default_rng(0)
    table, images, masks = [], [], []
    for number, (category, held) in enumerate([(2, False), (3, False), (2, True), (3, True)]):
        table.append(TrainingImage("coco", str(number), -1, held))
        images.append(rng.integers(0, 255, (SIZE, SIZE, 3), np.uint8))
        mask = np.zeros((SIZE, SIZE), np.uint8)
        mask[40:220, 60:240] = category
        masks.append(mask)
    np.save(folder / "images.npy", np.stack(images))
    np.save(folder / "masks.npy", np.stack(masks))
    (folder / "images.json").write_text(json.dumps([asdict(row) for row in table]))
    length, rows = SAMPLE_RATE, []
    for number, (sound, held) in enumerate((s, h) for s in SOUNDS for h in (False, True)):
        rows.append(TrainingSound(sound, number * length, length, held))
    pcm = (rng.standard_normal(len(rows) * length) * 3000).astype(np.int16)
    np.save(folder / "sounds.npy", pcm)
    (folder / "sounds.json").write_text(json.dumps([asdict(row) for row in rows]))
    return folder


def make_data(folder: Path, shared: Path) -> Path:
    """A data folder with the real networks and lists, two people and a few short sounds."""
    for name in ("weights", "labels"):
        (folder / name).symlink_to(shared / "data" / name)
    rng = np.random.default_rng(0)
    people = folder / "images" / "people"
    people.mkdir(parents=True)
    for name in [str(n) for n in range(100) if image_held("people", str(n))][:2]:
        mask = np.zeros((80, 80), np.uint8)
        mask[20:70, 30:60] = 255
        cv2.imwrite(str(people / f"{name}.png"), mask)
        cv2.imwrite(str(people / f"{name}.jpg"), rng.integers(0, 255, (80, 80, 3), np.uint8))
    audio = folder / "audio"
    audio.mkdir()
    with (audio / "speech.csv").open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["file", "class", "fold"])
        for number in range(3):
            soundfile.write(audio / f"{number}.wav", rng.normal(0, 0.1, SAMPLE_RATE), SAMPLE_RATE)
            table.writerow([f"{number}.wav", "speech", "4"])
    return folder
