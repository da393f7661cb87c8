"""The bundled light model behind the segmenter protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avs_ros.gate import CATEGORY_OPTIONS
from avs_ros.inference.bundle import header_value
from avs_ros.inference.category_gate import ALONE, Bools
from avs_ros.inference.class_affinity import ClassAffinity
from avs_ros.inference.gated_segmenter import (
    BUNDLED,
    GatedSegmenter,
    open_light,
    stretched_frames,
)
from avs_ros.inference.light_detecting import DetectingSegmenter
from avs_ros.segmentation import Bytes, Float, Layer, Prediction, sigmoid

if TYPE_CHECKING:
    from avs_ros.inference.engines.program import StepProgram

__all__ = ["ALONE", "BUNDLED", "LightSegmenter", "create", "detects", "program"]


class LightSegmenter(GatedSegmenter):
    """LightC3N for one stream.

    ``engine``, ``device``: where the visual step runs (``avs_ros.inference.engines``).  A window
    that shares no sound with an earlier frame's stands for itself: nothing is held over and it is
    judged whole.
    """

    gate_options = CATEGORY_OPTIONS | {"companion_threshold"}

    def __init__(
        self,
        checkpoint: str | Path = BUNDLED,
        device: str = "cpu",
        *,
        engine: str = "torch",
        name: str = "c3n_light",
    ) -> None:
        runners = open_light("light", checkpoint, name, engine, device)
        metadata = runners.metadata
        affinity = ClassAffinity(metadata["affinity"], metadata["sound_classes"])
        super().__init__(name, runners, affinity)
        self.labels = metadata["rows"]
        self._category_row = [self.labels.index(name) for name in self.categories]
        self._frames = stretched_frames(metadata)

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """See :class:`Segmenter`; ``layers``: one per category that sounds."""
        heard, ms = self._listen(stamp_ns, window)
        past, shares = self._memory.recall(stamp_ns)
        masks, gate_logits, companion_logits, _, state = self._runner(
            self._frames(frame),
            heard.feature,
            heard.context_logits[None],
            heard.evidence[None],
            past,
            shares,
        )
        self._memory.remember(stamp_ns, np.asarray(state, np.float32))
        score, sounds = self._judge(sigmoid(gate_logits[0]), sigmoid(companion_logits[0]))
        ms.end("visual")
        masks = np.asarray(masks[0], np.float32)
        order = np.argsort(-score)
        chosen = [int(k) for k in order if sounds[k]]
        layers = tuple(
            Layer(sigmoid(masks[k]), self._name(k, heard), float(score[k])) for k in chosen
        )
        best = chosen[0] if chosen else int(order[0])
        return self._answer(
            layers, lambda: sigmoid(masks[best]) * np.float32(score[best]), float(score[best]),
            self._category_row[best], heard, ms,
        )  # fmt: skip

    def _judge(self, seen_and_heard: Float, companion: Float) -> tuple[Float, Bools]:
        """Probabilities ``[K]`` -> scaled scores ``[K]``, and which of the categories sound."""
        policy = self._policy
        gate = policy.pooled(seen_and_heard)
        score = policy.scaled(gate)
        first = gate >= policy.required()
        sounds = first
        if first.any():
            others = policy.without_confusable(companion, first)
            sounds = first | (others >= policy.required_beside())
            score = np.maximum(score, policy.scaled_beside(others))
        policy.remember(sounds)
        return score, sounds


def create(
    name: str,
    engine: str = "auto",
    device: str = "auto",
    *,
    checkpoint: str | Path = BUNDLED,
) -> LightSegmenter | DetectingSegmenter:
    """The light model in ``checkpoint`` under ``name``, with its detector where it has one."""
    kind = DetectingSegmenter if detects(checkpoint) else LightSegmenter
    return kind(checkpoint, device, engine=engine, name=name)


def detects(checkpoint: str | Path) -> bool:
    """Whether a light file holds a detector, by its header alone; False where it has none."""
    build = header_value(checkpoint, "build")
    return isinstance(build, dict) and bool(build.get("detector_rows", 0))


def program(name: str, *, checkpoint: str | Path = BUNDLED) -> StepProgram:
    """The visual step of a light checkpoint."""
    from avs_ros.inference.model_steps import detecting_bundle, light_bundle

    make = detecting_bundle if detects(checkpoint) else light_bundle
    return make(checkpoint, name).program()
