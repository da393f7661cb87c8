"""What the segmenters have in common: a bundle's steps, hearing, the gate, and their answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from avs_ros.gate import CATEGORY_OPTIONS, GateConfig
from avs_ros.inference.bundle import Bundle, ModelRunners, identity_of, open_runners
from avs_ros.inference.cached_audio_encoder import (
    CachedAudioEncoder,
    Heard,
    StreamHearing,
    check_window,
)
from avs_ros.inference.category_gate import Bools, CategoryGate
from avs_ros.inference.engines import choose_device
from avs_ros.inference.explaining import (
    BESIDE_INPUTS,
    INPUTS,
    Background,
    ExplainingGate,
    Sight,
    SoundEvidence,
    companion_inputs,
    gate_inputs,
)
from avs_ros.inference.frames import FramePreparation
from avs_ros.inference.loudness import Loudest
from avs_ros.inference.movement import Movement
from avs_ros.inference.recently_seen import RecentlySeen
from avs_ros.models.stream_memory import StreamMemory
from avs_ros.segmentation import Float, Layer, Prediction, sigmoid
from avs_ros.sound import SAMPLE_RATE

BUNDLED = Path(__file__).resolve().parents[1] / "data" / "c3n_light.safetensors"


class StageTimes:
    """``taken``: stage -> milliseconds, in the order in which the stages end."""

    def __init__(self) -> None:
        self.taken: dict[str, float] = {}
        self._began = time.perf_counter()

    def end(self, stage: str) -> None:
        """The time since the last stage's end, or the start, was ``stage``."""
        now = time.perf_counter()
        self.taken[stage] = (now - self._began) * 1e3
        self._began = now


class BundleSegmenter:
    """A bundle's steps for one stream; see :class:`Segmenter` for the attributes.

    ``remembered``: how many windows' sounds are kept.
    """

    sample_rate = SAMPLE_RATE
    window_s = 1.0

    def __init__(self, name: str, runners: ModelRunners, remembered: int = 8) -> None:
        self.name = name
        self._runners, self._runner = runners, runners.visual
        self.engine, self.device = self._runner.engine, self._runner.device
        self._audio_encoder = CachedAudioEncoder(runners.audio, remembered)
        # Of a model without a memory nothing is ever kept.
        metadata = runners.metadata
        self._memory = StreamMemory(
            tuple(metadata.get("state", ())), metadata.get("frames_per_clip", 1)
        )

    def reset(self) -> None:
        """See :class:`Segmenter`."""
        self._memory.reset()
        self._audio_encoder.reset()

    def close(self) -> None:
        """See :class:`Segmenter`."""
        self.reset()
        self._runners.close()


def stretched_frames(
    metadata: Mapping[str, Any], interpolation: int = cv2.INTER_AREA
) -> FramePreparation:
    """How a bundle wants its square frames."""
    return FramePreparation(
        metadata["image_size"], metadata["image_mean"], metadata["image_std"], interpolation
    )


class SoundClasses(Protocol):
    """AudioSet logits ``[527]`` -> evidence of the categories, and the name of what is heard."""

    def __call__(self, logits: Float) -> Float:
        """Evidence, a logit for each category first."""
        ...

    def name(self, category: int, categories: Sequence[str], logits: Float) -> str:
        """The category's name, or that of a sound class of it that is clearly louder."""
        ...


class GatedSegmenter(BundleSegmenter):
    """One that decides which of its categories sound.

    ``gate`` may be replaced at any time (see :func:`avs_ros.gate.apply_gate`); scores are scaled
    so that the weight file's thresholds read 0.5.  ``sound_classes``: what the sound says of the
    categories; ``evidence``: in its place where the audio network's feature has a say, too.
    ``calibrated``: thresholds ``[K]`` in place of the file's.
    """

    gate_options = CATEGORY_OPTIONS

    def __init__(
        self,
        name: str,
        runners: ModelRunners,
        sound_classes: SoundClasses,
        evidence: Callable[[Float, Float], Float] | None = None,
        *,
        calibrated: Float | None = None,
        remembered: int = 0,
    ) -> None:
        super().__init__(name, runners, remembered)
        metadata = runners.metadata
        self.metadata: Mapping[str, Any] = metadata["metadata"]
        self.calibration: Mapping[str, Any] = metadata["calibration"]
        self._names: Sequence[str] = metadata["categories"]
        self.labels = self.categories = self._names
        self._audioset: Sequence[str] = metadata["audioset"]
        self._sound_classes = sound_classes
        self._policy = CategoryGate(self._names, self.calibration, calibrated)
        self._heard = StreamHearing(
            self._audio_encoder,
            evidence or (lambda logits, _: sound_classes(logits)),
            metadata.get("heard_seconds", 1),
        )

    @property
    def gate(self) -> GateConfig:
        """What counts as sounding."""
        return self._policy.config

    @gate.setter
    def gate(self, config: GateConfig) -> None:
        self._policy.config = config

    @property
    def audio_runs(self) -> int:
        """See :class:`Segmenter`."""
        return self._audio_encoder.runs

    def reset(self) -> None:
        """See :class:`Segmenter`."""
        super().reset()
        self._heard.reset()
        self._policy.reset()

    def _listen(self, stamp_ns: int, window: Float) -> tuple[Heard, StageTimes]:
        """What is heard in the window that ends at ``stamp_ns``; times with "audio"."""
        check_window(window)
        ms = StageTimes()
        heard = self._heard(stamp_ns, window, self._policy.listen(stamp_ns, window))
        ms.end("audio")
        return heard, ms

    def _name(self, category: int, heard: Heard) -> str:
        return self._sound_classes.name(category, self._names, heard.name_logits)

    def _answer(
        self,
        layers: tuple[Layer, ...],
        faint: Callable[[], Float],
        score: float,
        row: int,
        heard: Heard,
        ms: StageTimes,
    ) -> Prediction:
        """``faint``: the map of the best candidate, as faint as its score, where nothing is
        accepted; ``row``: of the first layer's label; ``ms``: stages that end later count, too.
        """
        shown = np.maximum.reduce([one.probability for one in layers]) if layers else faint()
        audio = int(heard.name_logits.argmax())
        return Prediction(
            probability=np.asarray(shown, np.float32),
            score=score,
            label=layers[0].label if layers else "",
            label_index=row if layers else -1,
            audio_label=self._audioset[audio],
            audio_score=float(sigmoid(heard.name_logits[audio])),
            layers=layers,
            gated=True,
            ms=ms.taken,
        )


