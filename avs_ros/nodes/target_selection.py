"""Which of the sounding things to look at, without changing one's mind all the time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from avs_ros.conversions.camera import Ray
from avs_ros.conversions.detections import Detection
from avs_ros.errors import ParameterError

_NANOSECONDS = 1e9
# Boxes that overlap at least this much (intersection over union) are the same thing.
_SAME_LABEL_OVERLAP = 0.1
_OTHER_LABEL_OVERLAP = 0.5


class AttentionState(Enum):
    """What the robot's gaze is doing."""

    NOTHING_SOUNDING = "nothing_sounding"
    ACQUIRING = "acquiring"
    LOOKING = "looking"
    HOLDING = "holding"


@dataclass(frozen=True)
class SelectionConfig:
    """``choose``: highest_score, largest (box) or label_priority; times in seconds.

    ``hysteresis``: share by which another must be better; ``dwell``: for how long, before the
    target changes (and before a first target is taken); ``hold``: how long a target that fell
    silent is kept.  ``use_ids``: a detection is the target again by its id alone, wherever it is;
    for models whose ids stay with things.
    """

    choose: str = "highest_score"
    label_priority: tuple[str, ...] = ()
    only_listed_labels: bool = False
    min_score: float = 0.3
    hysteresis: float = 0.2
    dwell: float = 0.5
    hold: float = 1.0
    use_ids: bool = False

    def __post_init__(self) -> None:
        """Raise :class:`ParameterError` where values do not go together."""
        listed = self.choose == "label_priority" or self.only_listed_labels
        if listed and not self.label_priority:
            raise ParameterError(
                "label_priority is empty: name the labels before choosing by them "
                "(choose:=label_priority or only_listed_labels:=true)"
            )


def overlap(a: Detection, b: Detection) -> float:
    """Intersection over union of two boxes, 0..1."""
    width = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    height = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (a.area + b.area - both)


def find_again(
    one: Detection, among: Sequence[Detection], use_ids: bool = False
) -> Detection | None:
    """The detection that is most likely the same thing as ``one``; None if there is none.

    ``use_ids``: see :class:`SelectionConfig`.
    """
    if use_ids:
        return next((other for other in among if other.index == one.index), None)

    def fits(other: Detection) -> bool:
        needed = _SAME_LABEL_OVERLAP if other.label == one.label else _OTHER_LABEL_OVERLAP
        return overlap(one, other) >= needed

    return max(filter(fits, among), key=lambda other: overlap(one, other), default=None)


class TargetSelector:
    """Takes the detections of one frame after another, says what to look at."""

    def __init__(self, config: SelectionConfig) -> None:
        self.config = config
        self.reset()

    def reset(self) -> None:
        """Forget the target (jump in time, another stream)."""
        self._target: Detection | None = None
        self._target_seen_ns = 0
        self._challenger: Detection | None = None
        self._challenger_since_ns = 0
        self._last_ns: int | None = None

    def update(
        self, stamp_ns: int, detections: Sequence[Detection]
    ) -> tuple[AttentionState, Detection | None]:
        """Take the ``detections`` of the frame at ``stamp_ns``; a step back in time resets.

        The target is None while nothing sounds and while a first target is being acquired.
        """
        if self._last_ns is not None and stamp_ns < self._last_ns:
            self.reset()
        self._last_ns = stamp_ns
        candidates = [one for one in detections if self._eligible(one)]
        seen = None if self._target is None else find_again(
            self._target, candidates, self.config.use_ids
        )
        if seen is not None:
            self._target, self._target_seen_ns = seen, stamp_ns
        best = max(
            candidates, key=lambda one: (self._priority(one), self._worth(one)), default=None
        )
        if best is not None and best is not seen and self._beats(best, seen):
            self._challenge(best, stamp_ns)
        else:
            self._challenger = None
        silent_ns = stamp_ns - self._target_seen_ns
        if seen is None and silent_ns > self.config.hold * _NANOSECONDS:
            self._target = None
        if self._target is None and self._challenger is not None:
            state = AttentionState.ACQUIRING
        elif self._target is None:
            state = AttentionState.NOTHING_SOUNDING
        elif self._target_seen_ns != stamp_ns:
            state = AttentionState.HOLDING
        else:
            state = AttentionState.LOOKING
        return state, self._target

    def _eligible(self, detection: Detection) -> bool:
        config = self.config
        listed = detection.label in config.label_priority
        return (
            math.isfinite(detection.score)
            and all(math.isfinite(edge) for edge in detection.box)
            and detection.score >= config.min_score
            and (listed or not config.only_listed_labels)
        )

    def _priority(self, detection: Detection) -> int:
        """Place in the list, the first being highest; 0 for labels that are not in it."""
        order = self.config.label_priority
        if self.config.choose != "label_priority" or detection.label not in order:
            return 0
        return len(order) - order.index(detection.label)

    def _worth(self, detection: Detection) -> float:
        return detection.area if self.config.choose == "largest" else detection.score

    def _beats(self, one: Detection, target: Detection | None) -> bool:
        if target is None:
            return True
        least = self._worth(target) * (1.0 + self.config.hysteresis)
        return (self._priority(one), self._worth(one)) > (self._priority(target), least)

    def _challenge(self, challenger: Detection, stamp_ns: int) -> None:
        """Count how long ``challenger`` has been better; make it the target after ``dwell``."""
        before, use_ids = self._challenger, self.config.use_ids
        if before is None or find_again(before, [challenger], use_ids) is None:
            self._challenger_since_ns = stamp_ns
        self._challenger = challenger
        if stamp_ns - self._challenger_since_ns >= self.config.dwell * _NANOSECONDS:
            self._target, self._target_seen_ns = challenger, stamp_ns
            self._challenger = None


class RaySmoother:
    """Low-pass of a direction with time constant ``seconds``; jumps when the target changes."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._ray: Ray | None = None
        self._stamp_ns = 0

    def reset(self) -> None:
        """Take the next ray as it is."""
        self._ray = None

    def smooth(self, stamp_ns: int, ray: Ray) -> Ray:
        """The unit vector after taking in ``ray``, seen at ``stamp_ns``."""
        elapsed = (stamp_ns - self._stamp_ns) / _NANOSECONDS
        if self._ray is not None and self.seconds > 0.0 and elapsed >= 0.0:
            share = 1.0 - math.exp(-elapsed / self.seconds)
            mixed = [old + share * (new - old) for old, new in zip(self._ray, ray, strict=True)]
            norm = math.sqrt(sum(value * value for value in mixed))
            if norm > 1e-9:
                ray = (mixed[0] / norm, mixed[1] / norm, mixed[2] / norm)
        self._ray, self._stamp_ns = ray, stamp_ns
        return ray
