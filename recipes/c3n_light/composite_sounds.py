"""The sounds of the gate's composites: recordings, and noises of no thing."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from avs_ros.models.labels import audioset
from avs_ros.models.light.steps import TwoSpans
from avs_ros.segmentation import Float
from avs_ros.sound import SAMPLE_RATE
from recipes.c3n_light.categories import categories
from recipes.c3n_light.distortion import noise
from recipes.c3n_light.explaining import made_by
from recipes.c3n_light.listening import sound_file
from recipes.c3n_light.recordings import is_held_out

SOUND_SETS = (
    "esc10", "effects", "speech", "instruments", "urbansound8k", "animals", "baby",
)  # fmt: skip
SOUNDS_OF_A_KIND = 16
# Sets of which no part is kept for the composites of `avs evaluate composite`.
FREE_TO_TRAIN = ("effects", "instruments")
# The last of a recording's seconds that a composite may have.
HEARD_SECONDS = TwoSpans.seconds
# Noises of no thing, and what they may be of where it is seen.
NOISES = 60
NOISY = (
    "electric fan", "fire", "fountain", "frying pan", "hair dryer", "kettle", "tap", "television",
    "toilet", "vacuum cleaner", "washing machine",
)  # fmt: skip


def sounds_of(data: Path, seed: int) -> Iterator[tuple[Float, Float]]:
    """The loudest second of recordings and what comes before it, at random levels with some noise,
    and what makes it.
    """
    import soundfile
    import soxr

    rng = np.random.default_rng(seed)
    place = {name: index for index, name in enumerate(audioset().names)}
    for group in SOUND_SETS:
        kinds: dict[str, list[dict[str, str]]] = {}
        with (data / "audio" / f"{group}.csv").open(encoding="utf-8") as table:
            for row in csv.DictReader(table):
                if group in FREE_TO_TRAIN or not is_held_out(group, row):
                    kinds.setdefault(row["class"], []).append(row)
        for rows in kinds.values():
            for i in rng.permutation(len(rows))[:SOUNDS_OF_A_KIND]:
                path = sound_file(data, group, rows[int(i)]["file"])
                samples, rate = soundfile.read(str(path), dtype="float32")
                mono = samples.mean(axis=1) if samples.ndim > 1 else samples
                labels = rows[int(i)]["audioset_labels"].split("|")
                sound = np.asarray(soxr.resample(mono, rate, SAMPLE_RATE), np.float32)
                makers = made_by([place[name] for name in labels if name in place])
                yield loudest(sound, rng, HEARD_SECONDS), makers


def noises(seed: int) -> Iterator[tuple[Float, Float]]:
    """Seconds of hiss, rumble or hum each, and what makes it: nothing that can be marked."""
    rng = np.random.default_rng(seed)
    makers = np.array([-float(kind.name in NOISY) for kind in categories()], np.float32)
    for _ in range(NOISES):
        yield loudest(noise(rng, HEARD_SECONDS * SAMPLE_RATE), rng, HEARD_SECONDS), makers


def loudest(sound: Float, rng: np.random.Generator, seconds: int = 1) -> Float:
    """The loudest second at a random level with some noise, and of what comes before it so much
    that all are at most ``seconds``: float32 ``[N]``, at least 16000.
    """
    sound = np.pad(sound, (max(SAMPLE_RATE - len(sound), 0), 0))
    total = np.concatenate([[0.0], np.cumsum(np.square(sound, dtype=np.float64))])
    first = int((total[SAMPLE_RATE:] - total[:-SAMPLE_RATE]).argmax())
    part = sound[max(first - (seconds - 1) * SAMPLE_RATE, 0) : first + SAMPLE_RATE]
    level = max(float(np.sqrt(np.mean(part[-SAMPLE_RATE:] ** 2))), 1e-6)
    gain = 10 ** (rng.uniform(-28, -16) / 20) / level
    hiss = rng.normal(0, 10 ** (rng.uniform(-70, -45) / 20), len(part))
    return np.clip(part * gain + hiss, -1, 1).astype(np.float32)