class ExplainingSegmenter(GatedSegmenter):
    """What the models of a light file with a detector have in common, for one stream.

    ``markable`` ``[K]``: which of the categories may sound (None: all); the others are heard and
    never marked.  ``background``: what evidence is weighed against.
    """

    gate_options = CATEGORY_OPTIONS | {"companion_threshold", "moving_share"}

    def __init__(self, name: str, runners: ModelRunners, markable: Bools | None = None) -> None:
        metadata = runners.metadata
        self.background = Background(metadata["background"])
        self.evidence = SoundEvidence(metadata["evidence"], self.background.audioset)
        levels = self.evidence.levels
        super().__init__(name, runners, self.evidence, lambda logits, _: levels(logits))
        self._markable = markable
        self.explain = ExplainingGate(metadata["gate"])
        self._loudest = Loudest()
        self._movement = Movement()
        self._lately = RecentlySeen()
        self._outputs: Sequence[str] = metadata["outputs"]
        # What the gate weighed in the last step, ``[K, F]``.
        self.inputs = np.zeros((len(self._names), INPUTS), np.float32)

    def reset(self) -> None:
        """See :class:`Segmenter`."""
        super().reset()
        self._loudest.reset()
        self._movement.reset()
        self._lately.reset()

    def _run(self, *inputs: Float) -> dict[str, Float]:
        """The visual step's outputs by name."""
        return {
            name: np.asarray(value, np.float32)
            for name, value in zip(self._outputs, self._runner(*inputs), strict=True)
        }

    def _sounding(self, layers: Iterable[Layer]) -> tuple[Layer, ...]:
        """Without those that keep still while others of their name move."""
        return self._movement.kept(tuple(layers), self.gate.moving_share)

    def _judge(
        self, sight: Sight, heard: Heard, stamp_ns: int, window: Float, gone: Bools | None = None
    ) -> tuple[Float, Bools]:
        """What is seen, and what the same window gave -> scaled scores ``[K]`` (0.5: accepted),
        and which of the categories sound.  ``gone`` ``[K]``: no longer there to be marked.
        """
        self.inputs = gate_inputs(
            self.evidence(heard.logits),
            self.evidence(heard.context_logits),
            sight,
            self._loudest.drop_db(stamp_ns, window),
            self.background,
        )
        policy = self._policy
        logits = self.explain(self.inputs)
        gate = policy.pooled(self._markable_of(logits, gone))
        best = np.arange(len(gate)) == gate.argmax()
        first = best & (gate >= policy.required())
        sounds, score = first, np.where(best, policy.scaled(gate), 0.0)
        if first.any():
            companion = self.explain.companion
            if companion is not None:
                own = self.inputs[:, : companion.inputs - BESIDE_INPUTS]
                inputs = companion_inputs(own, logits, int(gate.argmax()), self.background)
                likely = policy.pooled(self._markable_of(companion(inputs), gone))
                # What would be accepted by itself is so beside another, too.
                gate = np.maximum(likely, policy.beside(gate))
            others = policy.without_confusable(gate, best)
            sounds = first | (others >= policy.required_beside())
            score = np.maximum(score, policy.scaled_beside(others))
        policy.remember(sounds)
        return np.asarray(score, np.float32), sounds

    def _markable_of(self, logits: Float, gone: Bools | None) -> Float:
        """Probabilities ``[K]``; 0 for what is never marked, and for what is ``gone``."""
        probability = sigmoid(logits)
        if self._markable is not None:
            probability = np.where(self._markable, probability, np.float32(0))
        return probability if gone is None else np.where(gone, np.float32(0), probability)


def open_light(
    kind: str, checkpoint: str | Path, name: str, engine: str, device: str
) -> ModelRunners:
    """A light file's steps: ``kind`` "light", "detecting" or "instance" (``model_steps``)."""

    def make() -> Bundle:
        from avs_ros.inference import model_steps

        bundle: Bundle = getattr(model_steps, f"{kind}_bundle")(checkpoint, name)
        return bundle

    identity = identity_of(kind, files=(Path(checkpoint),))
    return open_runners(name, identity, make, engine, choose_device(device))
