"""The light model with a detector behind the segmenter protocol: candidates, then explanation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avs_ros.inference.candidates import CandidateReader, Candidates
from avs_ros.inference.explaining import VISIBLE
from avs_ros.inference.frames import WholePreparation
from avs_ros.inference.gated_segmenter import (
    ExplainingSegmenter,
    open_light,
    stretched_frames,
)
from avs_ros.inference.instance_masks import raised
from avs_ros.inference.recent_sound import repeated
from avs_ros.segmentation import Bytes, Float, Layer, Prediction, sigmoid
from avs_ros.sound import SAMPLE_RATE

# What was visible within the last second and shows less than this (log-odds) has gone.
GONE = -4.5


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
        runners = open_light("detecting", checkpoint, name, engine, device)
        super().__init__(name, runners)
        metadata = runners.metadata
        self._read = CandidateReader(metadata["candidates"])
        self._frames = stretched_frames(metadata)
        self._heard_samples = metadata["heard_seconds"] * SAMPLE_RATE
        self._wholes = WholePreparation(
            metadata["whole_size"], metadata["image_mean"], metadata["image_std"]
        )

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """See :class:`Segmenter`; ``layers``: one per instance that sounds, or per category."""
        heard, ms = self._listen(stamp_ns, window)
        candidates = self.candidates(frame)
        self._movement.see(stamp_ns, frame)
        now = np.stack([candidates.score, candidates.peak])
        seen = self.background.sight(*self._lately(stamp_ns, now))
        shown = self.background.sight(*now).visible
        gone = (seen.visible > VISIBLE) & (shown < GONE)
        score, sounds = self._judge(seen, heard, stamp_ns, window, gone)
        ms.end("visual")
        order = np.argsort(-score)
        chosen = [int(k) for k in order if sounds[k]]
        layers = self._sounding(
            Layer(
                sigmoid(raised(mask)), self._name(k, heard), float(score[k]),
                evidence=candidates.evidence(k),
            )
            for k in chosen
            for mask in candidates.masks(k)
        )
        best = chosen[0] if chosen else int(order[0])
        return self._answer(
            layers, lambda: sigmoid(candidates.mask(best)) * np.float32(score[best]),
            float(score[best]), best, heard, ms,
        )  # fmt: skip

    def audio_logits(self, sound: Float) -> tuple[Float, Float]:
        """AudioSet logits ``[527]`` of a sound's last second and of its last three, float32
        ``[N]`` of a second or more, without touching the stream's state.
        """
        _, logits, longer = self._audio_encoder(repeated(sound, self._heard_samples))
        return logits[0], longer[0]

    def candidates(self, frame: Bytes) -> Candidates:
        """What a frame shows."""
        whole, part = self._wholes(frame)
        return self._read(self._run(self._frames(frame), whole), part)
