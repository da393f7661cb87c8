"""The robustness suite's conditions: ONE table of what is done to each recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from avs_ros.errors import ParameterError
from avs_ros.evaluation import perturbations
from avs_ros.evaluation.perturbations import Perturbation
from avs_ros.evaluation.truth import Truth
from avs_ros.media.source import Frame, Sound
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


@dataclass(frozen=True)
class Axis:
    """One kind of disturbance.

    ``make``: a recording, one of another class (None: there is none), a seed and a strength ->
    what to do (None: cannot be); ``strengths``: name of the condition -> its strength in ``unit``;
    ``negative``: nothing visible makes this sound.
    """

    description: str
    make: Callable[[RobustnessBag, RobustnessBag | None, int, float], Perturbation | None]
    strengths: Mapping[str, float | None] = field(default_factory=dict)
    unit: str = ""
    negative: bool = False


@dataclass(frozen=True)
class Condition:
    """One thing that is wrong, at one strength; ``amount``: None where there is only one."""

    name: str
    axis: str
    amount: float | None = None

    @property
    def of(self) -> Axis:
        """Its kind, shared by its strengths."""
        return AS_THEY_ARE if self.axis == CLEAN else AXES[self.axis]


def _beside(
    own: RobustnessBag, other: RobustnessBag | None, snr_db: float, alone: bool = False
) -> Perturbation | None:
    """The sound of ``other`` in the recording ``own``, ``snr_db`` below its own."""
    if other is None:
        return None
    return perturbations.other_sound(other.track, other.rate_hz, own.level_dbfs - snr_db, alone)


AS_THEY_ARE = Axis("the recordings as they are", lambda own, other, seed, _: iter)
UNDISTURBED = Condition(CLEAN, CLEAN)
# In the order of the tables.
AXES: dict[str, Axis] = {
    "silence": Axis(
        "the microphone gives zeros",
        lambda own, other, seed, _: perturbations.silence(), {"silence": None}, negative=True,
    ),
    "noise-alone": Axis(
        "white noise as loud as the recording, instead of its sound",
        lambda own, other, seed, snr: perturbations.noise(own.level_dbfs - snr, True, seed),
        {"noise alone": None}, negative=True,
    ),
    "other-class": Axis(
        "the sound of another class instead of the own",
        lambda own, other, seed, snr: _beside(own, other, snr, alone=True),
        {"other class": None}, negative=True,
    ),
    "off-screen": Axis(
        "the sound of another class, that is not in the image, over the own",
        lambda own, other, seed, snr: _beside(own, other, snr),
        {f"off-screen {snr:g} dB": snr for snr in (10.0, 0.0)}, "dB SNR",
    ),
    "noise": Axis(
        "white noise over the sound",
        lambda own, other, seed, snr: perturbations.noise(own.level_dbfs - snr, seed=seed),
        {f"noise {snr:g} dB": snr for snr in (20.0, 10.0, 0.0)}, "dB SNR",
    ),
    "shift": Axis(
        "the sound's stamps are early or late",
        lambda own, other, seed, seconds: perturbations.shifted_sound(seconds),
        {f"shift {s:+g} s": s for s in (-1.0, -0.5, -0.2, -0.1, 0.1, 0.2, 0.5, 1.0)}, "s",
    ),
    "dropped-chunks": Axis(
        "chunks of sound never arrive",
        lambda own, other, seed, percent: perturbations.dropped(Sound, percent / 100, seed),
        {f"{percent:g} % chunks lost": percent for percent in (10.0, 30.0, 50.0)}, "%",
    ),
    "drift": Axis(
        "the microphone's clock runs fast",
        lambda own, other, seed, ppm: perturbations.clock_drift(ppm),
        {f"drift {ppm:g} ppm": ppm for ppm in (100.0, 1000.0, 10000.0)}, "ppm",
    ),
    "dropped-frames": Axis(
        "images never arrive; the last answer stands",
        lambda own, other, seed, percent: perturbations.dropped(Frame, percent / 100, seed),
        {f"{percent:g} % frames lost": percent for percent in (10.0, 30.0, 50.0)}, "%",
    ),
    "blur": Axis(
        "the camera is out of focus",
        lambda own, other, seed, percent: perturbations.blur(percent / 100),
        {f"blur {percent:g} %": percent for percent in (0.5, 1.0, 2.0)}, "% of the width",
    ),
    "low-light": Axis(
        "less light, and the sensor's noise",
        lambda own, other, seed, stops: perturbations.low_light(stops),
        {f"1/{2**stops} of the light": float(stops) for stops in (2, 4, 6)}, "stops",
    ),
}  # fmt: skip


def another_class(recordings: Sequence[RobustnessBag], position: int) -> RobustnessBag | None:
    """The next recording, in a circle, that has labels and none of this one's, without its truth.

    None where there is none.
    """
    own = recordings[position].labels
    for step in range(1, len(recordings)):
        other = recordings[(position + step) % len(recordings)]
        if own and other.labels and not own & other.labels and other.track.any():
            return replace(other, truths={})
    return None


def choose_conditions(only: Sequence[str] = ()) -> list[Condition]:
    """Conditions of the axes ``only`` (none: all).  Raises ParameterError for unknown ones."""
    unknown = [name for name in only if name not in AXES]
    if unknown:
        raise ParameterError(
            f"no condition is called {', '.join(unknown)}; there are: {', '.join(AXES)}"
        )
    return [
        Condition(name, kind, amount)
        for kind, axis in AXES.items() if not only or kind in only
        for name, amount in axis.strengths.items()
    ]  # fmt: skip
