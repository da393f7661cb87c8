"""The light model with a detector behind the segmenter protocol: candidates, then explanation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from avs_ros.inference.bundle import Bundle, identity_of, open_runners
from avs_ros.inference.cached_audio_encoder import Heard, check_window
from avs_ros.inference.candidates import CandidateReader, Candidates, raised
from avs_ros.inference.category_gate import Bools
from avs_ros.inference.engines import choose_device
from avs_ros.inference.explained_hearing import ExplainingSegmenter
from avs_ros.inference.explaining import visible
from avs_ros.inference.frames import FramePreparation, WholePreparation
from avs_ros.models.stream_memory import StreamMemory
from avs_ros.segmentation import Bytes, Float, Layer, Prediction, sigmoid


class DetectingSegmenter(ExplainingSegmenter):
    """A light model with a detector, for one stream; to a caller as :class:`LightSegmenter`."""

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
        super().__init__(name, runners)
        metadata = runners.metadata
        self.labels: Sequence[str] = metadata["categories"]
        self.categories = self.labels
        self._audio_classes = len(metadata["audioset"])
        self._read = CandidateReader(metadata["candidates"])
        self._feature_width = int(metadata["feature_width"])
        self._frames = FramePreparation(
            metadata["image_size"], metadata["image_mean"], metadata["image_std"], cv2.INTER_AREA
        )
        self._wholes = WholePreparation(
            metadata["whole_size"], metadata["image_mean"], metadata["image_std"]
        )
        self._memory = StreamMemory(tuple(metadata["state"]), metadata["frames_per_clip"])

    def reset(self) -> None:
        """See :class:`Segmenter`."""
        super().reset()
        self._memory.reset()

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """See :class:`Segmenter`; ``layers``: one per instance that sounds, or per category."""
        check_window(window)
        began = time.perf_counter()
        heard = self._hearing.listen(stamp_ns, window)
        listened = time.perf_counter()
        candidates, state = self._look(frame, heard.feature, heard.context_logits, stamp_ns)
        self._memory.remember(stamp_ns, state)
        score, sounds = self._hearing.explain(visible(candidates), heard, stamp_ns, window)
        ms = {
            "audio": (listened - began) * 1e3,
            "visual": (time.perf_counter() - listened) * 1e3,
        }
        return self._answer(score, sounds, candidates, heard, ms)

    @property
    def inputs(self) -> Float:
        """What the gate weighed in the last step, ``[K, F]``."""
        return self._hearing.inputs

    def audio_logits(self, window: Float) -> Float:
        """AudioSet logits ``[527]`` of one window, without touching the stream's state."""
        return np.asarray(self._hearing.audio_encoder(window)[1][0], np.float32)

    def evidence(self, logits: Float) -> Float:
        """AudioSet logits ``[527]`` -> ``[3 K]``, see :class:`SoundEvidence`."""
        return self._hearing.evidence(logits)

    def seen(self, frame: Bytes) -> Float:
        """Log-odds ``[K]`` that a frame shows each category; the stream's state stays."""
        feature = np.zeros((1, self._feature_width), np.float32)
        silence = np.zeros(self._audio_classes, np.float32)
        return visible(self._look(frame, feature, silence, 0)[0])

    def category_evidence(self, logits: Float) -> Float:
        """AudioSet logits ``[527]`` -> evidence ``[K]`` of each category (a logit)."""
        return self._hearing.evidence(logits)[: len(self.categories)]

    def _look(
        self, frame: Bytes, feature: Float, logits: Float, stamp_ns: int
    ) -> tuple[Candidates, Float]:
        """What a frame shows, and what later frames need of it."""
        past, shares = self._memory.recall(stamp_ns)
        whole, shown = self._wholes(frame)
        outputs = self._run(self._frames(frame), whole, feature, logits[None], past, shares)
        return self._read(outputs, shown), outputs["state"]

    def _answer(
        self,
        score: Float,
        sounds: Bools,
        candidates: Candidates,
        heard: Heard,
        ms: dict[str, float],
    ) -> Prediction:
        """Make the layers of the sounding object."""
        order = np.argsort(-score)
        chosen = [int(k) for k in order if sounds[k]]
        layers = tuple(
            Layer(
                probability=sigmoid(raised(mask)),
                label=self._hearing.name(k, heard),
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
            probability = sigmoid(candidates.mask(best)) * np.float32(score[best])
        audio_label, audio_score = self._hearing.loudest_class(heard)
        return Prediction(
            probability=np.asarray(probability, np.float32),
            score=float(score[best]),
            label=layers[0].label if layers else "",
            label_index=best if layers else -1,
            audio_label=audio_label,
            audio_score=audio_score,
            layers=layers,
            gated=True,
            ms=ms,
        )
