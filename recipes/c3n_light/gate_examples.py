"""Examples for the gate, made with a draft of the model itself: composites, and real clips."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avs_ros.evaluation.clips import Moment, clips_of, judge_clip
from avs_ros.inference import explaining
from avs_ros.inference.explaining import Background, SoundEvidence, gate_inputs
from avs_ros.inference.light_detecting import DetectingSegmenter
from avs_ros.inference.recent_sound import repeated
from avs_ros.segmentation import Bytes, Float, Prediction
from avs_ros.sound import SAMPLE_RATE
from recipes.c3n_light.background import background_of, usual_logits
from recipes.c3n_light.categories import categories, evidence_tables, roots_of_categories
from recipes.c3n_light.composite_sounds import noises, sounds_of
from recipes.c3n_light.detector_scenes import photo_held_out, sample_held_out
from recipes.c3n_light.explaining import (
    CLIP_WEIGHT,
    Examples,
    composites,
    examples_of,
    truth_of,
)
from recipes.c3n_light.masked_photos import folder_photos, sample_files

CLIP_SETS = ("clips", "clips_dev")
CLIP_FPS = 4.0
# Of each kind of thing, and of scenes.
PHOTOS_OF_A_KIND, ROWS_OF_A_KIND, SCENES = 12, 2, 150
CLEARLY = 0.01
# Side by side: the second sound is up to so much louder or softer; height, px.
EITHER_DB, MOST_PX = 6.0, 360
# What the clips' tables call a category.
SAME = {
    "baby": "person", "tennis racket": "racket", "vibraphone": "xylophone", "anvil": "hammer",
    "bag": "punching bag", "drumstick": "drum",
}  # fmt: skip


def gather_examples(
    draft: Path, data: Path, pairs: int, doubles: int, seed: int, say: Callable[[str], None]
) -> tuple[Examples, dict[str, Any]]:
    """Composites from the data folder, and the moments of its clips where it has some.

    And what is seen and heard of each category where it is not (:func:`background_of`).
    """
    model = DetectingSegmenter(draft)
    try:
        photos = list(_images(data, seed))
        recordings = [*sounds_of(data, seed), *noises(seed)]
        looked = [(*_best(model, image), shown) for image, shown in photos]
        # Each as it is heard when it has gone on for a while, and when it has just begun.
        heard = [
            (model.audio_logits(part), makers)
            for sound, makers in recordings
            for part in (sound, sound[-SAMPLE_RATE:])
        ]
        say(f"composites of {len(looked)} images and {len(recordings)} sounds")
        audioset_usual = usual_logits(np.concatenate([logits for logits, _ in heard]))
        model.evidence = SoundEvidence(evidence_tables(), audioset_usual)
        sounds = [
            (model.evidence(now), model.evidence(longer), makers)
            for (now, longer), makers in heard
        ]
        usual = background_of(
            [(np.log(peak + explaining.LEAST_PEAK), shown) for _, peak, shown in looked],
            [(np.float32(0.5) * (now + longer), makers) for now, longer, makers in sounds],
        )
        usual["audioset"] = audioset_usual
        model.background = Background(usual)
        images = [(model.background.sight(*seen), shown) for *seen, shown in looked]
        found = composites(images, sounds, pairs, seed, model.background)
        two = list(_doubles(model, photos, recordings, doubles, seed))
        say(f"{len(two)} of two things side by side")
        found = found.joined(examples_of(two))
        group = 0
        for name in CLIP_SETS:
            for path, moments in clips_in(data, name):
                found = found.joined(_clip(model, path, moments, group))
                group += 1
        say(f"{group} clips")
        return found, usual
    finally:
        model.close()


def clips_in(data: Path, name: str) -> list[tuple[Path, list[Moment]]]:
    """The clips of one of ``CLIP_SETS`` with their moments, in order; none where it is not."""
    table = data / name / "boxes.csv"
    return list(clips_of(data / name).items()) if table.is_file() else []


def _images(data: Path, seed: int) -> Iterator[tuple[Bytes, Float]]:
    """Photographs (RGB), and which categories they show: 1, 0, -1 unknown."""
    rng = np.random.default_rng(seed)
    kinds = categories()
    images = data / "images"
    unknown = np.full(len(kinds), -1, np.float32)
    samples = sample_files(images)
    of_coco = {name: k for k, kind in enumerate(kinds) for name in kind.coco}
    for k, kind in enumerate(kinds):
        shown = unknown.copy()
        shown[k] = 1
        order = [int(row) for row in rng.permutation(list(kind.imagenet))]
        # Those first that the detector has not seen.
        order.sort(key=lambda row, kind=kind: not sample_held_out(kind, row))  # type: ignore[misc]
        for row in order[:ROWS_OF_A_KIND]:
            yield _read(samples[row]), shown
        alone = np.zeros(len(kinds), np.float32)
        alone[k] = 1
        paths = [
            photo.image for photo in folder_photos(images, kind, None) if photo_held_out(photo)
        ]
        for i in rng.permutation(len(paths))[:PHOTOS_OF_A_KIND]:
            yield _read(paths[int(i)]), alone
    table = json.loads((images / "coco_mini" / "annotations.json").read_text())["images"]
    for i in rng.permutation(len(table))[:SCENES]:
        entry = table[int(i)]
        shown = np.zeros(len(kinds), np.float32)
        for segment in entry["segments"]:
            k = of_coco.get(segment["category"], -1)
            large = segment["area"] > CLEARLY * entry["width"] * entry["height"]
            if k >= 0 and shown[k] != 1:
                shown[k] = 1 if large else -1
        yield _read(images / "coco_mini" / entry["file"]), shown


def _doubles(
    model: DetectingSegmenter,
    photos: Sequence[tuple[Bytes, Float]],
    recordings: Sequence[tuple[Float, Float]],
    count: int,
    seed: int,
) -> Iterator[tuple[Float, Float]]:
    """Two photographs side by side with both sounds, with one of them, or with a third one.

    What the gate weighs ``[K, F]``, and :func:`truth_of` the pair ``[K]``.
    """
    rng = np.random.default_rng(seed)
    shown = np.stack([one[1] for one in photos]) > 0
    makers = np.stack([one[1] for one in recordings]) > 0
    # A category and then one of its photographs: the rare ones as often as the others.  Half of
    # the pairs are of one root: what the same sounds may be of is harder to tell apart.
    usable = np.flatnonzero(shown.any(axis=0) & makers.any(axis=0))
    roots = roots_of_categories()
    for index in range(-(-count // 3)):
        left, right = (int(k) for k in rng.choice(usable, 2, replace=False))
        kin = [k for k in usable if k != left and roots[k] & roots[left]]
        if index % 2 and kin:
            right = int(rng.choice(kin))
        first, second = (photos[_one(rng, shown[:, k])] for k in (left, right))
        here, beside = (recordings[_one(rng, makers[:, k])] for k in (left, right))
        gain = 10 ** (rng.uniform(-EITHER_DB, EITHER_DB) / 20)
        size = max(len(here[0]), len(beside[0]))
        both = repeated(here[0], size) + gain * repeated(beside[0], size)
        both = np.clip(both, -1, 1).astype(np.float32)
        sight = model.background.sight(*_best(model, _side_by_side(rng, first[0], second[0])))
        for sound, made in (
            (both, _either(here[1], beside[1])),
            here,
            recordings[int(rng.integers(len(recordings)))],
        ):
            now, longer = map(model.evidence, model.audio_logits(sound))
            inputs = gate_inputs(now, longer, sight, 0.0, model.background)
            yield inputs, truth_of(_either(first[1], second[1]), made)


def _side_by_side(rng: np.random.Generator, one: Bytes, other: Bytes) -> Bytes:
    """Both photographs in one frame, in either order."""
    pair = [one, other] if rng.random() < 0.5 else [other, one]
    side = min(max(image.shape[0] for image in pair), MOST_PX)
    resized = [
        cv2.resize(image, (max(1, round(image.shape[1] * side / image.shape[0])), side))
        for image in pair
    ]
    return np.asarray(np.concatenate(resized, axis=1), np.uint8)


def _best(model: DetectingSegmenter, frame: Bytes) -> tuple[Float, Float]:
    """Of each category the score of its best instance and of its best cell, ``[K]``."""
    found = model.candidates(frame)
    return found.score, found.peak


def _one(rng: np.random.Generator, chosen: Any) -> int:
    return int(rng.choice(np.flatnonzero(chosen)))


def _either(one: Float, other: Float) -> Float:
    """Of two tables of 1, 0, -1 (unknown): what holds of both things together."""
    known = np.where((one < 0) | (other < 0), -1.0, 0.0)
    return np.where((one > 0) | (other > 0), 1.0, known).astype(np.float32)


def _read(path: Path) -> Bytes:
    return np.asarray(cv2.cvtColor(np.asarray(cv2.imread(str(path))), cv2.COLOR_BGR2RGB))


class _Recorder:
    """A segmenter that keeps what its gate weighed, by the frame's stamp."""

    def __init__(self, model: DetectingSegmenter) -> None:
        self._model = model
        self.inputs: dict[int, Float] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """See :class:`Segmenter`."""
        answer = self._model.step(frame, window, stamp_ns)
        self.inputs[stamp_ns] = self._model.inputs
        return answer


