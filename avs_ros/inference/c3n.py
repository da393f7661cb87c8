"""C3N as published, behind the segmenter protocol: any backbone, audio network and engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from avs_ros.gate import POSTPROCESSED, GateConfig
from avs_ros.inference.bundle import Bundle, ModelRunners, open_runners
from avs_ros.inference.cached_audio_encoder import CachedAudioEncoder
from avs_ros.inference.engines import choose_device
from avs_ros.inference.frames import FramePreparation
from avs_ros.models.labels import audioset
from avs_ros.models.stream_memory import StreamMemory
from avs_ros.segmentation import Bytes, Float, Prediction, sigmoid
from avs_ros.sound import SAMPLE_RATE

if TYPE_CHECKING:
    from avs_ros.models.audio.network import AudioNetwork
    from avs_ros.models.c3n import C3N

# (stamp in ns, AudioSet logits [527] of this second) -> logits [527] the label may rest on
AudioContext = Callable[[int, Float], Float]
# Share of the image whose mean probability says whether anything sounds.
_STRONGEST = 0.01


class C3NSegmenter:
    """A C3N for one stream, one new frame at a time (see ``models/c3n/streaming``).

    ``labels``: a name per row of the network's similarity.  ``audio_context``: lets the label
    rest on more than this second's scores; the mask's audio feature stays this second's.
    ``interpolation``: how images are resized (OpenCV's).  ``gate``: only its ``audio_period``
    is the model's own affair; the rest is post-processing's.  May be replaced at any time.
    Raises EngineError for an engine or device that cannot serve.
    """

    sample_rate = SAMPLE_RATE
    window_s = 1.0
    gate_options = POSTPROCESSED | {"audio_period"}

    def __init__(
        self,
        network: C3N,
        audio_encoder: AudioNetwork,
        labels: Sequence[str],
        *,
        name: str = "c3n",
        engine: str = "auto",
        device: str = "auto",
        frames_per_clip: int = 5,
        audio_context: AudioContext | None = None,
        interpolation: int = cv2.INTER_LINEAR,
    ) -> None:
        def make() -> Bundle:
            from avs_ros.inference.c3n_steps import c3n_bundle

            return c3n_bundle(network, audio_encoder, labels, name, frames_per_clip)

        runners = open_runners(name, None, make, engine, choose_device(device))
        self._serve(name, runners, audio_context, interpolation)

    @classmethod
    def of(
        cls,
        name: str,
        runners: ModelRunners,
        audio_context: AudioContext | None = None,
        interpolation: int = cv2.INTER_LINEAR,
    ) -> C3NSegmenter:
        """From steps that run already, opened with the metadata of ``c3n_bundle``."""
        made = cls.__new__(cls)
        made._serve(name, runners, audio_context, interpolation)
        return made

    def _serve(
        self,
        name: str,
        runners: ModelRunners,
        audio_context: AudioContext | None,
        interpolation: int,
    ) -> None:
        metadata = runners.metadata
        self.name = name
        self.labels: tuple[str, ...] = tuple(metadata["labels"])
        # Files read beside the checkpoint: {name: SHA-256}.
        self.weights: dict[str, str] = metadata.get("weights", {})
        self._runners, self._runner = runners, runners.visual
        self.engine, self.device = self._runner.engine, self._runner.device
        self._frames = FramePreparation(
            metadata["image_size"], metadata["image_mean"], metadata["image_std"], interpolation
        )
        self._audio_encoder = CachedAudioEncoder(runners.audio)
        self.gate = GateConfig()
        self._context = audio_context
        self._memory = StreamMemory(tuple(metadata["state"]), metadata["frames_per_clip"])
        self._audio_names = audioset().names

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """See :class:`Segmenter`.

        ``score``: mean probability of the most likely hundredth of the image; C3N has no
        output of its own for it.  ``ms``: "prepare", "audio", "network", "finish".
        """
        times = [time.perf_counter()]
        pixels = self._frames(frame)
        times.append(time.perf_counter())
        period_s = self.gate.settled({}).audio_period or 0.0
        (feature, scores), _ = self._audio_encoder.at(stamp_ns, window, period_s)
        context_logits = (
            scores if self._context is None else self._context(stamp_ns, scores[0])[None]
        )
        times.append(time.perf_counter())
        past, shares = self._memory.recall(stamp_ns)
        logits, label, _, state = self._runner(pixels, feature, context_logits, past, shares)
        times.append(time.perf_counter())
        self._memory.remember(stamp_ns, np.asarray(state, np.float32))
        probability = sigmoid(np.asarray(logits, np.float32)[0, 0])
        row, heard = int(label[0]), int(context_logits[0].argmax())
        sounding = _strongest(probability)
        times.append(time.perf_counter())
        stages = ("prepare", "audio", "network", "finish")
        return Prediction(
            probability=probability,
            score=sounding,
            label=self.labels[row],
            label_index=row,
            audio_label=self._audio_names[heard],
            audio_score=float(sigmoid(context_logits[0, heard])),
            ms={
                stage: (after - before) * 1e3
                for stage, before, after in zip(stages, times, times[1:], strict=False)
            },
        )

    def reset(self) -> None:
        """See :class:`Segmenter`."""
        self._memory.reset()
        self._audio_encoder.reset()

    def close(self) -> None:
        """See :class:`Segmenter`."""
        self.reset()
        self._runners.close()


def _strongest(probability: Float) -> float:
    count = max(1, round(_STRONGEST * probability.size))
    return float(np.partition(probability.ravel(), -count)[-count:].mean())
