"""How good the bundled file is, on pictures and recordings that were kept away from training."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avs_ros.inference.light import LightSegmenter
from avs_ros.segmentation import Bytes, Float, Prediction
from avs_ros.training.light.distortion import level, noise
from avs_ros.training.light.families import FAMILY_NAMES, SOUNDS, VOICES
from avs_ros.training.light.hearing import last_second
from avs_ros.training.light.pictures import IGNORE, load
from avs_ros.training.light.recordings import RATE, Library

_FAMILY_OF_VOICE = {voice.name: voice.family for voice in VOICES}
# Families without recordings of their own are asked with a sound that may be theirs.
STAND_INS = {
    "bus": ("engine_idling",),
    "truck": ("engine_idling", "car_horn"),
    "motorcycle": ("engine_idling",),
    "airplane": ("helicopter",),
}
SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Row:
    """One figure: what was measured, on how many cases, and the value."""

    name: str
    count: int
    value: float

    def __str__(self) -> str:
        return f"{self.name:<46s} {self.count:6d} {self.value:9.3f}"


class Composites:
    """Held-out pictures and recordings, paired on demand, always in the same way."""

    def __init__(self, work: Path, seed: int = 11) -> None:
        self.rng = np.random.default_rng(seed)
        table, pictures, masks = load(work)
        self.library = Library(work, held_out=True)
        self.pictures: list[tuple[Bytes, Bytes]] = [
            (np.asarray(pictures[i]), np.asarray(masks[i]))
            for i, p in enumerate(table)
            if p.held_out
        ]
        self.sounds_of: dict[str, list[str]] = {name: [] for name in FAMILY_NAMES}
        for sound, (is_voice, _) in SOUNDS.items():
            if sound in self.library.by_sound:
                for voice in is_voice:
                    self.sounds_of[_FAMILY_OF_VOICE[voice]].append(sound)
        for family, stand_ins in STAND_INS.items():
            self.sounds_of[family] = [s for s in stand_ins if s in self.library.by_sound]

    def families_in(self, mask: Bytes, share: float) -> list[int]:
        """Families that cover at least ``share`` of the picture."""
        counts = np.bincount(mask.reshape(-1), minlength=256)[1 : len(FAMILY_NAMES) + 1]
        return [int(k) for k in np.nonzero(counts >= share * mask.size)[0]]

    def window(self, sound: str) -> Float:
        """One second of a random recording of this class, at -20 dBFS."""
        index = int(self.rng.choice(self.library.by_sound[sound]))
        window = last_second(self.library.cut(index, 3.0, self.rng), self.rng)
        return np.asarray(np.clip(window * np.float32(0.1 / max(level(window), 1e-5)), -1, 1))

    def absent_sounds(self, mask: Bytes) -> list[str]:
        """Classes of sound that nothing in the picture could make."""
        present = {FAMILY_NAMES[int(k) - 1] for k in np.unique(mask) if 0 < k < IGNORE}
        out = []
        for sound, (is_voice, may_be) in SOUNDS.items():
            makers = {_FAMILY_OF_VOICE[v] for v in (*is_voice, *may_be)}
            makers |= {f for f, sounds in STAND_INS.items() if sound in sounds}
            if sound in self.library.by_sound and not makers & present:
                out.append(sound)
        return out


def marked(prediction: Prediction, size: tuple[int, int]) -> Bytes:
    """0|1 mask ``[H, W]`` of what the prediction marks."""
    import cv2

    if prediction.sounding < 0.5:
        return np.zeros(size, np.uint8)
    whole = cv2.resize(prediction.probability, size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole > 0.5, np.uint8)


def evaluate(
    work: Path, model: Path | str, report: Callable[[str], None], limit: int = 10_000
) -> list[Row]:
    """Every figure of the model card; ``limit`` caps the pairs of each kind."""
    segmenter = LightSegmenter(model)
    composites = Composites(work)
    rows: list[Row] = []
    for part in (_matched, _mismatched, _silent, _two_objects, _hearing, _reaction):
        found = part(segmenter, composites, limit)
        rows.extend(found)
        for row in found:
            report(str(row))
    rows.extend(_speed(segmenter, composites))
    report(str(rows[-2]))
    report(str(rows[-1]))
    return rows


def _ask(segmenter: LightSegmenter, frame: Bytes, window: Float) -> Prediction:
    segmenter.reset()
    return segmenter.step(frame, window, 0)


def _matched(segmenter: LightSegmenter, data: Composites, limit: int) -> list[Row]:
    scores: dict[str, list[float]] = {}
    right: list[float] = []
    pairs = [
        (frame, mask, k)
        for frame, mask in data.pictures
        for k in data.families_in(mask, 0.01)
        if data.sounds_of[FAMILY_NAMES[k]]
    ]
    for frame, mask, k in pairs[:limit]:
        name = FAMILY_NAMES[k]
        for _ in range(2):
            sound = str(data.rng.choice(data.sounds_of[name]))
            prediction = _ask(segmenter, frame, data.window(sound))
            own, known = mask == k + 1, mask != IGNORE
            found = (marked(prediction, mask.shape) > 0) & known
            union = int((found | own).sum())
            scores.setdefault(name, []).append(float((found & own).sum() / max(union, 1)))
            if prediction.layers:
                families = {
                    _FAMILY_OF_VOICE.get(layer.label, layer.label) for layer in prediction.layers
                }
                right.append(float(name in families))
    rows = [Row(f"M_J, {name}", len(v), float(np.mean(v))) for name, v in sorted(scores.items())]
    every = [x for v in scores.values() for x in v]
    others = [x for name, v in scores.items() if name != "person" for x in v]
    rows.append(Row("M_J, all pairs", len(every), float(np.mean(every))))
    rows.append(Row("M_J, pairs without person", len(others), float(np.mean(others))))
    rows.append(
        Row(
            "M_J, mean over families",
            len(scores),
            float(np.mean([np.mean(v) for v in scores.values()])),
        )
    )
    rows.append(Row("label of the right family, when marked", len(right), float(np.mean(right))))
    return rows


def _empty(name: str, masks: list[Bytes]) -> list[Row]:
    empty = [float(mask.mean() < 0.002) for mask in masks]
    return [
        Row(f"{name}: empty share", len(masks), float(np.mean(empty))),
        Row(f"{name}: false pixels", len(masks), float(np.mean([m.mean() for m in masks]))),
    ]


def _mismatched(segmenter: LightSegmenter, data: Composites, limit: int) -> list[Row]:
    masks = []
    for frame, mask in data.pictures[:limit]:
        if not data.families_in(mask, 0.01):
            continue
        for _ in range(2):
            sound = str(data.rng.choice(data.absent_sounds(mask)))
            masks.append(marked(_ask(segmenter, frame, data.window(sound)), mask.shape))
    return _empty("mismatched sound", masks)


def _silent(segmenter: LightSegmenter, data: Composites, limit: int) -> list[Row]:
    silence, hiss = [], []
    for frame, mask in data.pictures[:limit][::2]:
        zeros = np.zeros(RATE, np.float32)
        silence.append(marked(_ask(segmenter, frame, zeros), mask.shape))
        quiet = noise(data.rng, RATE) * np.float32(10 ** data.rng.uniform(-2.5, -1.0))
        hiss.append(marked(_ask(segmenter, frame, quiet), mask.shape))
    return _empty("silence", silence) + _empty("noise, -50 to -20 dBFS", hiss)


def _two_objects(segmenter: LightSegmenter, data: Composites, limit: int) -> list[Row]:
    """Two families visible, one sounds: share of the marked pixels on the right one."""
    shares, areas, found = [], [], []
    cases: list[tuple[Bytes, Bytes, int, int]] = []
    for frame, mask in data.pictures:
        here = [k for k in data.families_in(mask, 0.01) if data.sounds_of[FAMILY_NAMES[k]]]
        cases.extend((frame, mask, a, b) for a in here for b in here if a != b)
    # Few photographs hold two: join halves of single ones.
    single = [
        (frame, mask, here[0])
        for frame, mask in data.pictures
        if len(here := data.families_in(mask, 0.03)) == 1 and data.sounds_of[FAMILY_NAMES[here[0]]]
    ]
    for _ in range(80):
        first, second = data.rng.choice(len(single), 2, False)
        (f1, m1, k1), (f2, m2, k2) = single[first], single[second]
        if k1 != k2:
            half = slice(None, None, 2)
            cases.append(
                (
                    np.concatenate([f1[:, half], f2[:, half]], 1),
                    np.concatenate([m1[:, half], m2[:, half]], 1),
                    k1,
                    k2,
                )
            )
    for frame, mask, k, other in cases[:limit]:
        shared = set(data.sounds_of[FAMILY_NAMES[other]])
        sounds = [s for s in data.sounds_of[FAMILY_NAMES[k]] if s not in shared]
        if not sounds:
            continue
        prediction = _ask(segmenter, frame, data.window(str(data.rng.choice(sounds))))
        found_mask = marked(prediction, mask.shape) > 0
        right, wrong = (
            (found_mask & (mask == k + 1)).sum(),
            (found_mask & (mask == other + 1)).sum(),
        )
        found.append(float(right + wrong > 0))
        if right + wrong > 0:
            shares.append(float(right / (right + wrong)))
            own, rest = (mask == k + 1).sum(), (mask == other + 1).sum()
            areas.append(float(own / (own + rest)))
    return [
        Row("two objects: share on the sounding one", len(shares), float(np.mean(shares))),
        Row("  (share that plain area would give)", len(areas), float(np.mean(areas))),
        Row("  (cases in which either was marked)", len(found), float(np.mean(found))),
    ]


def _hearing(segmenter: LightSegmenter, data: Composites, limit: int) -> list[Row]:
    """Is the best family a right one?  One second, and the mean over three."""
    one, three = [], []
    for sound, (is_voice, may_be) in SOUNDS.items():
        if not is_voice or sound not in data.library.by_sound:
            continue
        families = {FAMILY_NAMES.index(_FAMILY_OF_VOICE[v]) for v in (*is_voice, *may_be)}
        for index in data.library.by_sound[sound][: min(limit, 25)]:
            context = data.library.cut(index, 3.0, data.rng)
            context = context * np.float32(0.1 / max(level(context), 1e-5))
            segmenter.reset()
            heard = []
            for start in range(0, 2 * RATE + 1, RATE // 4):
                window = np.ascontiguousarray(context[start : start + RATE])
                if level(window) > 0.01:
                    heard.append(segmenter.audio_logits(window))
            if heard:
                pick = heard[int(data.rng.integers(len(heard)))]
                one.append(float(segmenter.families_heard(pick).argmax() in families))
                mean = np.mean(heard, axis=0)
                three.append(float(segmenter.families_heard(mean).argmax() in families))
    return [
        Row("hearing, 1 s: right family", len(one), float(np.mean(one))),
        Row("hearing, 3 s: right family", len(three), float(np.mean(three))),
    ]


def _reaction(segmenter: LightSegmenter, data: Composites, limit: int) -> list[Row]:
    """Seconds from a sound's start to the first mask, and from its end to the last one."""
    on: list[float] = []
    off: list[float] = []
    for frame, mask in data.pictures:
        here = [
            k for k in data.families_in(mask, 0.05) if FAMILY_NAMES[k] in ("dog", "person", "cat")
        ]
        if len(here) != 1 or len(on) + len(off) >= 2 * min(limit, 12):
            continue
        sound = str(data.rng.choice(data.sounds_of[FAMILY_NAMES[here[0]]]))
        index = int(data.rng.choice(data.library.by_sound[sound]))
        piece = data.library.cut(index, 1.0, data.rng)
        piece = np.tile(piece * np.float32(0.1 / max(level(piece), 1e-5)), 3)
        track = np.concatenate(
            [np.zeros(2 * RATE, np.float32), piece, np.zeros(2 * RATE, np.float32)]
        )
        segmenter.reset()
        times = []
        for tenth in range(10, len(track) * 10 // RATE + 1):
            end = tenth * RATE // 10
            prediction = segmenter.step(frame, track[end - RATE : end], tenth * SECOND_NS // 10)
            if prediction.sounding >= 0.5:
                times.append(tenth / 10)
        inside = [t for t in times if 2.0 <= t <= 5.0]
        if inside:
            on.append(inside[0] - 2.0)
            off.append(max(0.0, max(times) - 5.0))
    return [
        Row(
            "sound starts: median delay of the mask, s", len(on), float(np.median(on or [np.nan]))
        ),
        Row(
            "sound ends: median delay of the mask, s", len(off), float(np.median(off or [np.nan]))
        ),
    ]


def _speed(segmenter: LightSegmenter, data: Composites) -> list[Row]:
    frame, window = data.pictures[0][0], data.window("speech")
    hearing, whole = [], []
    for i in range(12):
        began = time.perf_counter()
        prediction = segmenter.step(frame, window, i * SECOND_NS)
        whole.append((time.perf_counter() - began) * 1e3)
        hearing.append(prediction.ms["hearing"])
    return [
        Row("hearing, ms (this machine, as loaded now)", 10, float(np.median(hearing[2:]))),
        Row("whole step, ms (this machine, as loaded now)", 10, float(np.median(whole[2:]))),
    ]
