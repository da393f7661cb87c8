"""Motors under way: the recordings have none, only idling ones.

Pulse trains of firing cylinders through an exhaust, with noise of road and air, at speeds that
change.  Most of what comes out does not sound like a motor; YAMNet keeps the pieces that do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import butter, lfilter

from avs_ros.models.labels import audioset
from avs_ros.segmentation import Float
from avs_ros.sound import SAMPLE_RATE

SOUND = "motor_running"
TABLE, SAMPLES = "motors.json", "motors.npy"
SECONDS = 3
COUNT, TRIES, SEED = 300, 30, 78
# The judge's score, 0..1, that each second must have for one of these ...
LEAST = 0.2
TAKEN = (
    "Vehicle",
    "Motor vehicle (road)",
    "Car",
    "Car passing by",
    "Race car, auto racing",
    "Truck",
    "Bus",
    "Motorcycle",
    "Engine",
    "Idling",
    "Accelerating, revving, vroom",
    "Medium engine (mid frequency)",
    "Heavy engine (low frequency)",
)
# ... and must not have for one of those.
REFUSED = ("Chainsaw", "Power tool", "Drill", "Aircraft", "Music", "Speech")
# Firings per second between idling and full speed.
SPEEDS = {
    "car": (30.0, 130.0),
    "race car": (120.0, 420.0),
    "motorcycle": (25.0, 180.0),
    "truck": (18.0, 60.0),
}
Judge = Callable[[Float], Float]


def _speed(rng: np.random.Generator, low: float, high: float, n: int) -> np.ndarray:
    """Firings per second at each sample: cruising, or through the gears; never quite even."""
    t = np.arange(n) / n
    knots = np.sort(rng.uniform(0, 1, int(rng.integers(2, 5))))
    out = np.interp(t, knots, rng.uniform(low, high, len(knots)))
    if rng.random() < 0.5:
        gear = (t * rng.uniform(1.5, 6) + rng.random()) % 1
        out = low + (high - low) * gear ** rng.uniform(0.6, 1.2)
    out = lfilter([1 / 800], [1, -(1 - 1 / 800)], out - out[0]) + out[0]
    unrest = lfilter([0.02], [1, -0.98], rng.standard_normal(n))
    return np.asarray(out * (1 + rng.uniform(0.01, 0.15) * unrest))


@dataclass(frozen=True)
class _Exhaust:
    """A resonance: centre and width in Hz."""

    centre: float
    width: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        r = np.exp(-np.pi * self.width / SAMPLE_RATE)
        angle = 2 * np.pi * self.centre / SAMPLE_RATE
        return np.asarray(lfilter([1 - r], [1, -2 * r * np.cos(angle), r * r], x))


def motor(rng: np.random.Generator, seconds: float = SECONDS) -> Float:
    """A motor, or something that was meant to be one: float32 mono at 16 kHz, peak 0.7."""
    n = round(seconds * SAMPLE_RATE)
    low, high = SPEEDS[str(rng.choice(list(SPEEDS)))]
    phase = np.cumsum(_speed(rng, low, high, n).clip(5)) / SAMPLE_RATE
    firing, since = np.floor(phase).astype(int), phase - np.floor(phase)
    cylinders = int(rng.choice([1, 2, 4, 6, 8]))
    strength = 1 + 0.2 * rng.standard_normal(cylinders)
    chance = 1 + 10 ** rng.uniform(-1.5, -0.6) * rng.standard_normal(firing[-1] + 2)
    pulse = strength[firing % cylinders] * chance[firing] * np.exp(-since * rng.uniform(4, 14))
    roar = 10 ** rng.uniform(-1.6, -0.2) * rng.standard_normal(n) * np.exp(-6 * since)
    source = pulse - pulse.mean() + roar
    out = source.copy()
    for _ in range(int(rng.integers(2, 5))):
        exhaust = _Exhaust(rng.uniform(80, 1800), rng.uniform(60, 400))
        out += rng.uniform(0.3, 1.5) * exhaust(source)
    out = lfilter(*butter(2, rng.uniform(1500, 5500) / (SAMPLE_RATE / 2)), out)
    band = np.array([60.0, rng.uniform(600, 2500)]) / (SAMPLE_RATE / 2)
    road = lfilter(*butter(1, band, "band"), rng.standard_normal(n))
    out = out / out.std() + 10 ** rng.uniform(-1.2, 0.2) * road / road.std()
    return np.asarray(0.7 * out / np.abs(out).max(), np.float32)


def sounds_like_a_motor(sound: Float, judge: Judge) -> bool:
    """Whether ``judge`` (1 s at 16 kHz -> ``[527]`` scores) says so of every second of it."""
    names = list(audioset().names)
    taken, refused = ([names.index(n) for n in group] for group in (TAKEN, REFUSED))
    for first in range(0, len(sound) - SAMPLE_RATE + 1, SAMPLE_RATE):
        scores = np.nan_to_num(judge(sound[first : first + SAMPLE_RATE]))
        if scores[taken].max() < LEAST or scores[refused].max() >= LEAST:
            return False
    return True


def gather(work: Path, judge: Judge, count: int = COUNT) -> int:
    """Write ``count`` motors under ``work`` once, fewer where the judge is hard to please.

    Returns how many there are.
    """
    if (work / TABLE).is_file():
        return len(json.loads((work / TABLE).read_text(encoding="utf-8")))
    rng = np.random.default_rng(SEED)
    parts: list[np.ndarray] = []
    for _ in range(count * TRIES):
        sound = motor(rng)
        if sounds_like_a_motor(sound, judge):
            parts.append(np.round(sound * 32767).astype(np.int16))
        if len(parts) == count:
            break
    rows = [
        {"sound": SOUND, "first": i * len(pcm), "length": len(pcm), "held_out": False}
        for i, pcm in enumerate(parts)
    ]
    work.mkdir(parents=True, exist_ok=True)
    np.save(work / SAMPLES, np.concatenate(parts) if parts else np.zeros(0, np.int16))
    part = work / (TABLE + ".part")
    part.write_text(json.dumps(rows), encoding="utf-8")
    os.replace(part, work / TABLE)
    return len(rows)
