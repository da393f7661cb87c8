"""The light model with a detector behind the segmenter protocol: candidates, then explanation."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avs_ros.gate import CATEGORY_OPTIONS, GateConfig
from avs_ros.inference.bundle import Bundle, identity_of, open_runners
from avs_ros.inference.cached_audio_encoder import CachedAudioEncoder, StreamHearing, check_window
from avs_ros.inference.candidates import OUTSIDE, CandidateReader, Candidates
from avs_ros.inference.category_gate import Bools, CategoryGate
from avs_ros.inference.class_affinity import (
    confusable_indices,
    pool_confusable,
    without_confusable,
)
from avs_ros.inference.engines import choose_device
from avs_ros.inference.explaining import (
    INPUTS,
    ExplainingGate,
    SoundEvidence,
    gate_inputs,
    visible,
)
from avs_ros.inference.frames import FramePreparation, WholePreparation
from avs_ros.inference.loudness import Loudest
from avs_ros.models.stream_memory import StreamMemory
from avs_ros.segmentation import Bytes, Float, Layer, Prediction

RATE = 16000
# A mask whose best pixels stay below this is raised to it: whether it is marked is the gate's say.
LEAST_LOG_ODDS, TOP_SHARE = 1.0, 0.02


class DetectingSegmenter:
    """A light model with a detector, for one stream.

    As :class:`LightSegmenter` in everything that a caller sees: ``gate`` may be replaced at any
    time, scores are scaled so that the weight file's thresholds read 0.5.
    """

    sample_rate = RATE
    window_s = 1.0
    gate_options = CATEGORY_OPTIONS | {"companion_threshold"}

    def __init__(
        self,
        checkpoint: str | Path,
        device: str = "cpu",
        *,
        engine: str = "torch",
        name: str = "c3n_light",
    ) -> None:
        checkpoint = Path(checkpoint)

        def make() -> Bundle:
            from avs_ros.inference.light_steps import detecting_bundle

            return detecting_bundle(checkpoint, name)

        identity = identity_of("light_detecting", files=(checkpoint,))
        runners = open_runners(name, identity, make, engine, choose_device(device))
        metadata = runners.metadata
        self.name = name
        self.metadata: Mapping[str, Any] = metadata["metadata"]
        self.labels: Sequence[str] = metadata["categories"]
        self.categories = self.labels
        self._audioset: Sequence[str] = metadata["audioset"]
        self.calibration = calibration = metadata["calibration"]
        common, own = calibration["threshold"], calibration.get("thresholds", {})
        thresholds = np.array([own.get(name, common) for name in self.categories], np.float32)
        self._gate = CategoryGate(self.categories, thresholds, calibration, RATE)
        self._beside = np.full(
            len(self.categories), calibration["companion_threshold"], np.float32
        )
        self._confusable = confusable_indices(self.categories, calibration["confusable_groups"])
        self._evidence = SoundEvidence(metadata["evidence"])
        self._explain = ExplainingGate(metadata["gate"])
        self._read = CandidateReader(metadata["candidates"])
        self._outputs: Sequence[str] = metadata["outputs"]
        self._feature_width = int(metadata["feature_width"])
        # What the gate weighed in the last step, ``[K, F]``.
        self.inputs = np.zeros((len(self.categories), INPUTS), np.float32)
        self._runners, self._runner = runners, runners.visual
        self.engine, self.device = self._runner.engine, self._runner.device
        self._audio_encoder = CachedAudioEncoder(runners.audio, remembered=0)
        self._heard = StreamHearing(self._audio_encoder, lambda logits, _: self._evidence(logits))
        self._frames = FramePreparation(
            metadata["image_size"], metadata["image_mean"], metadata["image_std"], cv2.INTER_AREA
        )
        self._wholes = WholePreparation(
            metadata["whole_size"], metadata["image_mean"], metadata["image_std"]
        )
        self._loudest = Loudest()
        self._memory = StreamMemory(tuple(metadata["state"]), metadata["frames_per_clip"])

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
        self._loudest.reset()

    def close(self) -> None:
        """See :class:`Segmenter`."""
        self.reset()
        self._runners.close()

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """See :class:`Segmenter`; ``layers``: one per instance that sounds, or per category."""
        check_window(window)
        began = time.perf_counter()
        heard = self._heard(stamp_ns, window, self._gate.listen(stamp_ns, window))
        listened = time.perf_counter()
        candidates, state = self._look(frame, heard.feature, heard.context_logits, stamp_ns)
        self._memory.remember(stamp_ns, state)
        self.inputs = gate_inputs(
            self.evidence(heard.logits),
            self.evidence(heard.context_logits),
            visible(candidates),
            self._loudest.drop_db(stamp_ns, window),
        )
        logits = self._explain(self.inputs)
        score, sounds = self._judge(_sigmoid(logits))
        ms = {
            "audio": (listened - began) * 1e3,
            "visual": (time.perf_counter() - listened) * 1e3,
        }
        return self._answer(score, sounds, candidates, heard.context_logits, ms)

    def audio_logits(self, window: Float) -> Float:
        """AudioSet logits ``[527]`` of one window, without touching the stream's state."""
        return np.asarray(self._audio_encoder(window)[1][0], np.float32)

    def evidence(self, logits: Float) -> Float:
        """AudioSet logits ``[527]`` -> ``[3 K]``, see :class:`SoundEvidence`."""
        return self._evidence(logits)

    def seen(self, frame: Bytes) -> Float:
        """Log-odds ``[K]`` that a frame shows each category; the stream's state stays."""
        feature = np.zeros((1, self._feature_width), np.float32)
        silence = np.zeros(len(self._audioset), np.float32)
        return visible(self._look(frame, feature, silence, 0)[0])

    def category_evidence(self, logits: Float) -> Float:
        """AudioSet logits ``[527]`` -> evidence ``[K]`` of each category (a logit)."""
        return self._evidence(logits)[: len(self.categories)]

    def _look(
        self, frame: Bytes, feature: Float, logits: Float, stamp_ns: int
    ) -> tuple[Candidates, Float]:
        """What a frame shows, and what later frames need of it."""
        past, shares = self._memory.recall(stamp_ns)
        whole, shown = self._wholes(frame)
        results = self._runner(self._frames(frame), whole, feature, logits[None], past, shares)
        outputs = {
            name: np.asarray(value, np.float32)
            for name, value in zip(self._outputs, results, strict=True)
        }
        return self._read(outputs, shown), outputs["state"]

    def _judge(self, probability: Float) -> tuple[Float, Bools]:
        """Probabilities ``[K]`` -> scaled scores ``[K]``, and which of the categories sound."""
        policy = self._gate
        gate = pool_confusable(probability, self._confusable)
        if policy.silent or (policy.goes_on and policy.ended):
            gate = np.zeros_like(gate)
        first = np.zeros(len(gate), bool)
        best = int(gate.argmax())
        first[best] = gate[best] >= policy.required()[best]
        score = np.where(np.arange(len(gate)) == best, policy.scaled(gate), 0.0)
        others = without_confusable(gate, np.arange(len(gate)) == best, self._confusable)
        sounds = first
        if first.any():
            sounds = first | (others >= policy.required_beside(self._beside))
        score = np.maximum(score, policy.scaled(others, self._beside))
        policy.remember(sounds)
        return np.asarray(score, np.float32), sounds

    def _answer(
        self,
        score: Float,
        sounds: Bools,
        candidates: Candidates,
        logits: Float,
        ms: dict[str, float],
    ) -> Prediction:
        """Make the layers of the sounding object."""
        order = np.argsort(-score)
        chosen = [int(k) for k in order if sounds[k]]
        layers = tuple(
            Layer(
                probability=_sigmoid(_raised(mask)),
                label=self._evidence.name(k, self.categories, logits),
                score=float(score[k]),
            )
            for k in chosen
            for mask in candidates.masks(k)
        )
        best = chosen[0] if chosen else int(order[0])
        if layers:
            probability = np.maximum.reduce([layer.probability for layer in layers])
        else:
            # Nothing is accepted: the best candidate, as faint as its score.
            probability = _sigmoid(candidates.mask(best)) * np.float32(score[best])
        audio = int(logits.argmax())
        return Prediction(
            probability=np.asarray(probability, np.float32),
            score=float(score[best]),
            label=layers[0].label if layers else "",
            label_index=best if layers else -1,
            audio_label=self._audioset[audio],
            audio_score=float(1 / (1 + np.exp(-logits[audio]))),
            layers=layers,
            gated=True,
            ms=ms,
        )


def _raised(mask: Float) -> Float:
    """A mask that is right but timid, made visible (log-odds), within what it may cover."""
    own = mask[mask > OUTSIDE + 1]
    if not own.size:
        return mask
    count = max(1, int(own.size * TOP_SHARE))
    top = float(np.partition(own, -count)[-count:].mean())
    lift = np.float32(max(0.0, LEAST_LOG_ODDS - top))
    return np.where(mask > OUTSIDE + 1, mask + lift, mask).astype(np.float32)


def _sigmoid(x: Any) -> Float:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -60.0, 60.0))), np.float32)
