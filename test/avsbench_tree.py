"""A tiny AVSBench-shaped tree: coloured discs that sound at a pitch of their own."""

from __future__ import annotations

import csv
import json
import wave
from pathlib import Path

import cv2
import numpy as np

RATE = 16000
# category -> (RGB colour, pitch in Hz)
SOURCES = {"dog_barking": ((220, 60, 40), 300.0), "playing_piano": ((40, 90, 220), 1200.0)}


def drawn_image(
    rng: np.random.Generator, categories: list[str], size: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A noisy background with one disc per category; RGB, and a 0|1 mask of each disc."""
    image = rng.integers(60, 120, (size, size, 3)).astype(np.uint8)
    masks = {}
    for place, category in enumerate(categories):
        width = size // len(categories)
        centre = (place * width + width // 2, int(rng.integers(size // 3, size - size // 3)))
        mask = np.zeros((size, size), np.uint8)
        cv2.circle(mask, centre, max(width // 4, 4), 1, -1)
        image[mask > 0] = SOURCES[category][0]
        masks[category] = mask
    return image, masks


def sound(
    category: str | None, seconds: int, rng: np.random.Generator, rate: int = RATE
) -> np.ndarray:
    """int16 mono: the category's pitch, or near silence for None."""
    t = np.arange(seconds * rate) / rate
    tone = 0.0 * t if category is None else 0.3 * np.sin(2 * np.pi * SOURCES[category][1] * t)
    return (
        ((tone + 0.001 * rng.standard_normal(t.size)) * 32767).clip(-32768, 32767).astype(np.int16)
    )


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())


def write_png(path: Path, rgb_or_mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = rgb_or_mask[..., ::-1] if rgb_or_mask.ndim == 3 else rgb_or_mask * np.uint8(255)
    assert cv2.imwrite(str(path), image)


def make_s4(root: Path, *, train: int = 2, val: int = 1, test: int = 1, size: int = 224) -> Path:
    rng = np.random.default_rng(0)
    data = root / "Single-source" / "s4_data"
    rows = [["name", "start", "category", "split"]]
    names = list(SOURCES)
    for split, count in (("train", train), ("val", val), ("test", test)):
        for number in range(count):
            category = names[number % len(names)]
            name = f"{split}_{number}"
            place = Path(split) / category
            for t in range(1, 6):
                image, masks = drawn_image(rng, [category], size)
                write_png(data / "visual_frames" / place / name / f"{name}_{t}.png", image)
                if split != "train" or t == 1:
                    write_png(
                        data / "gt_masks" / place / name / f"{name}_{t}.png", masks[category]
                    )
            write_wav(data / "audio_wav" / place / f"{name}.wav", sound(category, 5, rng))
            rows.append([name, "0", category, split])
    with (root / "Single-source" / "s4_meta_data.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root


def make_ms3(root: Path, *, train: int = 2, val: int = 1, test: int = 1, size: int = 224) -> Path:
    """Two discs in each image; one of them sounds."""
    rng = np.random.default_rng(1)
    data = root / "Multi-sources" / "ms3_data"
    rows = [["name", "split"]]
    names = list(SOURCES)
    for split, count in (("train", train), ("val", val), ("test", test)):
        for number in range(count):
            name = f"{split}_{number}"
            category = names[number % len(names)]
            for t in range(1, 6):
                image, masks = drawn_image(rng, names, size)
                write_png(data / "visual_frames" / name / f"{name}.mp4_{t}.png", image)
                write_png(data / "gt_masks" / split / name / f"{name}_{t}.png", masks[category])
            write_wav(data / "audio_wav" / split / f"{name}.wav", sound(category, 5, rng))
            rows.append([name, split])
    with (root / "Multi-sources" / "ms3_meta_data.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root


def make_avss(root: Path, *, size: int = 64) -> Path:
    rng = np.random.default_rng(2)
    labels = {"background": 0, "dog_barking": 1, "playing_piano": 2}
    root.mkdir(parents=True, exist_ok=True)
    (root / "label2idx.json").write_text(json.dumps(labels))
    rows = [["vid", "uid", "s_min", "s_sec", "a_obj", "split", "label"]]
    plan = [("v1s", "train"), ("v1m", "val"), ("v2", "test"), ("v2", "train"), ("v1s", "test")]
    for number, (subset, split) in enumerate(plan):
        uid, length = f"uid_{number}", 10 if subset == "v2" else 5
        folder = root / subset / uid
        for t in range(length):
            image, masks = drawn_image(rng, ["dog_barking"], size)
            write_png(folder / "frames" / f"{t}.jpg", image)
            if not (subset == "v1s" and split == "train" and t > 0):
                path = folder / "labels_semantic" / f"{t}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(
                    str(path), masks["dog_barking"] * np.uint8(labels["dog_barking"])
                )
        write_wav(folder / "audio.wav", sound("dog_barking", length, rng))
        rows.append([f"vid_{number}", uid, "0", "0", "dog_barking", split, subset])
    with (root / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root
