"""AVSC behind the segmenter protocol: what could sound, and which of it does."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from avs_ros.errors import AudioFormatError, ModelError
from avs_ros.inference.bundle import Bundle, Senses, identity_of, open_senses
from avs_ros.inference.engines import choose_device
from avs_ros.inference.frames import FramePreparation
from avs_ros.inference.heard_families import HeardFamilies
from avs_ros.inference.hearing import SAMPLE_RATE, Hearing
from avs_ros.inference.loudness import SILENCE_DBFS, Ending, level_dbfs
from avs_ros.inference.sounding_instances import (
    SoundingInstance,
    sigmoid,
    sounding_instances,
    strongest_candidate,
)
from avs_ros.models.light.hearing_context import HearingContext
from avs_ros.segmentation import Bytes, Float, Layer, Prediction

if TYPE_CHECKING:
    from avs_ros.inference.engines import StepProgram
    from avs_ros.models.avsc import LoadedAVSC

LIGHT = "avsc_light"
BUNDLED = Path(__file__).resolve().parents[1] / "data" / f"{LIGHT}.safetensors"
# An instance's score from which it counts as sounding, where a file does not say.
UNCALIBRATED = 0.3


class AVSCSegmenter:
    """AVSC for one stream: the segmenter at the frames' rate, the audio network at its own.

    ``senses``: its steps, opened with the facts of ``avsc_bundle``.  ``threshold``: score from
    which an instance sounds (the calibrated one by default).  ``context_s``: seconds of past
    sound, at most, that the categories' scores may rest on.  ``release_s``: the masks end when the
    window's last so many seconds are silent against its loudest moment; 0 waits until the whole
    window is.  ``hearing_period_s``: the audio network runs again once the stamp has moved on by
    this much; frames between share its scores.
    """

    sample_rate = SAMPLE_RATE
    window_s = 1.0

    def __init__(
        self,
        name: str,
        senses: Senses,
        *,
        threshold: float | None = None,
        context_s: float = 3.0,
        release_s: float = 0.5,
        hearing_period_s: float = 0.0,
    ) -> None:
        facts = senses.facts
        self.name = name
        self.metadata: Mapping[str, Any] = facts["metadata"]
        self.labels: Sequence[str] = facts["categories"]
        self._voices: Sequence[str] = facts["voices"]
        self._audioset: Sequence[str] = self.metadata["audioset"]
        calibration = self.metadata.get("calibration", {})
        known = calibration.get("score", UNCALIBRATED)
        self._threshold = float(known if threshold is None else threshold)
        if not 0 < self._threshold < 1:
            raise ModelError(f"threshold is {self._threshold}; it must lie between 0 and 1")
        self._senses, self._runner = senses, senses.seeing
        self.engine, self.device = self._runner.engine, self._runner.device
        self._hearing = Hearing(senses.hearing)
        self._affinity = HeardFamilies(facts["affinity"])
        self._frames = FramePreparation(
            facts["image_size"], facts["image_mean"], facts["image_std"], cv2.INTER_AREA
        )
        self._context = HearingContext(max(0.0, context_s - self.window_s))
        self._ending = Ending(round(release_s * SAMPLE_RATE))
        self._period_ns = int(hearing_period_s * 1e9)
        self._heard: tuple[int, Float, Float] | None = None

    def reset(self) -> None:
        """See :class:`Segmenter`; only hearing has a past."""
        self._context.reset()
        self._ending.reset()
        self._heard = None

    def close(self) -> None:
        """See :class:`Segmenter`."""
        self.reset()
        self._senses.close()

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """See :class:`Segmenter`.

        ``sounding``: the best instance's score, scaled so that the threshold reads 0.5.
        ``layers``: one per instance that sounds, several of one label among them.  ``ms``:
        "hearing", "seeing", "joining".
        """
        if window.shape != (SAMPLE_RATE,) or not np.isfinite(window).all():
            raise AudioFormatError(
                f"the window must be {SAMPLE_RATE} finite samples, got {list(window.shape)}"
            )
        began = time.perf_counter()
        evidence, rests_on = self._hear(window, stamp_ns)
        listened = time.perf_counter()
        classes, masks = self._runner(self._frames(frame))
        seen = time.perf_counter()
        heard = sigmoid(evidence)
        ended = self._ending(stamp_ns, window)
        if level_dbfs(window) < SILENCE_DBFS or ended:
            heard = np.zeros_like(heard)
        answer = self._answer(
            np.asarray(classes[0], np.float32), np.asarray(masks[0], np.float32), heard, rests_on
        )
        answer["ms"] = {
            "hearing": (listened - began) * 1e3,
            "seeing": (seen - listened) * 1e3,
            "joining": (time.perf_counter() - seen) * 1e3,
        }
        return Prediction(**answer)

    def categories_heard(self, window: Float) -> Float:
        """Score ``[K]``, 0..1, of each category in one window, apart from the stream."""
        residual, logits = self._hearing(window)
        return sigmoid(self._affinity(logits[0]) + residual[0])

    def _hear(self, window: Float, stamp_ns: int) -> tuple[Float, Float]:
        """Evidence ``[K]`` (logits) and the AudioSet logits ``[527]`` it rests on."""
        if self._heard is not None and 0 <= stamp_ns - self._heard[0] < self._period_ns:
            return self._heard[1:]
        residual, logits = self._hearing(window)

        def evidence_of(scores: Float) -> Float:
            return np.asarray(self._affinity(scores) + residual[0], np.float32)

        evidence, rests_on = self._context.hear(
            stamp_ns, logits[0], level_dbfs(window), evidence_of
        )
        self._heard = (stamp_ns, evidence, rests_on)
        return evidence, rests_on

    def _answer(
        self, classes: Float, masks: Float, heard: Float, rests_on: Float
    ) -> dict[str, Any]:
        found, best = sounding_instances(classes, masks, heard, self._threshold)
        voices = self._affinity.voices(rests_on)
        layers = tuple(
            Layer(one.probability, self._name(one, voices), self._scaled(one.score))
            for one in found
        )
        if layers:
            probability = np.maximum.reduce([layer.probability for layer in layers])
        else:
            # Nothing is accepted: the best candidate, as faint as its score.
            candidate = strongest_candidate(classes, masks, heard)
            probability = np.zeros(masks.shape[1:], np.float32)
            if candidate is not None:
                probability = candidate.probability * np.float32(self._scaled(candidate.score))
            best = min(best, np.nextafter(self._threshold, 0.0))
        audio = int(rests_on.argmax())
        return {
            "probability": probability,
            "sounding": self._scaled(best),
            "label": layers[0].label if layers else "",
            "label_index": found[0].category if found else -1,
            "audio_label": self._audioset[audio],
            "audio_score": float(sigmoid(rests_on[audio])),
            "layers": layers,
        }

    def _scaled(self, score: float) -> float:
        """0..1 -> 0..1, the threshold -> 0.5."""
        low = self._threshold
        return 0.5 * score / low if score < low else 0.5 + 0.5 * (score - low) / (1 - low)

    def _name(self, found: SoundingInstance, voices: Float) -> str:
        return self._affinity.name(found.category, self.labels, self._voices, voices)


def create(
    name: str,
    engine: str = "auto",
    device: str = "auto",
    *,
    checkpoint: str | Path | None = None,
    configuration: str = LIGHT,
    random_weights: bool = False,
    **options: Any,
) -> AVSCSegmenter:
    """An :class:`AVSCSegmenter` under ``name``; ``options`` are its own.

    ``checkpoint``: an AVSC file; it decides everything.  ``configuration``: without one, which
    ready form.  ``random_weights``: for measuring speed, untrained.  Raises ModelError where
    weights are missing, CheckpointError where they do not fit.
    """
    path = None if random_weights else _weights(name, checkpoint, configuration)

    def make() -> Bundle:
        from avs_ros.inference.avsc_steps import avsc_bundle

        loaded = load(path, configuration)
        return avsc_bundle(loaded.network, name, loaded.metadata)

    identity = None if path is None else identity_of("avsc", files=(path,))
    senses = open_senses(name, identity, make, engine, choose_device(device))
    return AVSCSegmenter(name, senses, **options)


def program(
    name: str,
    *,
    checkpoint: str | Path | None = None,
    configuration: str = LIGHT,
    random_weights: bool = False,
) -> StepProgram:
    """The model's visual step; arguments and errors as for :func:`create`."""
    from avs_ros.inference.avsc_steps import seeing_program

    path = None if random_weights else _weights(name, checkpoint, configuration)
    return seeing_program(load(path, configuration).network, name)


def _weights(name: str, checkpoint: str | Path | None, configuration: str) -> Path:
    if checkpoint is not None:
        return Path(checkpoint)
    if configuration == LIGHT and BUNDLED.is_file():
        return BUNDLED
    raise ModelError(
        f"{name} needs weights: train it (`avs train avsc`) and give the path of the checkpoint "
        "as the model"
    )


def load(path: Path | None, configuration: str = LIGHT) -> LoadedAVSC:
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
