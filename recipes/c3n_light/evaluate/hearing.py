"""Figures of hearing and of time: right family, reaction to a sound's start and end."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from avs_ros.inference.segmenter import Segmenter
from avs_ros.models.light.families import FAMILY_NAMES, SOUNDS
from avs_ros.segmentation import Float
from recipes.c3n_light.distortion import level
from recipes.c3n_light.evaluate.cases import FAMILY_OF_VOICE, Composites, at_level
from recipes.c3n_light.evaluate.figures import Row, row
from recipes.c3n_light.recordings import RATE

SECOND_NS = 1_000_000_000
PER_CLASS, REACTIONS = 25, 12
REACTING = ("dog", "person", "cat")


@runtime_checkable
class NamesFamilies(Protocol):
    """A model that says which family it hears (``LightSegmenter``)."""

    def audio_logits(self, window: Float) -> Float:
        """One second -> AudioSet logits ``[527]``."""
        ...

    def families_heard(self, logits: Float) -> Float:
        """AudioSet logits ``[527]`` -> evidence ``[K]``."""
        ...


def hearing_rows(model: Segmenter, data: Composites, limit: int) -> list[Row]:
    """Is the best family a right one?  One second, and the mean over three.

    Empty for models that do not name families by ear.  Draws are the same either way.
    """
    one: list[float] = []
    three: list[float] = []
    groups: list[str] = []
    for sound, (is_voice, may_be) in SOUNDS.items():
        if not is_voice or sound not in data.library.by_sound:
            continue
        families = {FAMILY_NAMES.index(FAMILY_OF_VOICE[v]) for v in (*is_voice, *may_be)}
        for index in data.library.by_sound[sound][: min(limit, PER_CLASS)]:
            context = at_level(data.library.cut(index, 3.0, data.rng))
            starts = range(0, 2 * RATE + 1, RATE // 4)
            windows = [np.ascontiguousarray(context[at : at + RATE]) for at in starts]
            windows = [window for window in windows if level(window) > 0.01]
            if not windows:
                continue
            pick = int(data.rng.integers(len(windows)))
            if isinstance(model, NamesFamilies):
                heard = [model.audio_logits(window) for window in windows]
                mean = np.asarray(np.mean(heard, axis=0))
                one.append(float(model.families_heard(heard[pick]).argmax() in families))
                three.append(float(model.families_heard(mean).argmax() in families))
                groups.append(f"{sound} {index}")
    if not one:
        return []
    return [
        row("hearing, 1 s: right family", one, groups),
        row("hearing, 3 s: right family", three, groups),
    ]


def reaction_rows(model: Segmenter, data: Composites, limit: int) -> list[Row]:
    """Seconds from a sound's start to the first mask, and from its end to the last one.

    Median; a model that never marks anything has no delay (NaN).
    """
    on: list[float] = []
    off: list[float] = []
    asked = 0
    for _, frame, mask in data.pictures:
        here = [k for k in data.families_in(mask, 0.05) if FAMILY_NAMES[k] in REACTING]
        if len(here) != 1 or asked >= min(limit, REACTIONS):
            continue
        asked += 1
        sound = data.pick(data.sounds_of[FAMILY_NAMES[here[0]]])
        index = int(data.rng.choice(data.library.by_sound[sound]))
        piece = np.tile(at_level(data.library.cut(index, 1.0, data.rng)), 3)
        quiet = np.zeros(2 * RATE, np.float32)
        track = np.concatenate([quiet, piece, quiet]).astype(np.float32)
        model.reset()
        times = []
        for tenth in range(10, len(track) * 10 // RATE + 1):
            end = tenth * RATE // 10
            prediction = model.step(frame, track[end - RATE : end], tenth * SECOND_NS // 10)
            if prediction.sounding >= 0.5 and prediction.probability.max() > 0.5:
                times.append(tenth / 10)
        inside = [t for t in times if 2.0 <= t <= 5.0]
        if inside:
            on.append(inside[0] - 2.0)
            off.append(max(0.0, max(times) - 5.0))
    return [
        Row("sound starts: median delay of the mask, s", len(on), _median(on)),
        Row("sound ends: median delay of the mask, s", len(off), _median(off)),
        Row("sound starts: share answered at all", asked, len(on) / max(asked, 1)),
    ]


def _median(values: list[float]) -> float:
    return float(np.median(values)) if values else float("nan")
