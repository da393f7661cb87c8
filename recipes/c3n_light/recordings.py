"""Labelled sounds, decoded once to 16 kHz mono and kept in one memory-mapped array."""

from __future__ import annotations

import csv
import json
import re
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from avs_ros.errors import DatasetError, MissingDependencyError
from avs_ros.segmentation import Float
from avs_ros.sound import SAMPLE_RATE
from recipes.c3n_light import motors, spoken

SETS = ("esc10", "urbansound8k", "animals", "speech", "baby")


@dataclass(frozen=True)
class TrainingSound:
    """One file: samples ``first .. first + length`` of the array; ``sound`` is its class."""

    sound: str
    first: int
    length: int
    held_out: bool


def is_held_out(group: str, row: dict[str, str]) -> bool:
    """Whole recordings or speakers are held out, never slices of one that is trained on."""
    if group == "esc10":
        return row["fold"] == "4"
    if group == "urbansound8k":
        found = re.search(r"_(\d+)-", row["file"])
        recording = found.group(1) if found else row["file"]
        return zlib.crc32(recording.encode()) % 100 < 20
    if group == "animals":
        return row["fold"] == "5"
    if group == "speech":
        return row["fold"] == "4"
    return row["fold"] == "2"


def gather(data: Path, work: Path) -> None:
    """Write ``sounds.npy`` (int16) and ``sounds.json`` under ``work``."""
    if (work / "sounds.json").exists():
        return
    try:
        import soundfile
        import soxr
    except ImportError as error:
        raise MissingDependencyError(
            "soundfile and soxr", "reading the training sounds", "pip install soundfile soxr"
        ) from error
    table: list[TrainingSound] = []
    parts: list[np.ndarray] = []
    first = 0
    for group in SETS:
        listing = data / "audio" / f"{group}.csv"
        if not listing.exists():
            raise DatasetError(f"{listing} is missing: check the data folder")
        with listing.open() as rows:
            for row in csv.DictReader(rows):
                samples, rate = soundfile.read(str(data / "audio" / row["file"]), dtype="float32")
                if samples.ndim > 1:
                    samples = samples.mean(1)
                samples = soxr.resample(samples, rate, SAMPLE_RATE)
                pcm = np.clip(np.round(samples * 32767), -32768, 32767).astype(np.int16)
                table.append(TrainingSound(row["class"], first, len(pcm), is_held_out(group, row)))
                parts.append(pcm)
                first += len(pcm)
    work.mkdir(parents=True, exist_ok=True)
    np.save(work / "sounds.npy", np.concatenate(parts))
    (work / "sounds.json").write_text(json.dumps([asdict(r) for r in table]))


class SoundDataset:
    """The decoded recordings; :meth:`cut` takes a random piece that is not silent.

    For training, made-up sounds follow them where ``spoken`` and ``motors`` have made some.
    """

    def __init__(self, work: Path, held_out: bool) -> None:
        self.recordings: list[TrainingSound] = []
        self._pcm: list[np.ndarray] = []
        tables = [("sounds.json", "sounds.npy")]
        for made in (spoken, motors):
            if not held_out and (work / made.TABLE).is_file():
                tables.append((made.TABLE, made.SAMPLES))
        for table, samples in tables:
            pcm = np.load(work / samples, mmap_mode="r")
            rows = (TrainingSound(**row) for row in json.loads((work / table).read_text()))
            own = [r for r in rows if r.held_out == held_out]
            self.recordings += own
            self._pcm += [pcm] * len(own)
        self.by_sound: dict[str, list[int]] = {}
        for i, recording in enumerate(self.recordings):
            self.by_sound.setdefault(recording.sound, []).append(i)

    def samples(self, index: int) -> Float:
        """The whole recording as float32, -1..1."""
        r = self.recordings[index]
        pcm = self._pcm[index][r.first : r.first + r.length]
        return np.asarray(pcm, np.float32) / np.float32(32768)

    def cut(self, index: int, seconds: float, rng: np.random.Generator) -> Float:
        """``seconds`` of it around its loud parts, zero-padded where it is shorter."""
        whole = self.samples(index)
        n = round(seconds * SAMPLE_RATE)
        if len(whole) <= n:
            at = int(rng.integers(0, n - len(whole) + 1))
            return np.pad(whole, (at, n - len(whole) - at)).astype(np.float32)
        step = SAMPLE_RATE // 8
        starts = np.arange(0, len(whole) - n + 1, step)
        total = np.concatenate([[0.0], np.cumsum(whole.astype(np.float64) ** 2)])
        level = 10 * np.log10((total[starts + n] - total[starts]) / n + 1e-10)
        loud = starts[level > level.max() - 20]
        at = int(rng.choice(loud)) + int(rng.integers(0, step))
        at = min(at, len(whole) - n)
        return whole[at : at + n]
