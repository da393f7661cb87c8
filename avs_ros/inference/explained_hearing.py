"""What a stream hears, and which of the categories that are seen explain it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from avs_ros.gate import CATEGORY_OPTIONS, GateConfig
from avs_ros.inference.bundle import ModelRunners
from avs_ros.inference.cached_audio_encoder import CachedAudioEncoder, Heard, StreamHearing
from avs_ros.inference.category_gate import Bools, CategoryGate
from avs_ros.inference.class_affinity import (
    confusable_indices,
    pool_confusable,
    without_confusable,
)
from avs_ros.inference.engines.prepared import StepRunner
from avs_ros.inference.explaining import INPUTS, ExplainingGate, SoundEvidence, gate_inputs
from avs_ros.inference.loudness import Loudest
from avs_ros.segmentation import Float, sigmoid
from avs_ros.sound import SAMPLE_RATE


class ExplainedHearing:
    """The half of a model that does not see: hearing, gate and names, for one stream.

    ``audio``: runner of the audio networks.  ``metadata``: ``categories`` (K names), ``audioset``,
    ``evidence``, ``gate`` and ``calibration``, as a light file has them.  ``markable`` ``[K]``:
    which of the categories may sound (None: all); the others are heard and never marked.
    """

    def __init__(
        self, audio: StepRunner, metadata: Mapping[str, Any], markable: Bools | None = None
    ) -> None:
        self._markable = markable
        self.categories: Sequence[str] = metadata["categories"]
        self.evidence = SoundEvidence(metadata["evidence"])
        self.audio_encoder = CachedAudioEncoder(audio, remembered=0)
        # What the gate weighed in the last step, ``[K, F]``.
        self.inputs = np.zeros((len(self.categories), INPUTS), np.float32)
        calibration = metadata["calibration"]
        common, own = calibration["threshold"], calibration.get("thresholds", {})
        thresholds = np.array([own.get(name, common) for name in self.categories], np.float32)
        self._policy = CategoryGate(self.categories, thresholds, calibration, SAMPLE_RATE)
        self._beside = np.full(
            len(self.categories), calibration["companion_threshold"], np.float32
        )
        self._confusable = confusable_indices(self.categories, calibration["confusable_groups"])
        self._explain = ExplainingGate(metadata["gate"])
        self._audioset: Sequence[str] = metadata["audioset"]
        self._heard = StreamHearing(self.audio_encoder, lambda logits, _: self.evidence(logits))
        self._loudest = Loudest()

    @property
    def gate(self) -> GateConfig:
        """What counts as sounding."""
        return self._policy.config

    @gate.setter
    def gate(self, config: GateConfig) -> None:
        self._policy.config = config

    def reset(self) -> None:
        """Forget the stream."""
        self._heard.reset()
        self._policy.reset()
        self._loudest.reset()

    def listen(self, stamp_ns: int, window: Float) -> Heard:
        """The window float32 ``[16000]`` that ends at ``stamp_ns``."""
        return self._heard(stamp_ns, window, self._policy.listen(stamp_ns, window))

    def explain(
        self, seen: Float, heard: Heard, stamp_ns: int, window: Float
    ) -> tuple[Float, Bools]:
        """Log-odds ``[K]`` that each category is visible, and what :meth:`listen` gave for the
        same window -> scaled scores ``[K]`` (0.5: accepted), and which of the categories sound.
        """
        self.inputs = gate_inputs(
            self.evidence(heard.logits),
            self.evidence(heard.context_logits),
            seen,
            self._loudest.drop_db(stamp_ns, window),
        )
        return self._judge(sigmoid(self._explain(self.inputs)))

    def name(self, category: int, heard: Heard) -> str:
        """The category's name, or that of a sound class of it that is clearly louder."""
        return self.evidence.name(category, self.categories, heard.context_logits)

    def loudest_class(self, heard: Heard) -> tuple[str, float]:
        """AudioSet's best class of what is heard, and its probability."""
        best = int(heard.context_logits.argmax())
        return self._audioset[best], float(sigmoid(heard.context_logits[best]))

    def _judge(self, probability: Float) -> tuple[Float, Bools]:
        policy = self._policy
        if self._markable is not None:
            probability = np.where(self._markable, probability, 0).astype(np.float32)
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


class ExplainingSegmenter:
    """What the models of a light file with a detector have in common, for one stream.

    ``gate`` may be replaced at any time; scores are scaled so that the weight file's thresholds
    read 0.5.  ``markable``: see :class:`ExplainedHearing`.
    """

    sample_rate = SAMPLE_RATE
    window_s = 1.0
    gate_options = CATEGORY_OPTIONS | {"companion_threshold"}

    def __init__(self, name: str, runners: ModelRunners, markable: Bools | None = None) -> None:
        metadata = runners.metadata
        self.name = name
        self.metadata: Mapping[str, Any] = metadata["metadata"]
        self.calibration: Mapping[str, Any] = metadata["calibration"]
        self._hearing = ExplainedHearing(runners.audio, metadata, markable)
        self._outputs: Sequence[str] = metadata["outputs"]
        self._runners, self._runner = runners, runners.visual
        self.engine, self.device = self._runner.engine, self._runner.device

    @property
    def gate(self) -> GateConfig:
        """What counts as sounding."""
        return self._hearing.gate

    @gate.setter
    def gate(self, config: GateConfig) -> None:
        self._hearing.gate = config

    @property
    def audio_runs(self) -> int:
        """See :class:`Segmenter`."""
        return self._hearing.audio_encoder.runs

    def reset(self) -> None:
        """See :class:`Segmenter`."""
        self._hearing.reset()

    def close(self) -> None:
        """See :class:`Segmenter`."""
        self.reset()
        self._runners.close()

    def _run(self, *inputs: Float) -> dict[str, Float]:
        """The visual step's outputs by name."""
        return {
            name: np.asarray(value, np.float32)
            for name, value in zip(self._outputs, self._runner(*inputs), strict=True)
        }
