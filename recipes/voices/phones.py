"""The demo's two voices, cat and woman, made by :mod:`recipes.voices.voice`.

Formants are near those that phonetics books give for women (Peterson and Barney, JASA 24, 1952)
and, scaled by a shorter tract, for cats.  Amount of tilt, accent, breath and the like were tuned
until audio classifiers heard a cat and speech in every second of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from avs_ros.media.scene import RATE_HZ
from recipes.voices.voice import Tract, hold, sing

Samples = NDArray[np.float64]

# A woman's voice: resting values of what a phone does not say.
F4 = 4500.0
BREATH = 0.05
HISS = 0.4
DAMPING = 0.7
UNSTRESSED = 0.92
LONG = 1.24
PITCH_HZ = 200.0
ACCENT = 0.43
ACCENT_S = 0.05
DECLINATION = 0.37


@dataclass(frozen=True)
class Phone:
    """Length (s), first three formants (Hz) and sources of one speech sound."""

    seconds: float
    formants: tuple[float, float, float]
    voice: float = 1.0
    breath: float = BREATH
    hiss: float = 0.0
    hiss_hz: float = 5000.0
    damping: float = 1.0


PHONES = {
    "i": Phone(0.11, (330, 2700, 3200)), "I": Phone(0.08, (430, 2400, 3000)),
    "e": Phone(0.10, (580, 2250, 2950)), "a": Phone(0.13, (850, 1350, 2750)),
    "ae": Phone(0.13, (880, 1950, 2850)), "o": Phone(0.12, (540, 950, 2650)),
    "u": Phone(0.11, (380, 1050, 2600)), "@": Phone(0.06, (560, 1600, 2750), 0.8),
    "er": Phone(0.12, (520, 1550, 1900)),
    "w": Phone(0.06, (340, 750, 2400), 0.6), "j": Phone(0.06, (310, 2500, 3200), 0.6),
    "l": Phone(0.07, (380, 1150, 2900), 0.5), "r": Phone(0.07, (400, 1250, 1750), 0.55),
    "m": Phone(0.08, (290, 1100, 2400), 0.28, damping=2.5),
    "n": Phone(0.07, (290, 1600, 2500), 0.28, damping=2.5),
    "v": Phone(0.06, (320, 1200, 2500), 0.4), "D": Phone(0.05, (320, 1500, 2700), 0.4),
    "h": Phone(0.07, (560, 1600, 2750), 0.08, 0.5),
    "s": Phone(0.11, (330, 1800, 2800), 0.0, 0.0, 0.35, 7500),
    "_t": Phone(0.05, (330, 1800, 2800), 0.0, 0.0),
    "t*": Phone(0.025, (400, 1800, 2800), 0.0, 0.2, 0.5, 5000),
    "_k": Phone(0.05, (330, 2000, 2500), 0.0, 0.0),
    "k*": Phone(0.03, (400, 1900, 2400), 0.0, 0.3, 0.4, 2300),
    "_g": Phone(0.045, (300, 2000, 2400), 0.08, 0.0, damping=2.5),
    "g*": Phone(0.015, (330, 2000, 2400), 0.3, 0.1, 0.2, 2200),
    ".": Phone(0.10, (500, 1500, 2600), 0.0, 0.0),
}
# A stop is a closure and a burst.
STOPS = {letter: (f"_{letter}", f"{letter}*") for letter in "tkg"}


def _tract(phone: Phone, stressed: bool) -> Tract:
    quiet = phone.voice >= 0.9 and not stressed
    return Tract(
        (*phone.formants, F4), phone.voice * (UNSTRESSED if quiet else 1.0), phone.breath,
        HISS * phone.hiss, phone.hiss_hz, DAMPING * phone.damping,
    )


def say(phones: str, seed: int) -> Samples:
    """Speak ``phones`` (names of :data:`PHONES`, a colon stresses): ``[n]`` at 32 kHz, dry."""
    steps: list[tuple[float, Tract]] = []
    accents: list[float] = []
    time = 0.0
    for word in phones.split():
        name, stressed = word.rstrip(":"), word.endswith(":")
        for part in STOPS.get(name, (name,)):
            seconds = PHONES[part].seconds * (LONG if stressed else 1.0)
            if stressed:
                accents.append(time + 0.4 * seconds)
            steps.append((seconds, _tract(PHONES[part], stressed)))
            time += seconds
    tracks, length = hold(steps, glide_s=0.038)
    count = len(tracks["f0"])
    at = np.linspace(0, length, count)
    pitch = PITCH_HZ * (1 + DECLINATION * (0.5 - at / length))
    for accent in accents:
        pitch = pitch * (1 + ACCENT * np.exp(-0.5 * ((at - accent) / ACCENT_S) ** 2))
    knots = max(3, int(length / 0.12))
    wander = np.random.default_rng(seed).standard_normal(knots)
    pitch = pitch * (1 + 0.08 * np.interp(at, np.linspace(0, length, knots), wander))
    return sing(tracks, pitch, RATE_HZ, seed, tilt_hz=400.0, roughness=0.004)


def meow(seed: int, pitch: float = 1.0, seconds: float = 0.72) -> Samples:
    """One meow, peak about 1: ``[n]`` at 32 kHz, dry.

    ``pitch`` and ``seconds`` vary it: the voice glides from 550 Hz to 800 Hz and back to 460 Hz.
    """
    mouth = Tract((1600, 2390, 3060, 5000), 1.0, 0.005, damping=0.84)
    steps = [
        (0.126, Tract((350, 1400, 2400, 4000), 0.06, 0.003, damping=1.7)),  # m
        (0.151, replace(mouth, formants=(400, 1950, 3000, 5000), voice=0.67)),  # i
        (0.378, mouth),  # a
        (0.265, replace(mouth, formants=(1015, 1300, 2850, 4850), voice=0.45)),  # o
        (0.058, Tract((513, 800, 2700, 4650), 0.32, 0.003, damping=1.1)),  # u
    ]
    whole = sum(share for share, _ in steps)
    tracks, _ = hold([(share / whole * seconds, tract) for share, tract in steps], glide_s=0.094)
    places = np.linspace(0, 1, len(tracks["f0"]))
    glide = PchipInterpolator([0.0, 0.6, 0.85, 1.0], [550.0, 800.0, 732.0, 463.0])(places)
    sound = sing(tracks, glide * pitch, RATE_HZ, seed, tilt_hz=3900.0, roughness=0.025)
    swell = np.interp(
        np.linspace(0, 1, len(sound)), [0, 0.062, 0.38, 0.75, 1], [0, 0.5, 1, 0.7, 0]
    )
    return sound * swell
