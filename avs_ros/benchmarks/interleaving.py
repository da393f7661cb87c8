"""Samples taken in turns, and the ratios between them.

Machines slow down and speed up while one measures.  In one round each candidate serves one
frame, so a round's ratio compares moments that lie close together; what is told is the median
of the rounds' ratios, never the ratio of two medians from different minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avs_ros.errors import ParameterError

Samples = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Timing:
    """Milliseconds: ``median``, ``low`` and ``high`` (10 %, 90 %), ``best``.

    ``ratio``: how many times faster than the reference, median over rounds; ``ratio_low``,
    ``ratio_high``: the quartiles of the rounds' ratios.  ``samples``: ms, by round.
    """

    median: float
    low: float
    high: float
    best: float
    ratio: float
    ratio_low: float
    ratio_high: float
    samples: tuple[float, ...]


def take_turns(
    steps: Mapping[str, Callable[[int], float]],
    rounds: int,
    on_sample: Callable[[], None] = lambda: None,
) -> dict[str, list[float]]:
    """Samples (ms) of each candidate: ``rounds`` of one call each, each round begun by another.

    ``steps``: name -> function that serves round number n and returns the milliseconds.
    """
    if rounds < 1:
        raise ParameterError(f"{rounds} rounds; at least one is needed")
    names = list(steps)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        start = number % max(len(names), 1)
        for name in names[start:] + names[:start]:
            samples[name].append(steps[name](number))
            on_sample()
    return samples


def summarise(samples: Samples, reference: str) -> dict[str, Timing]:
    """Medians, and ratios to ``reference`` round by round.

    Raises :class:`ParameterError` where a candidate lacks rounds.
    """
    base = np.asarray(samples[reference], float)
    found = {}
    for name, taken in samples.items():
        ms = np.asarray(taken, float)
        if ms.shape != base.shape or not ms.size:
            raise ParameterError(
                f"{name} has {ms.size} rounds, {reference} has {base.size}: not taken in turns"
            )
        ratios = base / ms
        low, median, high = np.percentile(ms, (10, 50, 90))
        first, middle, third = np.percentile(ratios, (25, 50, 75))
        found[name] = Timing(
            float(median), float(low), float(high), float(ms.min()),
            float(middle), float(first), float(third), tuple(float(x) for x in ms),
        )
    return found
