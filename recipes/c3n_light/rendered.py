"""Instruments played by FluidSynth from a free soundfont: phrases of 24 s for each programme.

Debian's packages fluidsynth and fluid-soundfont-gm (MIT) are what this needs.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from avs_ros.errors import MissingDependencyError, ParameterError, optional
from avs_ros.segmentation import Float
from avs_ros.sound import SAMPLE_RATE

# General MIDI's programmes that real instruments have (from 0), and its drum kits.
PROGRAMMES = (
    *range(7), *range(8, 31), *range(32, 38), *range(40, 48), 48, 52, *range(56, 62),
    *range(64, 78), 79, *range(104, 111), 112, *range(114, 117),
)  # fmt: skip
KITS = (0, 16, 25, 32, 40)
SECONDS = 24.0
# Keys of a melody, and of a bass (programmes 32..39, 43, 58, 70).
MELODY, BASS = (52, 84), (31, 55)
LOW = {*range(32, 40), 43, 58, 70}
KIT_KEYS = (35, 36, 38, 40, 42, 44, 45, 46, 48, 49, 50, 51, 53, 54, 56)
_TICKS, _BEAT_S = 480, 0.5


def rendered_instruments(soundfont: Path, folder: Path, say: Callable[[str], None]) -> list[Float]:
    """16 kHz mono, one for each programme and kit; rendered once into ``folder``.

    Raises ParameterError without the soundfont, MissingDependencyError without fluidsynth.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"programme_{p}" for p in PROGRAMMES] + [f"kit_{k}" for k in KITS]
    if not all((folder / f"{name}.npy").is_file() for name in names):
        _check(soundfont)
        say(f"rendering {len(names)} instruments")
    found = []
    for name in names:
        kept = folder / f"{name}.npy"
        if not kept.is_file():
            kind, number = name.split("_")
            np.save(kept, render(kind, int(number), soundfont))
        found.append(np.asarray(np.load(kept, allow_pickle=False), np.float32))
    return found


def _check(soundfont: Path) -> None:
    if not soundfont.is_file():
        raise ParameterError(
            f"soundfont: there is no file {soundfont}: install Debian's package "
            "fluid-soundfont-gm, or set it to nothing to do without"
        )
    if shutil.which("fluidsynth") is None:
        raise MissingDependencyError(
            "fluidsynth", "rendering instruments", "apt-get install fluidsynth"
        )


def render(kind: str, number: int, soundfont: Path, seed: int = 0) -> Float:
    """Phrases of a ``programme`` or of a ``kit``, float32 ``[n]`` at 16 kHz."""
    soundfile = optional("soundfile", "reading rendered instruments")
    with tempfile.TemporaryDirectory() as place:
        score, wave = Path(place) / "score.mid", Path(place) / "sound.wav"
        _write_score(score, kind == "kit", number, seed)
        call = ["fluidsynth", "-ni", "-q", "-r", str(SAMPLE_RATE), "-F", str(wave)]
        subprocess.run([*call, str(soundfont), str(score)], check=True, capture_output=True)
        samples, _ = soundfile.read(str(wave), dtype="float32")
    return np.asarray(samples.mean(axis=1)[: int(SECONDS * SAMPLE_RATE)], np.float32)


def _write_score(path: Path, drums: bool, number: int, seed: int) -> None:
    """Phrases of notes and chords, one after the other, at changing tempo and loudness."""
    mido = optional("mido", "writing scores")
    rng = np.random.default_rng((drums, number, seed))
    channel = 9 if drums else 0
    track = mido.MidiTrack()
    track.append(mido.Message("program_change", channel=channel, program=number, time=0))
    keys = BASS if number in LOW and not drums else MELODY
    now, key, wait = 0.0, float(np.mean(keys)), 0
    while now < SECONDS:
        length = float(rng.choice([0.125, 0.25, 0.25, 0.5, 1.0]))
        key = float(np.clip(key + rng.integers(-5, 6), *keys))
        if drums:
            struck = rng.choice(KIT_KEYS, int(rng.integers(1, 3)), replace=False)
        else:
            struck = key + np.array([0, 4, 7])[: 1 if rng.random() < 0.7 else 3]
        velocity = int(rng.integers(55, 120))
        for index, note in enumerate(struck):
            track.append(mido.Message("note_on", channel=channel, note=int(note),
                                      velocity=velocity, time=0 if index else wait))  # fmt: skip
        ticks = int(length * _TICKS / _BEAT_S)
        for index, note in enumerate(struck):
            track.append(mido.Message("note_off", channel=channel, note=int(note),
                                      time=0 if index else ticks))  # fmt: skip
        wait = ticks if rng.random() < 0.1 else 0
        now += length + (length if wait else 0.0)
    score = mido.MidiFile(ticks_per_beat=_TICKS)
    score.tracks.append(track)
    score.save(str(path))
