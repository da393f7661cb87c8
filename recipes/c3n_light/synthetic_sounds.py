"""Sounds made by arithmetic: variety where the recordings have none, and where no data exist.

Every function gives float32 mono at 16 kHz, peak about 0.7, ``seconds`` long.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.signal import lfilter, resample_poly

from avs_ros.media.scene import RATE_HZ
from avs_ros.segmentation import Float
from avs_ros.sound import SAMPLE_RATE
from recipes.voices import phones as voices

Random = np.random.Generator


def _peak(x: np.ndarray) -> Float:
    return np.asarray(0.7 * x / (np.abs(x).max() + 1e-9), np.float32)


def _tone(frequency: np.ndarray, partials: list[float]) -> np.ndarray:
    phase = 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE
    out = np.zeros_like(phase)
    for k, amplitude in enumerate(partials, 1):
        out += amplitude * np.sin(k * phase) * (k * frequency < 7600)
    return out


def _formant(x: np.ndarray, centre: float, width: float) -> np.ndarray:
    r = np.exp(-np.pi * width / SAMPLE_RATE)
    poles = [1.0, -2 * r * np.cos(2 * np.pi * centre / SAMPLE_RATE), r * r]
    return np.asarray(lfilter([1.0 - r], poles, x))


def meow(rng: Random, seconds: float) -> Float:
    """Voiced calls whose pitch rises and falls while the mouth opens and closes."""
    n = round(seconds * SAMPLE_RATE)
    out = np.zeros(n)
    at = int(rng.integers(0, SAMPLE_RATE // 4))
    while at < n - SAMPLE_RATE // 5:
        m = min(n - at, int(SAMPLE_RATE * rng.uniform(0.45, 1.1)))
        t = np.linspace(0, 1, m)
        base = rng.uniform(420, 720)
        pitch = base * (0.8 + rng.uniform(0.25, 0.6) * np.sin(np.pi * t ** rng.uniform(0.5, 0.9)))
        pitch *= 1 + 0.01 * np.sin(2 * np.pi * rng.uniform(5, 9) * t * m / SAMPLE_RATE)
        voice = _tone(pitch, [0.8**k for k in range(9)]) + 0.04 * rng.standard_normal(m)
        closed, opened = _formant(voice, 700, 200), _formant(voice, 1500, 350)
        opening = np.sin(np.pi * t) ** 1.2
        call = (closed * (1 - opening) + opened * opening + 0.2 * voice) * np.sin(np.pi * t) ** 0.6
        out[at : at + m] += call
        at += m + int(SAMPLE_RATE * rng.uniform(0.1, 0.6))
    return _peak(out)


def bark(rng: Random, seconds: float) -> Float:
    """Short rough bursts with a falling pitch."""
    n = round(seconds * SAMPLE_RATE)
    out = np.zeros(n)
    at = int(rng.integers(0, SAMPLE_RATE // 4))
    base = rng.uniform(250, 700)
    while at < n - SAMPLE_RATE // 6:
        m = min(n - at, int(SAMPLE_RATE * rng.uniform(0.12, 0.25)))
        t = np.linspace(0, 1, m)
        pitch = base * (1.15 - 0.5 * t + 0.25 * np.sin(np.pi * t))
        voice = _tone(pitch, [0.9**k for k in range(10)]) + 0.5 * rng.standard_normal(m)
        burst = _formant(voice, 1100, 500) + _formant(voice, 600, 300)
        out[at : at + m] += burst * np.exp(-3.5 * t) * np.minimum(1, 25 * t)
        at += m + int(SAMPLE_RATE * rng.uniform(0.12, 0.5))
    return _peak(out)


_VOWELS = ((730, 1090), (270, 2290), (300, 870), (530, 1840), (570, 840), (660, 1720))


def speech(rng: Random, seconds: float) -> Float:
    """Syllables: glottal pulses through two moving formants, consonant noise, pauses."""
    n = round(seconds * SAMPLE_RATE)
    out = np.zeros(n)
    base = rng.uniform(90, 260)
    stretch = rng.uniform(0.95, 1.2)
    at = int(rng.integers(0, SAMPLE_RATE // 5))
    while at < n - SAMPLE_RATE // 8:
        m = min(n - at, int(SAMPLE_RATE * rng.uniform(0.1, 0.26)))
        t = np.linspace(0, 1, m)
        pitch = base * (1 + 0.15 * rng.standard_normal()) * (1.08 - 0.16 * t)
        voice = _tone(pitch, [1 / k for k in range(1, 26)]) + 0.02 * rng.standard_normal(m)
        f1, f2 = (f * stretch for f in _VOWELS[rng.integers(len(_VOWELS))])
        syllable = _formant(voice, f1, 90) + 0.6 * _formant(voice, f2, 120)
        syllable += 0.25 * _formant(voice, 2700 * stretch, 200)
        syllable *= np.sin(np.pi * t) ** 0.5
        k = int(m * rng.uniform(0.1, 0.3))
        hiss = np.diff(rng.standard_normal(k + 1)) * np.hanning(k)
        syllable[:k] += 0.1 * np.abs(syllable).max() * hiss
        out[at : at + m] += syllable
        at += m + int(SAMPLE_RATE * (rng.uniform(0.2, 0.5) if rng.random() < 0.15 else 0.02))
    return _peak(out)


def _melody(rng: Random, seconds: float, low: float, high: float) -> list[tuple[int, int, float]]:
    n, at, notes = round(seconds * SAMPLE_RATE), 0, []
    beat = rng.uniform(0.15, 0.5)
    tonic = rng.uniform(low, high)
    while at < n - SAMPLE_RATE // 20:
        m = min(n - at, int(SAMPLE_RATE * beat * rng.choice([0.5, 1, 1, 2])))
        notes.append((at, m, tonic * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 11, 12]) / 12)))
        at += m
    return notes


def pluck(rng: Random, seconds: float) -> Float:
    """Plucked strings (Karplus and Strong's loop)."""
    out = np.zeros(round(seconds * SAMPLE_RATE))
    decay = rng.uniform(0.985, 0.998)
    for at, _, pitch in _melody(rng, seconds, 90, 260):
        m = min(len(out) - at, int(1.5 * SAMPLE_RATE))
        period = max(2, round(SAMPLE_RATE / pitch))
        burst = np.zeros(m)
        burst[: min(m, period)] = rng.uniform(-1, 1, min(m, period))
        feedback = np.zeros(period + 2)
        feedback[0], feedback[period], feedback[period + 1] = 1, -decay / 2, -decay / 2
        out[at : at + m] += lfilter([1.0], feedback, burst)
    return _peak(out)


def bowed(rng: Random, seconds: float) -> Float:
    """Bowed strings: saw-like tone, vibrato, slow swells."""
    out = np.zeros(round(seconds * SAMPLE_RATE))
    for at, m, pitch in _melody(rng, seconds, 200, 500):
        t = np.arange(m) / SAMPLE_RATE
        f = pitch * (1 + 0.008 * np.sin(2 * np.pi * rng.uniform(5, 6.5) * t))
        tone = _tone(f, [1 / k for k in range(1, 18)]) + 0.03 * rng.standard_normal(m)
        tone = tone + 2 * _formant(tone, 500, 150) + 2 * _formant(tone, 2500, 500)
        out[at : at + m] += (
            tone * np.minimum(1, t / 0.06) * np.minimum(1, (m / SAMPLE_RATE - t) / 0.04)
        )
    return _peak(out)


def keys(rng: Random, seconds: float) -> Float:
    """Struck strings: slightly stretched partials that decay, chords."""
    out = np.zeros(round(seconds * SAMPLE_RATE))
    for at, _, root in _melody(rng, seconds, 130, 400):
        m = min(len(out) - at, int(1.8 * SAMPLE_RATE))
        t = np.arange(m) / SAMPLE_RATE
        for interval in rng.choice([0, 4, 7, 12], rng.integers(1, 4), False):
            pitch = root * 2 ** (interval / 12)
            for k in range(1, 12):
                f = k * pitch * np.sqrt(1 + 0.0004 * k * k)
                if f < 7600:
                    out[at : at + m] += (
                        np.exp(-t * (1.5 + 0.9 * k)) * np.sin(2 * np.pi * f * t) / k
                    )
    return _peak(out)


def flute(rng: Random, seconds: float) -> Float:
    """Blown pipe: few partials, breath noise, tremolo."""
    out = np.zeros(round(seconds * SAMPLE_RATE))
    for at, m, pitch in _melody(rng, seconds, 400, 900):
        t = np.arange(m) / SAMPLE_RATE
        tone = _tone(np.full(m, pitch), [1, 0.35, 0.15, 0.05])
        tone *= 1 + 0.12 * np.sin(2 * np.pi * 5 * t)
        tone += _formant(rng.standard_normal(m), pitch, 300) * 0.6
        out[at : at + m] += (
            tone * np.minimum(1, t / 0.04) * np.minimum(1, (m / SAMPLE_RATE - t) / 0.03)
        )
    return _peak(out)


def drums(rng: Random, seconds: float) -> Float:
    """A beat of kick, snare and hi-hat, or of tuned hand drums."""
    n = round(seconds * SAMPLE_RATE)
    out = np.zeros(n)
    step = int(SAMPLE_RATE * rng.uniform(0.11, 0.22))
    tuned = rng.random() < 0.4
    for i, at in enumerate(range(0, n - SAMPLE_RATE // 10, step)):
        m = min(n - at, int(0.3 * SAMPLE_RATE))
        t = np.arange(m) / SAMPLE_RATE
        if tuned:
            pitch = rng.choice([90.0, 180.0, 240.0, 330.0]) * (1 + 0.4 * np.exp(-t * 40))
            hit = np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE) * np.exp(
                -t * rng.uniform(10, 25)
            )
        elif i % 4 == 0:
            hit = np.sin(2 * np.pi * np.cumsum(50 + 90 * np.exp(-t * 30)) / SAMPLE_RATE) * np.exp(
                -t * 14
            )
        elif i % 4 == 2:
            hit = rng.standard_normal(m) * np.exp(-t * 18) + np.sin(1130 * t) * np.exp(-t * 25)
        else:
            hit = np.diff(rng.standard_normal(m + 1)) * np.exp(-t * 60) * 0.6
        out[at : at + m] += hit * rng.uniform(0.5, 1)
    return _peak(out)


def _sung(rng: Random, seconds: float, one: Callable[[], np.ndarray], pause: float) -> Float:
    """Utterances of the formant synthesiser, one after the other."""
    n = round(seconds * SAMPLE_RATE)
    out = np.zeros(n)
    at = int(rng.integers(0, SAMPLE_RATE // 3))
    while at < n - SAMPLE_RATE // 10:
        sound = resample_poly(one(), 1, RATE_HZ // SAMPLE_RATE)[: n - at]
        out[at : at + len(sound)] += sound
        at += len(sound) + int(SAMPLE_RATE * rng.uniform(0.03, pause))
    return _peak(out)


def cat_voice(rng: Random, seconds: float) -> Float:
    """Meows of a modelled vocal tract, or the plainer ones."""
    if rng.random() < 0.4:
        return meow(rng, seconds)
    return _sung(
        rng,
        seconds,
        lambda: voices.meow(
            int(rng.integers(1 << 30)), rng.uniform(0.75, 1.35), rng.uniform(0.4, 1.1)
        ),
        0.7,
    )


def human_voice(rng: Random, seconds: float) -> Float:
    """Phones in random order through a modelled vocal tract, or plainer syllables."""
    if rng.random() < 0.4:
        return speech(rng, seconds)
    phones = [name for name in voices.PHONES if name.strip("_*") == name]

    def phrase() -> np.ndarray:
        picked = rng.choice(phones, int(rng.integers(5, 12)))
        stress = rng.random(len(picked)) < 0.25
        text = " ".join(p + (":" if s else "") for p, s in zip(picked, stress, strict=True))
        said = voices.say(text, int(rng.integers(1 << 30)))
        # A longer or shorter vocal tract: another speaker.
        return np.asarray(resample_poly(said, int(rng.integers(80, 130)), 100))

    return _sung(rng, seconds, phrase, 0.4)


# Generator, and the voice that it imitates.
GENERATORS: dict[str, Callable[[Random, float], Float]] = {
    "cat": cat_voice,
    "dog": bark,
    "person": human_voice,
    "guitar": pluck,
    "violin": bowed,
    "piano": keys,
    "wind instrument": flute,
    "drum": drums,
}
