"""AVSC behind the segmenter protocol: what could sound, and which of it does."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from avs_ros.errors import ModelError
from avs_ros.gate import CATEGORY_OPTIONS, GateConfig
from avs_ros.inference.bundle import Bundle, ModelRunners, identity_of, open_runners
from avs_ros.inference.cached_audio_encoder import CachedAudioEncoder, StreamHearing, check_window
from avs_ros.inference.category_gate import CategoryGate
from avs_ros.inference.class_affinity import ClassAffinity
from avs_ros.inference.engines import choose_device
from avs_ros.inference.frames import FramePreparation
from avs_ros.inference.sounding_instances import (
    SoundingInstance,
    sounding_instances,
    strongest_candidate,
)
from avs_ros.segmentation import Bytes, Float, Layer, Prediction, sigmoid
from avs_ros.sound import SAMPLE_RATE

if TYPE_CHECKING:
    from avs_ros.inference.engines.program import StepProgram
    from avs_ros.models.avsc import LoadedAVSC

FULL = "avsc_pvt"
# An instance's score from which it counts as sounding, where a file does not say.
UNCALIBRATED = 0.3


class AVSCSegmenter:
    """AVSC for one stream: the segmenter at the frames' rate, the audio network at its own.

    ``runners``: its steps, opened with the metadata of ``avsc_bundle``.  ``gate``: what counts as
    sounding; may be replaced at any time (see :func:`avs_ros.gate.apply_gate`).  Scores are scaled
    so that the weight file's threshold reads 0.5.  Raises ModelError where that is none.
    """

    sample_rate = SAMPLE_RATE
    window_s = 1.0
    gate_options = CATEGORY_OPTIONS

    def __init__(self, name: str, runners: ModelRunners) -> None:
        metadata = runners.metadata
        self.name = name
        self.metadata: Mapping[str, Any] = metadata["metadata"]
        self.labels: Sequence[str] = metadata["categories"]
        self._sound_classes: Sequence[str] = metadata["sound_classes"]
        self._audioset: Sequence[str] = self.metadata["audioset"]
        self.calibration = calibration = self.metadata.get("calibration", {})
        known = float(calibration.get("score", UNCALIBRATED))
        if not 0 < known < 1:
            raise ModelError(
                f"{name}: the weight file's threshold is {known}; it must lie between 0 and 1"
            )
        self._gate = CategoryGate(
            self.labels, np.full(len(self.labels), known), calibration, SAMPLE_RATE
        )
        self._runners, self._runner = runners, runners.visual
        self.engine, self.device = self._runner.engine, self._runner.device
        self._audio_encoder = CachedAudioEncoder(runners.audio)
        self._affinity = ClassAffinity(metadata["affinity"])
        self._frames = FramePreparation(
            metadata["image_size"], metadata["image_mean"], metadata["image_std"], cv2.INTER_AREA
        )
        self._heard = StreamHearing(
            self._audio_encoder,
            lambda scores, residual: np.asarray(self._affinity(scores) + residual[0], np.float32),
        )

    @property
    def categories(self) -> Sequence[str]:
        """Names of what it tells apart."""
        return self.labels

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
        """See :class:`Segmenter`; only hearing and the gate have a past."""
        self._heard.reset()
        self._gate.reset()

    def close(self) -> None:
        """See :class:`Segmenter`."""
        self.reset()
        self._runners.close()

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """See :class:`Segmenter`.

        ``score``: the best instance's score, scaled so that the threshold reads 0.5.
        ``layers``: one per instance that sounds, several of one label among them.  ``ms``:
        "audio", "visual", "joining".
        """
        check_window(window)
        began = time.perf_counter()
        known = self._heard(stamp_ns, window, self._gate.listen(stamp_ns, window))
        listened = time.perf_counter()
        classes, masks = self._runner(self._frames(frame))
        seen = time.perf_counter()
        heard = sigmoid(known.evidence)
        if self._gate.silent or self._gate.ended:
            heard = np.zeros_like(heard)
        answer = self._answer(
            np.asarray(classes[0], np.float32), np.asarray(masks[0], np.float32), heard,
            known.context_logits,
        )
        answer["ms"] = {
            "audio": (listened - began) * 1e3,
            "visual": (seen - listened) * 1e3,
            "joining": (time.perf_counter() - seen) * 1e3,
        }
        return Prediction(**answer)

    def _answer(
        self, classes: Float, masks: Float, heard: Float, context_logits: Float
    ) -> dict[str, Any]:
        found = sounding_instances(classes, masks, heard, self._gate.required())
        sound_classes = self._affinity.sound_classes(context_logits)

        def score(one: SoundingInstance) -> float:
            return float(self._gate.scaled(np.full(len(heard), one.score))[one.category])

        layers = tuple(
            Layer(one.probability, self._name(one, sound_classes), score(one)) for one in found
        )
        self._gate.remember(np.isin(np.arange(len(heard)), [one.category for one in found]))
        sounding = max((layer.score for layer in layers), default=0.0)
        if layers:
            probability = np.maximum.reduce([layer.probability for layer in layers])
        else:
            # Nothing is accepted: the best candidate, as faint as its score.
            candidate = strongest_candidate(classes, masks, heard)
            probability = np.zeros(masks.shape[1:], np.float32)
            if candidate is not None:
                sounding = score(candidate)
                probability = candidate.probability * np.float32(sounding)
        audio = int(context_logits.argmax())
        return {
            "probability": probability,
            "score": sounding,
            "label": layers[0].label if layers else "",
            "label_index": found[0].category if found else -1,
            "audio_label": self._audioset[audio],
            "audio_score": float(sigmoid(context_logits[audio])),
            "layers": layers,
            "gated": True,
        }

    def _name(self, found: SoundingInstance, sound_classes: Float) -> str:
        return self._affinity.name(found.category, self.labels, self._sound_classes, sound_classes)


def create(
    name: str,
    engine: str = "auto",
    device: str = "auto",
    *,
    checkpoint: str | Path | None = None,
    configuration: str = FULL,
    random_weights: bool = False,
) -> AVSCSegmenter:
    """An :class:`AVSCSegmenter` under ``name``.

    ``checkpoint``: an AVSC file; it decides everything.  ``configuration``: without one, which
    ready form.  ``random_weights``: for measuring speed, untrained.  Raises ModelError where
    weights are missing, CheckpointError where they do not fit.
    """
    path = None if random_weights else _weights(name, checkpoint)

    def make() -> Bundle:
        from avs_ros.inference.avsc_steps import avsc_bundle

        loaded = load(path, configuration)
        return avsc_bundle(loaded.network, name, loaded.metadata)

    identity = None if path is None else identity_of("avsc", files=(path,))
    runners = open_runners(name, identity, make, engine, choose_device(device))
    return AVSCSegmenter(name, runners)


def program(
    name: str,
    *,
    checkpoint: str | Path | None = None,
    configuration: str = FULL,
    random_weights: bool = False,
) -> StepProgram:
    """The model's visual step; arguments and errors as for :func:`create`."""
    from avs_ros.inference.avsc_steps import visual_program

    path = None if random_weights else _weights(name, checkpoint)
    return visual_program(load(path, configuration).network, name)


def _weights(name: str, checkpoint: str | Path | None) -> Path:
    if checkpoint is not None:
        return Path(checkpoint)
    raise ModelError(
        f"{name} needs weights: train it (`avs train avsc`) and give the path of the checkpoint "
        "as the model"
    )


def load(path: Path | None, configuration: str = FULL) -> LoadedAVSC:
    """The network of a file; without one a ready form with random weights, always the same."""
    import torch

    from avs_ros.models import avsc
    from avs_ros.models.labels import audioset

    if path is not None:
        return avsc.load_avsc(path)
    # The caller's random state stays as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = avsc.AVSC(avsc.configuration(configuration))
    return avsc.LoadedAVSC(network.eval(), {"audioset": list(audioset().names)})
