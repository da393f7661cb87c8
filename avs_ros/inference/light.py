"""The bundled light model behind the segmenter protocol."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from avs_ros.gate import CATEGORY_OPTIONS, GateConfig
from avs_ros.inference.alike import alike_indices, pool_alike, without_alike
from avs_ros.inference.bundle import Bundle, identity_of, open_senses
from avs_ros.inference.category_gate import Bools, CategoryGate
from avs_ros.inference.engines import choose_device
from avs_ros.inference.frames import FramePreparation
from avs_ros.inference.heard_families import HeardFamilies
from avs_ros.inference.hearing import Hearing, StreamHearing, check_window
from avs_ros.models.stream_memory import StreamMemory
from avs_ros.segmentation import Bytes, Float, Layer, Prediction, sigmoid
from avs_ros.sound import SAMPLE_RATE

if TYPE_CHECKING:
    from avs_ros.inference.engines import StepProgram

BUNDLED = Path(__file__).resolve().parents[1] / "data" / "c3n_light.safetensors"
# A threshold that nothing reaches.
ALONE = 1.01


class LightSegmenter:
    """LightC3N for one stream.

    ``engine``, ``device``: where the visual step runs (``avs_ros.inference.engines``).
    ``gate``: what counts as sounding; may be replaced at any time (see
    :func:`avs_ros.gate.apply_gate`).  Scores are scaled so that the weight file's thresholds read
    0.5.  A window that shares no sound with an earlier frame's stands for itself: nothing is held
    over and it is judged whole.
    """

    sample_rate = SAMPLE_RATE
    window_s = 1.0
    gate_options = CATEGORY_OPTIONS | {"companion_threshold"}

    def __init__(
        self,
        checkpoint: str | Path = BUNDLED,
        device: str = "cpu",
        *,
        engine: str = "torch",
        name: str = "c3n_light",
    ) -> None:
        checkpoint = Path(checkpoint)

        def make() -> Bundle:
            from avs_ros.inference.light_steps import light_bundle

            return light_bundle(checkpoint, name)

        identity = identity_of("light", files=(checkpoint,))
        senses = open_senses(name, identity, make, engine, choose_device(device))
        facts = senses.facts
        self.name = name
        self.metadata: Mapping[str, Any] = facts["metadata"]
        self.labels: Sequence[str] = facts["rows"]
        self.categories: Sequence[str] = facts["families"]
        self._voices: Sequence[str] = facts["voices"]
        self._audioset: Sequence[str] = facts["audioset"]
        self._family_row = [self.labels.index(name) for name in self.categories]
        calibration = self.metadata.get("calibration", {})
        self._gate = CategoryGate(
            self.categories, self._thresholds(calibration), calibration, SAMPLE_RATE
        )
        beside = calibration.get("companion_threshold", ALONE)
        self._beside = np.full(len(self.categories), beside, np.float32)
        self._alike = alike_indices(self.categories, calibration.get("alike", ()))
        self._heard_families = HeardFamilies(facts["affinity"])
        self._senses, self._runner = senses, senses.seeing
        self.engine, self.device = self._runner.engine, self._runner.device
        self._hearing = Hearing(senses.hearing, remembered=0)
        self._heard = StreamHearing(
            self._hearing, lambda logits, _: self._heard_families(logits)
        )
        self._frames = FramePreparation(
            facts["image_size"], facts["image_mean"], facts["image_std"], cv2.INTER_AREA
        )
        self._memory = StreamMemory(tuple(facts["state"]), facts["frames_per_clip"])

    @property
    def gate(self) -> GateConfig:
        """What counts as sounding."""
        return self._gate.config

    @gate.setter
    def gate(self, config: GateConfig) -> None:
        self._gate.config = config

    def reset(self) -> None:
        """See :class:`Segmenter`."""
        self._memory.reset()
        self._heard.reset()
        self._gate.reset()

    def close(self) -> None:
        """See :class:`Segmenter`."""
        self.reset()
        self._senses.close()

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """See :class:`Segmenter`; ``layers``: one per category that sounds."""
        check_window(window)
        began = time.perf_counter()
        heard = self._heard(stamp_ns, window, self._gate.listen(stamp_ns, window))
        rests_on = heard.context_logits
        listened = time.perf_counter()
        past, shares = self._memory.recall(stamp_ns)
        masks, gate_logits, beside_logits, _, state = self._runner(
            self._frames(frame), heard.feature, rests_on[None], heard.evidence[None], past, shares
        )
        self._memory.remember(stamp_ns, np.asarray(state, np.float32))
        score, sounds = self._judge(sigmoid(gate_logits[0]), sigmoid(beside_logits[0]))
        seen = time.perf_counter()
        ms = {"hearing": (listened - began) * 1e3, "seeing": (seen - listened) * 1e3}
        return self._answer(score, sounds, np.asarray(masks[0], np.float32), rests_on, ms)

    def _judge(self, seen_and_heard: Float, beside: Float) -> tuple[Float, Bools]:
        """Probabilities ``[K]`` -> scaled scores ``[K]``, and which of the categories sound."""
        policy = self._gate
        gate = pool_alike(seen_and_heard, self._alike)
        if policy.silent or (policy.goes_on and policy.ended):
            gate = np.zeros_like(gate)
        score = policy.scaled(gate)
        first = gate >= policy.required()
        sounds = first
        if first.any():
            others = without_alike(beside, first, self._alike)
            sounds = first | (others >= policy.required_beside(self._beside))
            score = np.maximum(score, policy.scaled(others, self._beside))
        policy.remember(sounds)
        return score, sounds

    def _answer(
        self, score: Float, sounds: Bools, masks: Float, rests_on: Float, ms: dict[str, float]
    ) -> Prediction:
        """Make the layers of what sounds."""
        order = np.argsort(-score)
        chosen = [int(k) for k in order if sounds[k]]
        voices = self._heard_families.voices(rests_on)
        layers = tuple(
            Layer(
                probability=sigmoid(masks[k]),
                label=self._name(k, voices),
                score=float(score[k]),
            )
            for k in chosen
        )
        best = chosen[0] if chosen else int(order[0])
        if layers:
            probability = np.maximum.reduce([layer.probability for layer in layers])
        else:
            # Nothing is accepted: the best candidate, as faint as its score.
            probability = sigmoid(masks[best]) * np.float32(score[best])
        audio = int(rests_on.argmax())
        return Prediction(
            probability=np.asarray(probability, np.float32),
            sounding=float(score[best]),
            label=self._name(best, voices) if layers else "",
            label_index=self._family_row[best] if layers else -1,
            audio_label=self._audioset[audio],
            audio_score=float(sigmoid(rests_on[audio])),
            layers=layers,
            gated=True,
            ms=ms,
        )

    def _name(self, family: int, voices: Float) -> str:
        """The family's name, or that of a voice of it which is clearly louder."""
        return self._heard_families.name(family, self.categories, self._voices, voices)

    def _thresholds(self, calibration: Mapping[str, Any]) -> Float:
        """For each category the file's own, else the file's for all."""
        common, own = calibration.get("threshold", 0.5), calibration.get("thresholds", {})
        return np.array([own.get(name, common) for name in self.categories], np.float32)


def create(
    name: str,
    engine: str = "auto",
    device: str = "auto",
    *,
    checkpoint: str | Path = BUNDLED,
) -> LightSegmenter:
    """A :class:`LightSegmenter` under ``name``."""
    return LightSegmenter(checkpoint, device, engine=engine, name=name)


def program(name: str, *, checkpoint: str | Path = BUNDLED) -> StepProgram:
    """The visual step of a light checkpoint."""
    from avs_ros.inference.light_steps import light_program
    from avs_ros.models.light.checkpoint import load_light
    from avs_ros.models.light.step import LightStep

    model = load_light(checkpoint)
    model.network.requires_grad_(False)
    return light_program(LightStep(model.network), name, len(model.families))
