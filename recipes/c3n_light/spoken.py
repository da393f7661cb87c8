"""Sentences by espeak-ng: voices, speeds and pitches that the recorded speech does not have.

The program is optional.  Where it is on the PATH its speech is cached beside the recordings, for
training only; nothing of it is ever held out for judging.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avs_ros.errors import DatasetError, MissingDependencyError
from avs_ros.sound import SAMPLE_RATE

PROGRAM = "espeak-ng"
SOUND = "speech"
TABLE, SAMPLES = "spoken.json", "spoken.npy"
SENTENCES = 160
SEED = 77
TIMEOUT_S = 60
VOICES = tuple(
    f"{language}{speaker}"
    for language in ("en", "en-us", "de", "fr", "es", "it")
    for speaker in ("", "+m1", "+m3", "+m7", "+f1", "+f2", "+f4", "+f5")
)
_WHO = (
    "the robot",
    "my sister",
    "a neighbour",
    "nobody",
    "the old teacher",
    "our dog",
    "the band",
)
_DOES = ("is looking for", "has forgotten", "wants to see", "will bring", "talks about", "hears")
_WHAT = ("the red kettle", "seven green boats", "a letter from home", "the music next door",
         "an open window", "the last train", "two cups of tea")  # fmt: skip
_WHEN = ("this morning", "after dinner", "in the kitchen", "as always", "before it rains", "again")
_OPENERS = ("", "", "Well, ", "Please listen: ", "Yes, ", "I said that ", "Do you think ")


@dataclass(frozen=True)
class Sentence:
    """What is said and how: ``speed`` in words per minute, ``pitch`` 0..99."""

    text: str
    speaker: str
    speed: int
    pitch: int


def sentences(count: int = SENTENCES, seed: int = SEED) -> list[Sentence]:
    """Varied sentences; the same for the same seed."""
    rng = np.random.default_rng(seed)

    def one(words: tuple[str, ...]) -> str:
        return words[int(rng.integers(len(words)))]

    return [
        Sentence(
            f"{one(_OPENERS)}{one(_WHO)} {one(_DOES)} {one(_WHAT)} {one(_WHEN)}.",
            VOICES[i % len(VOICES)],
            int(rng.integers(110, 260)),
            int(rng.integers(10, 95)),
        )
        for i in range(count)
    ]


def available() -> bool:
    """Whether espeak-ng is on the PATH."""
    return shutil.which(PROGRAM) is not None


def say(sentence: Sentence, folder: Path) -> np.ndarray:
    """One sentence, int16 at 16 kHz.  Raises DatasetError when espeak-ng cannot say it."""
    try:
        import soundfile
        import soxr
    except ImportError as error:
        raise MissingDependencyError(
            "soundfile and soxr", "reading the training sounds", "pip install soundfile soxr"
        ) from error
    path = folder / "sentence.wav"
    words = [PROGRAM, "-v", sentence.speaker, "-s", str(sentence.speed), "-p", str(sentence.pitch)]
    try:
        done = subprocess.run(
            [*words, "-w", str(path), "--", sentence.text],
            capture_output=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DatasetError(f"{PROGRAM} does not run: {error}; set spoken to false") from error
    if done.returncode or not path.is_file():
        told = done.stderr.decode(errors="replace").strip()
        raise DatasetError(f"{PROGRAM} failed: {told or done.returncode}; set spoken to false")
    samples, rate = soundfile.read(str(path), dtype="float32")
    path.unlink()
    found = soxr.resample(samples, rate, SAMPLE_RATE)
    return np.asarray(np.clip(np.round(found * 32767), -32768, 32767), np.int16)


def gather(work: Path, count: int = SENTENCES) -> int:
    """Write the sentences under ``work`` once; how many there are, 0 without espeak-ng."""
    if (work / TABLE).is_file():
        return len(json.loads((work / TABLE).read_text(encoding="utf-8")))
    if not available():
        return 0
    work.mkdir(parents=True, exist_ok=True)
    rows, parts, first = [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        for sentence in sentences(count):
            pcm = say(sentence, Path(folder))
            row = {"sound": SOUND, "first": first, "length": len(pcm), "held_out": False}
            rows.append(row)
            parts.append(pcm)
            first += len(pcm)
    np.save(work / SAMPLES, np.concatenate(parts))
    part = work / (TABLE + ".part")
    part.write_text(json.dumps(rows), encoding="utf-8")
    os.replace(part, work / TABLE)
    return len(rows)
