"""The bundled light model behind the segmenter protocol."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from avs_ros.errors import AudioFormatError
from avs_ros.inference.alike import alike_indices, pool_alike, without_alike
from avs_ros.inference.bundle import Bundle, identity_of, open_senses
from avs_ros.inference.engines import choose_device
from avs_ros.inference.frames import FramePreparation
from avs_ros.inference.heard_families import HeardFamilies
from avs_ros.inference.hearing import Hearing
from avs_ros.inference.loudness import SILENCE_DBFS, Ending, level_dbfs
from avs_ros.models.light.hearing_context import HearingContext
from avs_ros.models.stream_memory import StreamMemory
from avs_ros.segmentation import Bytes, Float, Layer, Prediction

if TYPE_CHECKING:
    from avs_ros.inference.engines import StepProgram

BUNDLED = Path(__file__).resolve().parents[1] / "data" / "c3n_light.safetensors"
RATE = 16000
# A threshold that nothing reaches.
ALONE = 1.01


class LightSegmenter:
    """LightC3N for one stream.

    ``engine``, ``device``: where the visual step runs (``avs_ros.inference.engines``).
    ``threshold``: gate probability from which a family counts as sounding (the calibrated ones by
    default).  ``companion_threshold``: the same for what sounds beside the first (calibrated by
    default; above 1: one family at a time, unless the gate itself accepts two).  ``hold``: a
    family that sounded in the frame before goes on sounding until the log-odds are this much
    below its threshold (calibrated by default; 0: none), so that a mask does not flicker with a
    voice.  ``context_s``: seconds of past sound, at most, that the
    label may rest on.  ``release_s``: the mask ends when the window's last so many seconds are
    silent against its loudest moment (see ``loudness.Ending``); 0 waits until the whole window
    is.  A window that shares no sound with an earlier frame's stands for itself and is judged
    whole.
    ``hearing_period_s``: the audio network runs again once the stamp has moved on by this much.
    """

    sample_rate = RATE
    window_s = 1.0

    def __init__(
        self,
        checkpoint: str | Path = BUNDLED,
        device: str = "cpu",
        *,
        engine: str = "torch",
        threshold: float | None = None,
        companion_threshold: float | None = None,
        hold: float | None = None,
        context_s: float = 3.0,
        release_s: float = 0.5,
        hearing_period_s: float = 0.0,
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
        self._families: Sequence[str] = facts["families"]
        self._voices: Sequence[str] = facts["voices"]
        self._audioset: Sequence[str] = facts["audioset"]
        self._family_row = [self.labels.index(name) for name in self._families]
        calibration = self.metadata.get("calibration", {})
        self._threshold = self._thresholds(calibration, threshold)
        by = calibration.get("hold", 0.0) if hold is None else hold
        self._held = _lowered(self._threshold, by)
        beside = companion_threshold
        if beside is None:
            beside = calibration.get("companion_threshold", ALONE)
        self._beside = np.full(len(self._families), beside, np.float32)
        self._beside_held = _lowered(self._beside, by)
        self._sounded = np.zeros(len(self._families), bool)
        self._alike = alike_indices(self._families, calibration.get("alike", ()))
        self._heard_families = HeardFamilies(facts["affinity"])
        self._senses, self._runner = senses, senses.seeing
        self.engine, self.device = self._runner.engine, self._runner.device
        self._hearing = Hearing(senses.hearing, remembered=0)
        self._frames = FramePreparation(
            facts["image_size"], facts["image_mean"], facts["image_std"], cv2.INTER_AREA
        )
        self._memory = StreamMemory(tuple(facts["state"]), facts["frames_per_clip"])
        self._context = HearingContext(max(0.0, context_s - self.window_s))
        self._ending = Ending(round(release_s * RATE))
        self._period_ns = int(hearing_period_s * 1e9)
        self._heard: tuple[int, Float, Float, float] | None = None
        self._last_ns: int | None = None

    def reset(self) -> None:
        """See :class:`Segmenter`."""
        self._memory.reset()
        self._context.reset()
        self._ending.reset()
        self._sounded[:] = False
        self._heard = None
        self._last_ns = None

    def close(self) -> None:
        """See :class:`Segmenter`."""
        self.reset()
        self._senses.close()

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """See :class:`Segmenter`."""
        self._check(window)
        began = time.perf_counter()
        feature, logits, level = self._hear(window, stamp_ns)
        heard, rests_on = self._context.hear(stamp_ns, logits, level, self._heard_families)
        listened = time.perf_counter()
        past, shares = self._memory.recall(stamp_ns)
        masks, gate_logits, beside_logits, _, state = self._runner(
            self._frames(frame), feature, rests_on[None], heard[None], past, shares
        )
        self._memory.remember(stamp_ns, np.asarray(state, np.float32))
        gate = pool_alike(_sigmoid(gate_logits[0]), self._alike)
        goes_on = self._goes_on(stamp_ns)
        ended = self._ending(stamp_ns, window)
        if level < SILENCE_DBFS or (goes_on and ended):
            gate = np.zeros_like(gate)
        # A window that stands for itself owes nothing to the frame before.
        on = self._sounded & goes_on
        score = _scaled(gate, np.where(on, self._held, self._threshold))
        if (score >= 0.5).any():
            beside = _scaled(
                _sigmoid(beside_logits[0]), np.where(on, self._beside_held, self._beside)
            )
            score = np.maximum(score, without_alike(beside, score >= 0.5, self._alike))
        self._sounded = score >= 0.5
        seen = time.perf_counter()
        ms = {"hearing": (listened - began) * 1e3, "seeing": (seen - listened) * 1e3}
        return self._answer(score, np.asarray(masks[0], np.float32), rests_on, ms)

    def audio_logits(self, window: Float) -> Float:
        """AudioSet logits ``[527]`` of one window, without touching the stream's state."""
        return self._hearing(window)[1][0]

    def families_heard(self, logits: Float) -> Float:
        """AudioSet logits ``[527]`` -> evidence ``[K]`` of each family (a logit)."""
        return self._heard_families(logits)

    def _hear(self, window: Float, stamp_ns: int) -> tuple[Float, Float, float]:
        if self._heard is not None and 0 <= stamp_ns - self._heard[0] < self._period_ns:
            return self._heard[1:]
        level = level_dbfs(window)
        feature, logits = self._hearing(window)
        self._heard = (stamp_ns, feature, logits[0], level)
        return self._heard[1:]

    def _goes_on(self, stamp_ns: int) -> bool:
        """Whether part of this window was in an earlier frame's: then a mask may have to end."""
        last, self._last_ns = self._last_ns, stamp_ns
        return last is not None and 0 <= stamp_ns - last < self.window_s * 1e9

    def _answer(
        self, score: Float, masks: Float, rests_on: Float, ms: dict[str, float]
    ) -> Prediction:
        """Make the layers of what scores 0.5."""
        order = np.argsort(-score)
        chosen = [int(k) for k in order if score[k] >= 0.5]
        voices = self._heard_families.voices(rests_on)
        layers = tuple(
            Layer(
                probability=_sigmoid(masks[k]),
                label=self._name(k, voices),
                score=float(score[k]),
            )
            for k in chosen
        )
        best = int(order[0])
        if layers:
            probability = np.maximum.reduce([layer.probability for layer in layers])
        else:
            # Nothing is accepted: the best candidate, as faint as its score.
            probability = _sigmoid(masks[best]) * np.float32(score[best])
        audio = int(rests_on.argmax())
        return Prediction(
            probability=np.asarray(probability, np.float32),
            sounding=float(score[best]),
            label=self._name(best, voices) if layers else "",
            label_index=self._family_row[best] if layers else -1,
            audio_label=self._audioset[audio],
            audio_score=float(1 / (1 + np.exp(-rests_on[audio]))),
            layers=layers,
            ms=ms,
        )

    def _name(self, family: int, voices: Float) -> str:
        """The family's name, or that of a voice of it which is clearly louder."""
        return self._heard_families.name(family, self._families, self._voices, voices)

    def _thresholds(self, calibration: Mapping[str, Any], given: float | None) -> Float:
        """For each family: what is given, else the file's own, else the file's for all."""
        common = calibration.get("threshold", 0.5) if given is None else given
        own = calibration.get("thresholds", {}) if given is None else {}
        return np.array([own.get(name, common) for name in self._families], np.float32)

    def _check(self, window: Float) -> None:
        if window.shape != (RATE,) or not np.isfinite(window).all():
            raise AudioFormatError(
                f"the window must be {RATE} finite samples, got {list(window.shape)}"
            )


