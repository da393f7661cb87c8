"""A few training steps of each trainer in mixed precision, on clips drawn here."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import time
import wave
from pathlib import Path
from typing import Any

import cv2
import numpy as np

_RATE, _SECONDS = 16000, 5
_CONFIG = Path(__file__).resolve().parents[1] / "config" / "train"
# Verb and configuration; what makes each small enough to try the tool on a CPU.
TRAINERS = {
    "c3n": ("s4_pvt_v2_b5_panns.yaml", ()),
    "avsc": ("avsc_pvt.yaml", ("queries=8",)),
}
_SMALL = ("visual=pvt_v2_b0", "audio=efficientat_mn04", "channels=32", "image_size=64")


def train_all(folder: Path, device: str, small: bool) -> dict[str, Any]:
    """Trainer -> ``seconds`` of a run of one epoch and the last ``loss``; plain values.

    ``status`` "agrees" where every loss is a number, "absent" where an optional library that the
    trainers need is not installed.
    """
    for library in ("soundfile", "pydantic"):
        if importlib.util.find_spec(library) is None:
            return {"status": "absent", "reason": f"{library} is not installed"}
    from avs_ros.cli.main import main

    data = folder / "avsbench"
    _draw(data)
    found: dict[str, Any] = {"status": "agrees"}
    for verb, (config, smaller) in TRAINERS.items():
        output = folder / f"train_{verb}"
        changes = [
            "epochs=1", "batch_clips=1", "workers=0", "amp=true", *(_SMALL if small else ()),
            *(smaller if small else ()),
        ]  # fmt: skip
        words = ["train", verb, "--config", str(_CONFIG / config), "--data", str(data), "-o"]
        words += [str(output), "--device", device]
        for change in changes:
            words += ["--set", change]
        began = time.perf_counter()
        status = main(words)
        loss = _last_loss(output / "log.jsonl")
        found[verb] = {
            "seconds": round(time.perf_counter() - began, 1), "loss": loss, "exit": status,
        }  # fmt: skip
        if status or loss is None or not math.isfinite(loss):
            found["status"] = "differs"
    return found


def _last_loss(path: Path) -> float | None:
    if not path.is_file():  # it ended before the first line; its words are in the log
        return None
    losses = [json.loads(line).get("loss") for line in path.read_text().splitlines()]
    known = [float(loss) for loss in losses if loss is not None]
    return known[-1] if known else None


def _draw(root: Path) -> None:
    """Two clips to train on and one to validate, laid out as AVSBench S4: discs and tones."""
    rng = np.random.default_rng(0)
    data = root / "Single-source" / "s4_data"
    rows = [["name", "start", "category", "split"]]
    for number, split in enumerate(("train", "train", "val")):
        name, category = f"{split}_{number}", ("dog_barking", "playing_piano")[number % 2]
        place = Path(split) / category
        for second in range(1, _SECONDS + 1):
            image = rng.integers(60, 120, (224, 224, 3)).astype(np.uint8)
            mask = np.zeros((224, 224), np.uint8)
            cv2.circle(mask, (112, int(rng.integers(80, 144))), 50, 255, -1)
            image[mask > 0] = (40, 60 + 120 * (number % 2), 200)
            for kind, drawn in (("visual_frames", image), ("gt_masks", mask)):
                if kind == "visual_frames" or split != "train" or second == 1:
                    path = data / kind / place / name / f"{name}_{second}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    cv2.imwrite(str(path), drawn)
        tone = 0.3 * np.sin(2 * np.pi * (300 + 900 * (number % 2)) * np.arange(_RATE * 5) / _RATE)
        path = data / "audio_wav" / place / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(_RATE)
            file.writeframes((tone * 32767).astype(np.int16).tobytes())
        rows.append([name, "0", category, split])
    with (root / "Single-source" / "s4_meta_data.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
