"""Held-out photographs of instruments with their sounds: what a model marks of each instrument.

Notes of real instruments where the data folder has them, else phrases of another soundfont than
the one that training heard.  The detector has seen none of the photographs; the gate has met some
of them and of the notes.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avs_ros.errors import DatasetError, optional
from avs_ros.inference.segmenter import Segmenter
from avs_ros.segmentation import Bytes, Float
from avs_ros.sound import SAMPLE_RATE
from recipes.c3n_light.categories import categories
from recipes.c3n_light.composite_sounds import loudest
from recipes.c3n_light.detector_scenes import photo_held_out
from recipes.c3n_light.listening import sound_file
from recipes.c3n_light.masked_photos import MaskedPhoto, folder_photos
from recipes.c3n_light.rendered import render

# Classes of the folder's notes, or General MIDI's programmes, of each category.
NOTES: dict[str, tuple[str, ...]] = {
    "guitar": ("guitar",), "banjo": ("banjo", "mandolin"), "flute": ("flute",),
    "clarinet": ("clarinet", "bass clarinet", "oboe"), "saxophone": ("saxophone",),
    "trombone": ("trombone",), "tuba": ("french horn",),
    "drum": ("snare", "bass drum", "tom", "djembe", "cymbal"),
}  # fmt: skip
PROGRAMMES: dict[str, tuple[int, ...]] = {
    "violin": (40,), "piano": (0, 1), "trumpet": (56,), "harp": (46,), "accordion": (21,),
    "xylophone": (13,), "harmonica": (22,), "bagpipes": (109,),
}  # fmt: skip
SECONDS_OF_A_SOUND = 3


def evaluate_instruments(
    model: Segmenter, data: Path, soundfont: Path | None, say: Callable[[str], None]
) -> dict[str, tuple[float, int]]:
    """Mean IoU of what is marked with the instrument, and pairs, of each category.

    Raises DatasetError where the folder has no such photographs.
    """
    scores: dict[str, tuple[float, int]] = {}
    for name in (*NOTES, *PROGRAMMES):
        sounds = _sounds(name, data, soundfont)
        photos = _photos(name, data)
        if not sounds or not photos:
            continue
        found = []
        for index, photo in enumerate(photos):
            bgr, mask = photo.read()
            rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
            found.append(_overlap(model, rgb, mask > 0, sounds[index % len(sounds)]))
        scores[name] = float(np.mean(found)), len(found)
        say(f"{name:12} {scores[name][0]:.3f} of {len(found)}")
    if not scores:
        raise DatasetError(f"{data} has no photographs of instruments with sounds")
    return scores


def _overlap(model: Segmenter, rgb: Bytes, truth: Any, sound: Float) -> float:
    """The frame and its second twice, as a stream would have them."""
    model.reset()
    for index in range(2):
        answer = model.step(rgb, sound, 1_000_000_000 + index * 200_000_000)
    shown = cv2.resize(answer.probability, truth.shape[::-1]) > 0.5
    either = (shown | truth).sum()
    return float((shown & truth).sum() / max(int(either), 1))


def _photos(name: str, data: Path) -> list[MaskedPhoto]:
    category = next(one for one in categories() if one.name == name)
    return [
        photo
        for photo in folder_photos(data / "images", category, None)
        if photo_held_out(photo)
    ]


def _sounds(name: str, data: Path, soundfont: Path | None) -> Sequence[Float]:
    rng = np.random.default_rng(0)
    if name in PROGRAMMES:
        if soundfont is None:
            return []
        whole = [render("programme", number, soundfont, seed=1) for number in PROGRAMMES[name]]
        size = SECONDS_OF_A_SOUND * SAMPLE_RATE
        parts = [s[at : at + size] for s in whole for at in range(0, len(s) - size, size)]
        return [loudest(part, rng) for part in parts]
    soundfile = optional("soundfile", "reading notes")
    soxr = optional("soxr", "reading notes")
    found = []
    with (data / "audio" / "instruments.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            if row["class"] in NOTES[name]:
                path = sound_file(data, "instruments", row["file"])
                samples, rate = soundfile.read(str(path), dtype="float32")
                mono = samples.mean(axis=1) if samples.ndim > 1 else samples
                sound = np.asarray(soxr.resample(mono, rate, SAMPLE_RATE), np.float32)
                found.append(loudest(sound, rng))
    return found