def _clip(model: DetectingSegmenter, path: Path, moments: list[Moment], group: int) -> Examples:
    """What the gate weighs at the moments of one clip."""
    model.reset()
    recorder = _Recorder(model)
    inputs, truth = [], []
    for judged in judge_clip(recorder, path, moments, CLIP_FPS):
        inputs.append(recorder.inputs[judged.answer.stamp_ns])
        truth.append(_truth(judged.moment))
    count = len(truth)
    return Examples(
        np.array(inputs, np.float32).reshape(count, len(categories()), explaining.INPUTS),
        np.array(truth, np.float32).reshape(count, len(categories())),
        np.full(count, CLIP_WEIGHT, np.float32),
        np.full(count, group),
    )


def _truth(moment: Moment) -> Float:
    """Which categories sound: 1, 0, -1 where the table is not sure of the moment."""
    names = [category.name for category in categories()]
    sure = moment.sure and all(thing.sure for thing in moment.things)
    out = np.full(len(names), 0.0 if sure else -1.0, np.float32)
    for thing in moment.things:
        name = SAME.get(thing.label, thing.label)
        if thing.role == "player" or name not in names:
            continue
        k = names.index(name)
        if thing.role == "source" and thing.sure:
            out[k] = 1.0
        elif out[k] != 1.0:
            out[k] = -1.0
    return out
