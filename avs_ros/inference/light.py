"""The bundled light model behind the segmenter protocol."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from avs_ros.gate import CATEGORY_OPTIONS, GateConfig
from avs_ros.inference.bundle import Bundle, identity_of, open_runners
from avs_ros.inference.cached_audio_encoder import CachedAudioEncoder, StreamHearing, check_window
from avs_ros.inference.category_gate import Bools, CategoryGate
from avs_ros.inference.class_affinity import (
    ClassAffinity,
    confusable_indices,
    pool_confusable,
    without_confusable,
)
from avs_ros.inference.engines import choose_device
from avs_ros.inference.frames import FramePreparation
from avs_ros.inference.light_detecting import DetectingSegmenter
from avs_ros.models.stream_memory import StreamMemory
from avs_ros.segmentation import Bytes, Float, Layer, Prediction, sigmoid
from avs_ros.sound import SAMPLE_RATE

if TYPE_CHECKING:
    from avs_ros.inference.engines.program import StepProgram

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
        runners = open_runners(name, identity, make, engine, choose_device(device))
        metadata = runners.metadata
        self.name = name
        self.metadata: Mapping[str, Any] = metadata["metadata"]
        self.labels: Sequence[str] = metadata["rows"]
        self.categories: Sequence[str] = metadata["categories"]
        self._sound_classes: Sequence[str] = metadata["sound_classes"]
        self._audioset: Sequence[str] = metadata["audioset"]
        self._category_row = [self.labels.index(name) for name in self.categories]
        self.calibration = calibration = self.metadata.get("calibration", {})
        self._gate = CategoryGate(
            self.categories, self._thresholds(calibration), calibration, SAMPLE_RATE
        )
        companion = calibration.get("companion_threshold", ALONE)
        self._companion_threshold = np.full(len(self.categories), companion, np.float32)
        self._confusable = confusable_indices(
            self.categories, calibration.get("confusable_groups", ())
        )
        self._class_affinity = ClassAffinity(metadata["affinity"])
        self._runners, self._runner = runners, runners.visual
        self.engine, self.device = self._runner.engine, self._runner.device
        self._audio_encoder = CachedAudioEncoder(runners.audio, remembered=0)
        self._heard = StreamHearing(
            self._audio_encoder, lambda logits, _: self._class_affinity(logits)
        )
        self._frames = FramePreparation(
            metadata["image_size"], metadata["image_mean"], metadata["image_std"], cv2.INTER_AREA
        )
        self._memory = StreamMemory(tuple(metadata["state"]), metadata["frames_per_clip"])

    @property
    def gate(self) -> GateConfig:
        """What counts as sounding."""
        return self._gate.config

    @gate.setter
    def gate(self, config: GateConfig) -> None:
        self._gate.config = config

    @property
    def audio_runs(self) -> int:
        """See :class:`Segmenter`."""
        return self._audio_encoder.runs

    def reset(self) -> None:
        """See :class:`Segmenter`."""
        self._memory.reset()
        self._heard.reset()
        self._gate.reset()

    def close(self) -> None:
        """See :class:`Segmenter`."""
        self.reset()
        self._runners.close()

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """See :class:`Segmenter`; ``layers``: one per category that sounds."""
        check_window(window)
        began = time.perf_counter()
        heard = self._heard(stamp_ns, window, self._gate.listen(stamp_ns, window))
        context_logits = heard.context_logits
        listened = time.perf_counter()
        past, shares = self._memory.recall(stamp_ns)
        masks, gate_logits, companion_logits, _, state = self._runner(
            self._frames(frame),
            heard.feature,
            context_logits[None],
            heard.evidence[None],
            past,
            shares,
        )
        self._memory.remember(stamp_ns, np.asarray(state, np.float32))
        score, sounds = self._judge(sigmoid(gate_logits[0]), sigmoid(companion_logits[0]))
        seen = time.perf_counter()
        ms = {"audio": (listened - began) * 1e3, "visual": (seen - listened) * 1e3}
        return self._answer(score, sounds, np.asarray(masks[0], np.float32), context_logits, ms)

    def _judge(self, seen_and_heard: Float, companion: Float) -> tuple[Float, Bools]:
        """Probabilities ``[K]`` -> scaled scores ``[K]``, and which of the categories sound."""
        policy = self._gate
        gate = pool_confusable(seen_and_heard, self._confusable)
        if policy.silent or (policy.goes_on and policy.ended):
            gate = np.zeros_like(gate)
        score = policy.scaled(gate)
        first = gate >= policy.required()
        sounds = first
        if first.any():
            others = without_confusable(companion, first, self._confusable)
            sounds = first | (others >= policy.required_beside(self._companion_threshold))
            score = np.maximum(score, policy.scaled(others, self._companion_threshold))
        policy.remember(sounds)
        return score, sounds

    def _answer(
        self,
        score: Float,
        sounds: Bools,
        masks: Float,
        context_logits: Float,
        ms: dict[str, float],
    ) -> Prediction:
        """Make the layers of the sounding object."""
        order = np.argsort(-score)
        chosen = [int(k) for k in order if sounds[k]]
        sound_classes = self._class_affinity.sound_classes(context_logits)
        layers = tuple(
            Layer(
                probability=sigmoid(masks[k]),
                label=self._name(k, sound_classes),
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
        audio = int(context_logits.argmax())
        return Prediction(
            probability=np.asarray(probability, np.float32),
            score=float(score[best]),
            label=self._name(best, sound_classes) if layers else "",
            label_index=self._category_row[best] if layers else -1,
            audio_label=self._audioset[audio],
            audio_score=float(sigmoid(context_logits[audio])),
            layers=layers,
            gated=True,
            ms=ms,
        )

    def _name(self, category: int, sound_classes: Float) -> str:
        """The category's name, or that of a sound class of it which is clearly louder."""
        return self._class_affinity.name(
            category, self.categories, self._sound_classes, sound_classes
        )

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
) -> LightSegmenter | DetectingSegmenter:
    """The light model in ``checkpoint`` under ``name``, with its detector where it has one."""
    kind = DetectingSegmenter if detects(checkpoint) else LightSegmenter
    return kind(checkpoint, device, engine=engine, name=name)


def detects(checkpoint: str | Path) -> bool:
    """Whether a light file holds a detector, by its header alone; False where it has none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(checkpoint, framework="numpy") as file:
            build = json.loads((file.metadata() or {}).get("build", "{}"))
    except (SafetensorError, OSError, ValueError):
        return False  # its reader says what is wrong with it
    return bool(build.get("detector_rows", 0))


def program(name: str, *, checkpoint: str | Path = BUNDLED) -> StepProgram:
    """The visual step of a light checkpoint."""
    from avs_ros.inference.light_steps import detecting_program, detecting_step, light_program
    from avs_ros.models.light.checkpoint import load_light
    from avs_ros.models.light.step import LightStep

    model = load_light(checkpoint)
    model.network.requires_grad_(False)
    if model.detector is not None:
        return detecting_program(detecting_step(model), name)
    return light_program(LightStep(model.network), name, len(model.categories))
