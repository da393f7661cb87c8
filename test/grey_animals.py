"""A composite data set of grey animals, and models that know them."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import BrightnessSegmenter

from avs_ros.cli import evaluate_composite
from avs_ros.evaluation import composite_data
from avs_ros.segmentation import Bytes, Float, Layer, Prediction

soundfile = pytest.importorskip("soundfile")
RATE = 16000
GREY = {"dog": 240, "cat": 120}
PITCH = {"dog_bark": 300.0, "cat": 1200.0, "rain": 4000.0}


class Oracle(BrightnessSegmenter):
    """Marks the grey of the animal whose pitch it hears; ``deaf``: of any while there is sound."""

    deaf = False

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        spectrum = np.abs(np.fft.rfft(window))
        loudest = spectrum.argmax() * RATE / len(window)
        layers = []
        for animal, sound in (("dog", "dog_bark"), ("cat", "cat")):
            here = np.abs(frame.mean(axis=2) - GREY[animal]) < 30
            if window.any() and here.any() and (self.deaf or abs(loudest - PITCH[sound]) < 20):
                name = "beagle" if animal == "dog" else "tabby"
                layers.append(Layer(here.astype(np.float32), name, 1.0))
        whole = np.zeros(frame.shape[:2], np.float32)
        for layer in layers:
            whole = np.maximum(whole, layer.probability)
        label = layers[0].label if layers else ""
        sounding = 1.0 if layers else 0.0
        return Prediction(whole, sounding, label, 0, "Animal", 1.0, tuple(layers))


class Deaf(Oracle):
    deaf = True


def evaluate(segmenter: type, output: Path, *arguments: object) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    evaluate_composite.add_arguments(parser)
    args = parser.parse_args([*map(str, arguments), "-o", str(output)])
    assert evaluate_composite.run(args, load=lambda **_: segmenter()) == 0
    about: dict[str, Any] = json.loads((output / "metrics.json").read_text())
    assert about["schema"] == 2 and about["cases"] > 0
    (one,) = about["models"].values()
    return {**about, **one}


def held(names: range, source: str, validation: bool) -> list[str]:
    """Numbers that the rule puts on one side."""
    return [str(n) for n in names if composite_data.image_held(source, str(n)) == validation]


def animals_folder(root: Path) -> Path:
    """Grey animals on black, and three classes of sound."""
    coco = root / "images" / "coco_mini"
    coco.mkdir(parents=True)
    entries = []
    chosen = held(range(200), "coco", True)[:4] + held(range(200), "coco", False)[:2]
    for name, animals in zip(chosen, ("dog", "cat", "dog cat", "dog", "dog", "cat")):
        rgb, ids = np.zeros((60, 90, 3), np.uint8), np.zeros((60, 90), np.uint8)
        segments = []
        for number, animal in enumerate(animals.split(), 1):
            place = slice(10, 50), slice(40 * number - 30, 40 * number - 30 + 20 + 5 * number)
            rgb[place], ids[place] = GREY[animal], number
            segments.append({"id": number, "category": animal, "iscrowd": 0,
                             "area": int((ids == number).sum())})  # fmt: skip
        cv2.imwrite(str(coco / f"{name}.png"), ids)
        cv2.imwrite(str(coco / f"{name}.jpg"), rgb, [cv2.IMWRITE_JPEG_QUALITY, 100])
        files = {"file": f"{name}.jpg", "png": f"{name}.png"}
        size = {"width": 90, "height": 60}
        entries.append({"image_id": int(name), "kind": "panoptic", "segments": segments,
                        **files, **size})  # fmt: skip
    (coco / "annotations.json").write_text(json.dumps({"images": entries}))
    audio = root / "audio"
    (audio / "esc10").mkdir(parents=True)
    with (audio / "esc10.csv").open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["file", "class", "fold"])
        for sound, pitch in PITCH.items():
            for fold in ("1", "4"):
                file = f"esc10/{sound}_{fold}.wav"
                t = np.arange(24000) / 22050
                soundfile.write(audio / file, 0.3 * np.sin(2 * np.pi * pitch * t), 22050)
                table.writerow([file, sound, fold])
    return root
