"""The robustness suite's conditions: ONE list of what is done to each recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from avs_ros.errors import ParameterError
from avs_ros.evaluation.perturbations import (
    Blur,
    ClockDrift,
    DroppedChunks,
    DroppedFrames,
    LowLight,
    Noise,
    OtherSound,
    Perturbation,
    ShiftedSound,
    Silence,
)
from avs_ros.evaluation.truth import Truth
from avs_ros.segmentation import Float

CLEAN = "clean"


@dataclass(frozen=True, eq=False)
class RobustnessBag:
    """A bag with its truth and its sound.

    ``truths``: stamp (ns) -> truth; ``labels``: names of everything that sounds in it, case
    folded; ``track``: float32 ``[n]`` mono at ``rate_hz``; ``level_dbfs``: RMS of its audible
    parts.
    """

    path: Path
    truths: dict[int, Truth]
    labels: frozenset[str]
    track: Float
    rate_hz: int
    level_dbfs: float


# A recording, one of another class (if there is any) and a seed -> what to do; None: cannot be.
Make = Callable[[RobustnessBag, RobustnessBag | None, int], Perturbation | None]


@dataclass(frozen=True)
class Condition:
    """One thing that is wrong, at one strength.

    ``axis``: its kind, shared by its strengths; ``negative``: nothing visible makes this sound;
    ``amount`` in ``unit``: strength, None where there is only one.
    """

    name: str
    axis: str
    make: Make
    negative: bool = False
    amount: float | None = None
    unit: str = ""


# axis -> what is done, in words
AXES: dict[str, str] = {
    "silence": "the microphone gives zeros",
    "noise-alone": "white noise as loud as the recording, instead of its sound",
    "other-class": "the sound of another class instead of the own",
    "off-screen": "the sound of another class, that is not in the image, over the own",
    "noise": "white noise over the sound",
    "shift": "the sound's stamps are early or late",
    "dropped-chunks": "chunks of sound never arrive",
    "drift": "the microphone's clock runs fast",
    "dropped-frames": "images never arrive; the last answer stands",
    "blur": "the camera is out of focus",
    "low-light": "less light, and the sensor's noise",
}


def another_class(recordings: Sequence[RobustnessBag], position: int) -> RobustnessBag | None:
    """The next recording, in a circle, that has labels and none of this one's; None without."""
    own = recordings[position].labels
    for step in range(1, len(recordings)):
        other = recordings[(position + step) % len(recordings)]
        if own and other.labels and not own & other.labels and other.track.any():
            return other
    return None


def _noise(
    own: RobustnessBag, other: RobustnessBag | None, seed: int, *, snr_db: float, alone: bool
) -> Perturbation:
    return Noise(own.level_dbfs - snr_db, alone, seed)


def _other(
    own: RobustnessBag, other: RobustnessBag | None, seed: int, *, snr_db: float, alone: bool
) -> Perturbation | None:
    if other is None:
        return None
    return OtherSound(other.track, other.rate_hz, own.level_dbfs - snr_db, alone)


def _fixed(perturbation: Perturbation) -> Make:
    """The same for every recording."""
    return lambda own, other, seed: perturbation


def _dropped(
    own: RobustnessBag, other: RobustnessBag | None, seed: int, *, kind: type, share: float
) -> Perturbation:
    made: Perturbation = kind(share, seed)
    return made


def all_conditions() -> list[Condition]:
    """Every condition but the clean one, in the order of the table."""
    quiet = partial(_noise, snr_db=0.0, alone=True)
    swapped = partial(_other, snr_db=0.0, alone=True)
    found = [
        Condition("silence", "silence", _fixed(Silence()), negative=True),
        Condition("noise alone", "noise-alone", quiet, negative=True),
        Condition("other class", "other-class", swapped, negative=True),
    ]
    for snr in (10.0, 0.0):
        make: Make = partial(_other, snr_db=snr, alone=False)
        name = f"off-screen {snr:g} dB"
        found.append(Condition(name, "off-screen", make, amount=snr, unit="dB SNR"))
    for snr in (20.0, 10.0, 0.0):
        make = partial(_noise, snr_db=snr, alone=False)
        name = f"noise {snr:g} dB"
        found.append(Condition(name, "noise", make, amount=snr, unit="dB SNR"))
    for seconds in (-1.0, -0.5, -0.2, -0.1, 0.1, 0.2, 0.5, 1.0):
        make = _fixed(ShiftedSound(seconds))
        found.append(
            Condition(f"shift {seconds:+g} s", "shift", make, amount=seconds, unit="s")
        )
    for kind, axis, what in (
        (DroppedChunks, "dropped-chunks", "chunks"), (DroppedFrames, "dropped-frames", "frames"),
    ):
        for share in (0.1, 0.3, 0.5):
            make = partial(_dropped, kind=kind, share=share)
            name = f"{round(100 * share)} % {what} lost"
            found.append(Condition(name, axis, make, amount=100 * share, unit="%"))
    for ppm in (100.0, 1000.0, 10000.0):
        make = _fixed(ClockDrift(ppm))
        found.append(Condition(f"drift {ppm:g} ppm", "drift", make, amount=ppm, unit="ppm"))
    for share in (0.005, 0.01, 0.02):
        make = _fixed(Blur(share))
        percent = 100 * share
        unit = "% of the width"
        found.append(Condition(f"blur {percent:g} %", "blur", make, amount=percent, unit=unit))
    for stops in (2.0, 4.0, 6.0):
        make = _fixed(LowLight(stops))
        name = f"1/{2 ** int(stops)} of the light"
        found.append(Condition(name, "low-light", make, amount=stops, unit="stops"))
    order = list(AXES)
    return sorted(found, key=lambda condition: order.index(condition.axis))


def choose_conditions(only: Sequence[str] = ()) -> list[Condition]:
    """Conditions of the axes ``only`` (none: all).  Raises ParameterError for unknown ones."""
    unknown = [name for name in only if name not in AXES]
    if unknown:
        raise ParameterError(
            f"no condition is called {', '.join(unknown)}; there are: {', '.join(AXES)}"
        )
    return [one for one in all_conditions() if not only or one.axis in only]
