"""A few scenes with a sound, and the answers of several models to them as one image.

Scenes are made of scikit-image's ``chelsea`` (CC0) and ``astronaut`` (public domain, NASA) and of
synthesised sounds, so the image may be shown anywhere.  They can be written as clips, too, in
the layout of AVSBench's S4, to be made into bags and disturbed.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import DatasetError
from avs_ros.evaluation.composite import join
from avs_ros.evaluation.composite_data import LEVEL, View
from avs_ros.evaluation.composite_generated import generated_dataset
from avs_ros.evaluation.metrics import mask_iou
from avs_ros.overlay import WHITE, draw_overlay, put_text
from avs_ros.segmentation import Bytes, Float, Segmentation
from avs_ros.sound import SAMPLE_RATE

WIDTH = 384
HEAD, GAP = 26, 4
GROUND = (20, 22, 27)


@dataclass(frozen=True, eq=False)
class Shot:
    """A scene with a sound: ``sounds`` is the category that makes it, "" for none of those there.

    ``name``: identifier; ``description``: what is heard, for people; ``window``: float32
    ``[16000]``.
    """

    name: str
    description: str
    view: View
    window: Float
    sounds: str


def shots() -> list[Shot]:
    """The scenes, always the same."""
    dataset = generated_dataset()
    views = {image.name: image.view() for image in dataset.images}
    recordings = {recording.name: recording.second() for recording in dataset.recordings}
    meow, speech = recordings["meow 1"], recordings["sentence 1"]
    silence = np.zeros(SAMPLE_RATE, np.float32)
    noise = np.random.default_rng(0).normal(0, LEVEL, SAMPLE_RATE)  # white, at -20 dBFS
    hiss = np.clip(noise, -1, 1).astype(np.float32)
    both = join(square(views["cat 0"]), square(views["person 0"]))
    cats = join(square(views["cat 0"]), square(views["cat 1"]))
    people = join(square(views["person 0"]), square(views["person 1"]))
    corner = inset(views["cat 0"], views["person 0"])
    return [
        Shot("cat-and-person, meow", "meow", both, meow, "cat"),
        Shot("cat-and-person, speech", "speech", both, speech, "person"),
        Shot("salient cat, speech", "speech", corner, speech, "person"),
        Shot("salient cat, meow", "meow", corner, meow, "cat"),
        Shot("two cats, meow", "meow", cats, meow, "cat"),
        Shot("two people, speech", "speech", people, speech, "person"),
        Shot("cat, speech", "speech", views["cat 0"], speech, ""),
        Shot("cat-and-person, noise", "hiss", both, hiss, ""),
        Shot("cat-and-person, silence", "silence", both, silence, ""),
    ]


def square(view: View) -> View:
    """The middle of a view, as wide as it is high."""
    height, width = view.rgb.shape[:2]
    side = min(height, width)
    y, x = (height - side) // 2, (width - side) // 2
    return view.part(np.s_[y : y + side, x : x + side])


def inset(large: View, small: View, share: float = 0.42) -> View:
    """``small`` in the upper right corner of ``large``: a thing that is easily overlooked."""
    side = round(share * large.rgb.shape[0])
    small, area = small.resized(side, side, cv2.INTER_AREA), np.s_[:side, -side:]
    rgb, masks = large.rgb.copy(), {}
    rgb[area] = small.rgb
    for name in large.masks.keys() | small.masks.keys():
        masks[name] = large.mask(name).copy()
        masks[name][area] = small.mask(name)
    return View(rgb, masks, np.zeros(large.unknown.shape, bool))


@dataclass(frozen=True)
class Verdict:
    """``iou`` with the sounding object (None where nothing visible does); ``marked``: share of the
    image; ``other``: share of the silent things that is marked; ``instances``: marked apart.
    """

    iou: float | None
    marked: float
    other: float
    instances: tuple[str, ...]


def judge(answer: Segmentation, shot: Shot) -> Verdict:
    """The answer against the outlines."""
    found: NDArray[np.bool_] = answer.mask() > 0
    rest = [mask for name, mask in shot.view.masks.items() if name != shot.sounds]
    other = np.any([found & False, *rest], axis=0)
    return Verdict(
        mask_iou(found, shot.view.mask(shot.sounds)) if shot.sounds else None,
        float(found.mean()),
        float((found & other).sum() / max(1, other.sum())),
        tuple(f"{one.label} {one.score:.2f}" for one in answer.instances),
    )


def sheet(rows: Sequence[tuple[Shot, Sequence[Segmentation]]], names: Sequence[str]) -> Bytes:
    """All answers as one image: a row per shot, a column per model."""
    width = GAP + (WIDTH + GAP) * len(names)
    strips = [_strip(width)]
    for column, name in enumerate(names):
        put_text(strips[0], name, GAP + 6 + (WIDTH + GAP) * column, 18, 11, WHITE)
    for shot, answers in rows:
        head = _strip(width)
        put_text(
            head, f"{shot.name.split(',')[0]} - heard: {shot.description}", GAP + 6, 18, 10, WHITE
        )
        height = round(WIDTH * shot.view.rgb.shape[0] / shot.view.rgb.shape[1])
        body = np.full((height, width, 3), GROUND, np.uint8)
        for column, answer in enumerate(answers):
            drawn = draw_overlay(shot.view.rgb, answer, status=False)
            left = GAP + (WIDTH + GAP) * column
            small = cv2.resize(drawn, (WIDTH, height), interpolation=cv2.INTER_AREA)
            body[:, left : left + WIDTH] = small
        strips += [head, body]
    return np.asarray(np.vstack(strips), np.uint8)


def _strip(width: int) -> Bytes:
    return np.full((HEAD, width, 3), GROUND, np.uint8)


CLIP_SECONDS = 5


def write_clips(root: Path, shots: Sequence[Shot]) -> int:
    """Write every shot in which something sounds as a test clip under ``root``; count them.

    A clip shows its scene for five seconds; the second of sound is repeated.
    """
    import soundfile

    data = root / "Single-source" / "s4_data"
    rows = [["name", "start", "category", "split"]]
    for shot in shots:
        if not shot.sounds:
            continue
        name = shot.name.replace(",", "").replace(" ", "_")
        place = Path("test") / shot.sounds
        mask = shot.view.masks[shot.sounds].astype(np.uint8) * np.uint8(255)
        for t in range(1, CLIP_SECONDS + 1):
            frame = data / "visual_frames" / place / name / f"{name}_{t}.png"
            _write(frame, cv2.cvtColor(shot.view.rgb, cv2.COLOR_RGB2BGR))
            _write(data / "gt_masks" / place / name / f"{name}_{t}.png", mask)
        sound = np.round(np.tile(shot.window, CLIP_SECONDS) * 32767).astype(np.int16)
        path = data / "audio_wav" / place / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(str(path), sound, SAMPLE_RATE)
        rows.append([name, "0", shot.sounds, "test"])
    with (root / "Single-source" / "s4_meta_data.csv").open("w", newline="") as table:
        csv.writer(table).writerows(rows)
    return len(rows) - 1


def _write(path: Path, image: Bytes | np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image):
        raise DatasetError(f"{path} cannot be written")