def create(
    name: str,
    engine: str = "auto",
    device: str = "auto",
    *,
    checkpoint: str | Path = BUNDLED,
    **options: Any,
) -> LightSegmenter:
    """A :class:`LightSegmenter` under ``name``; ``options`` are its own."""
    return LightSegmenter(checkpoint, device, engine=engine, name=name, **options)


def program(name: str, *, checkpoint: str | Path = BUNDLED) -> StepProgram:
    """The visual step of a light checkpoint."""
    from avs_ros.inference.light_steps import light_program
    from avs_ros.models.light.checkpoint import load_light
    from avs_ros.models.light.step import LightStep

    model = load_light(checkpoint)
    model.network.requires_grad_(False)
    return light_program(LightStep(model.network), name, len(model.families))


def _scaled(probability: Float, needed: Float) -> Float:
    """Probabilities ``[K]`` so that the threshold in force (``needed`` ``[K]``) reads 0.5."""
    below = 0.5 * probability / needed
    above = 0.5 + 0.5 * (probability - needed) / np.maximum(1 - needed, 1e-6)
    return np.asarray(np.where(probability < needed, below, above), np.float32)


def _lowered(probability: Float, by: float) -> Float:
    """Probabilities whose log-odds are ``by`` less; what nothing reaches stays out of reach."""
    less = probability * np.exp(-by)
    lower = less / np.maximum(1.0 - probability + less, 1e-6)
    return np.asarray(np.where(probability < 1, lower, probability), np.float32)


def _sigmoid(x: Float) -> Float:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -60.0, 60.0))), np.float32)
