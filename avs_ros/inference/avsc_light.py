"""AVSC in small behind the segmenter protocol: instances first, then the sound chooses."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avs_ros.inference.candidates import BESIDE_BEST
from avs_ros.inference.category_gate import Bools
from avs_ros.inference.explaining import VISIBLE, of_instances
from avs_ros.inference.frames import WholePreparation
from avs_ros.inference.gated_segmenter import BUNDLED, ExplainingSegmenter, open_light
from avs_ros.inference.instance_masks import SIDE, raised
from avs_ros.inference.movement import STAYS
from avs_ros.inference.potential_objects import PotentialObject, PotentialObjects, read_objects
from avs_ros.inference.tracking import NEW, InstanceTracker, Tracked
from avs_ros.segmentation import Bytes, Float, Layer, Prediction, sigmoid

if TYPE_CHECKING:
    from avs_ros.inference.engines.program import StepProgram


@dataclass(frozen=True)
class Found:
    """A potential object of a frame, and its past."""

    now: PotentialObject
    known: Tracked


class InstanceSegmenter(ExplainingSegmenter):
    """Detector, tracker, hearing and gate of a light file, for one stream.

    ``labels``: the categories that the detector knows.  Raises CheckpointError for a file
    without a detector, MissingDependencyError where the tracker's library is missing.
    """

    def __init__(
        self,
        checkpoint: str | Path = BUNDLED,
        device: str = "cpu",
        *,
        engine: str = "torch",
        name: str = "avsc_light",
    ) -> None:
        self._tracker = InstanceTracker()
        runners = open_light("instance", checkpoint, name, engine, device)
        metadata = runners.metadata
        known = np.array([bool(own) for own in metadata["rows"]])
        super().__init__(name, runners, known)
        self.labels = self.categories = [self._names[int(k)] for k in np.flatnonzero(known)]
        self._row = np.cumsum(known) - 1
        self._rows = metadata["rows"]
        self._visible: PotentialObjects | None = None
        self._tracked: list[Tracked | None] = []
        self._chosen: set[int] = set()
        self._wholes = WholePreparation(
            metadata["image_size"], metadata["image_mean"], metadata["image_std"]
        )

    def reset(self) -> None:
        """See :class:`Segmenter`; instances get new numbers."""
        super().reset()
        self._tracker.reset()
        self._visible, self._tracked, self._chosen = None, [], set()

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """See :class:`Segmenter`.

        ``layers``: one per instance that sounds, its number (kept from frame to frame) in
        ``index``.  ``ms``: "audio", "visual", "tracking", "joining".
        """
        heard, ms = self._listen(stamp_ns, window)
        whole, shown = self._wholes(frame)
        self._movement.see(stamp_ns, frame)
        visible = read_objects(self._run(whole), self._rows, shown)
        ms.end("visual")
        self._visible, self._tracked = visible, self._tracker(stamp_ns, visible.objects)
        ms.end("tracking")
        found = [
            Found(one, known)
            for one, known in zip(visible.objects, self._tracked, strict=True)
            if known is not None
        ]
        likely = np.zeros(len(self._row), np.float32)
        for one in found:
            np.maximum(likely, one.known.likely, out=likely)
        seen = of_instances(self._lately(stamp_ns, likely))
        gone = (seen.visible > VISIBLE) & (likely < STAYS * NEW)
        score, sounds = self._judge(seen, heard, stamp_ns, window, gone)
        chosen = choose(found, score, sounds, self._chosen)
        self._chosen = {one.known.index for one, _ in chosen}
        layers = self._sounding(
            Layer(
                sigmoid(raised(one.known.outlined(visible.mask(one.now, k), stamp_ns))),
                self._name(k, heard), float(score[k]), one.known.index,
            )
            for one, k in chosen
        )  # fmt: skip
        best = chosen[0][1] if chosen else int(score.argmax())

        def faint() -> Float:
            if not found:
                return np.zeros((SIDE, SIDE), np.float32)
            one = max(found, key=lambda one: one.known.likely[best])
            return np.asarray(sigmoid(visible.mask(one.now, best)) * score[best])

        answer = self._answer(layers, faint, float(score[best]), int(self._row[best]), heard, ms)
        ms.end("joining")
        return answer

    def in_sight(self) -> tuple[Layer, ...]:
        """Everything in the last step's frame that could sound, whatever was heard.

        Each under its likeliest name, with how likely that is; ``index`` is 0 for what is too
        unlikely to be followed.
        """
        if self._visible is None:
            return ()
        names = self._names
        return tuple(
            Layer(
                sigmoid(self._visible.mask(one, one.category)), names[one.category], one.score,
                0 if known is None else known.index,
            )
            for one, known in zip(self._visible.objects, self._tracked, strict=True)
        )  # fmt: skip


def choose(
    found: Sequence[Found], score: Float, sounds: Bools, before: Collection[int] = ()
) -> list[tuple[Found, int]]:
    """The instances that sound, each with its category, the best category's likeliest first.

    A mono sound does not say which of two alike things makes it: every instance of a category
    that sounds is chosen, but those that are much less likely to be of it than the likeliest (what
    moves, :class:`Movement`, may tell more).  What was chosen ``before`` (numbers) stays on less,
    so that marks do not flicker.
    An instance that may be of two that sound is of the one that it is likelier to be.
    """
    categories = [int(k) for k in np.argsort(-score) if sounds[k]]
    owners: dict[int, list[Found]] = {k: [] for k in categories}
    for one in found:
        if categories:
            owners[max(categories, key=lambda k: float(one.known.likely[k]))].append(one)
    chosen = []
    for k in categories:
        own = sorted(owners[k], key=lambda one: -float(one.known.likely[k]))
        chosen += [
            (one, k) for one in own
            if one.known.likely[k] >= max(NEW, BESIDE_BEST * float(own[0].known.likely[k])) * (
                STAYS if one.known.index in before else 1.0
            )
        ]  # fmt: skip
    return chosen


def create(
    name: str,
    engine: str = "auto",
    device: str = "auto",
    *,
    checkpoint: str | Path = BUNDLED,
) -> InstanceSegmenter:
    """An :class:`InstanceSegmenter` under ``name``."""
    return InstanceSegmenter(checkpoint, device, engine=engine, name=name)


def program(name: str, *, checkpoint: str | Path = BUNDLED) -> StepProgram:
    """The model's visual step; CheckpointError for a file without a detector."""
    from avs_ros.inference.model_steps import instance_program
    from avs_ros.models.light.checkpoint import load_light

    return instance_program(load_light(checkpoint), name)
