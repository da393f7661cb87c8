"""``consensus_cam``: what two classifiers and a label similarity can do without any training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avs_ros.errors import ModelError
from avs_ros.gate import GateConfig
from avs_ros.inference.bundle import Bundle, ModelRunners, open_runners
from avs_ros.inference.cached_audio_encoder import check_window
from avs_ros.inference.engines import choose_device
from avs_ros.inference.engines.program import StepProgram
from avs_ros.inference.gated_segmenter import (
    BUNDLED,
    BundleSegmenter,
    StageTimes,
    stretched_frames,
)
from avs_ros.inference.model_steps import audio_program, sees
from avs_ros.models.audio import build
from avs_ros.models.audio.network import AudioNetwork
from avs_ros.models.c3n.backbone import MobileNetV2
from avs_ros.models.c3n.c3im import CognitiveConsensusInference
from avs_ros.models.label_similarity import load_similarity
from avs_ros.models.labels import audioset, imagenet
from avs_ros.models.light.checkpoint import load_light
from avs_ros.models.light.consensus_cam import CamOutput, ConsensusCam
from avs_ros.models.weight_file import load_state_dict_strictly, read_weight_file
from avs_ros.segmentation import Bytes, Float, Prediction, sigmoid
from avs_ros.sound import level_dbfs

VISUAL, AUDIO = "mobilenetv2_100", "efficientat_mn04"
# Between the best for public classifiers (0.3) and for trained ones (0.5), on 300 pairs of
# training photographs and sounds; so is the sharpness, which matters little.
LEVEL, SHARPNESS = 0.4, 10.0


class ConsensusCamSegmenter(BundleSegmenter):
    """The consensus class's activation map, for one stream; no memory, no refusal but silence.

    ``level``: share of the map's maximum from which a pixel is marked.  ``gate``: it has no score
    to set a threshold to, so only the level of silence and the audio network's period count; may
    be replaced at any time.
    """

    gate_options = frozenset({"silence_dbfs", "audio_period"})

    def __init__(
        self, name: str, runners: ModelRunners, labels: Sequence[str], level: float
    ) -> None:
        super().__init__(name, runners)
        self.labels, self._level = tuple(labels), level
        self._frames = stretched_frames(runners.metadata, cv2.INTER_LINEAR)
        self.gate = GateConfig()

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """See :class:`Segmenter`.

        ``score``: 1 where the window holds any sound, 0 in silence: two classifiers alone
        cannot say more.  ``ms``: "audio", "visual".
        """
        check_window(window)
        gate = self.gate.settled({})
        ms = StageTimes()
        (_, logits), _ = self._audio_encoder.at(stamp_ns, window, gate.audio_period or 0.0)
        ms.end("audio")
        cam, label = self._runner(self._frames(frame), logits)
        ms.end("visual")
        silent = level_dbfs(window) < gate.silence_dbfs
        score = 0.0 if silent else 1.0
        share = np.asarray(cam, np.float32)[0, 0]
        # The level reads 0.5, the maximum 1.
        probability = np.interp(share, (0.0, self._level, 1.0), (0.0, 0.5, 1.0))
        row, heard = int(label[0]), int(logits[0].argmax())
        return Prediction(
            probability=np.asarray(probability * score, np.float32),
            score=score,
            label="" if silent else self.labels[row],
            label_index=-1 if silent else row,
            audio_label=audioset().names[heard],
            audio_score=float(sigmoid(logits[0, heard])),
            ms=ms.taken,
        )


@dataclass(frozen=True)
class Options:
    """What the model is made of.

    ``visual_weights``: MobileNetV2's public ImageNet file (timm's names, SAME padding);
    ``audio_weights``: EfficientAT mn04's.  Where one is not given, that classifier is the one in
    ``checkpoint``, a light C3N file, which is trained.  ``sharpness``: see :class:`ConsensusCam`;
    ``level``: see :class:`ConsensusCamSegmenter`.
    """

    checkpoint: str | Path = BUNDLED
    visual_weights: str | Path | None = None
    audio_weights: str | Path | None = None
    sharpness: float = SHARPNESS
    level: float = LEVEL

    def parts(self) -> tuple[ConsensusCam, AudioNetwork, Sequence[str]]:
        """Visual step, audio network and labels; CheckpointError for a file that does not fit."""
        light = load_light(self.checkpoint)
        audio_encoder: AudioNetwork = light.network.audio_encoder
        if self.audio_weights is not None:
            audio_encoder = build(AUDIO, self.audio_weights)
        if self.visual_weights is None:
            trunk = light.network.c3n
            module = ConsensusCam(trunk.backbone, trunk.c3im, trunk.image_size, self.sharpness)  # type: ignore[arg-type]
            return module, audio_encoder, light.rows
        backbone = MobileNetV2(VISUAL, num_classes=1000)
        file = read_weight_file(self.visual_weights)
        load_state_dict_strictly(backbone.net, file.state_dict(), file.source)
        c3im = CognitiveConsensusInference(load_similarity())
        module = ConsensusCam(backbone, c3im, sharpness=self.sharpness)
        return module, audio_encoder, imagenet().short_names


def create(
    name: str, engine: str = "auto", device: str = "auto", **options: Any
) -> ConsensusCamSegmenter:
    """A :class:`ConsensusCamSegmenter`; ``options``: see :class:`Options`.

    Raises ModelError for a level outside 0..1, EngineError for an engine or device that cannot
    serve.
    """
    chosen = Options(**options)
    if not 0 < chosen.level < 1:
        raise ModelError(f"level is {chosen.level}; it must lie between 0 and 1")
    module, audio_encoder, labels = chosen.parts()
    bundle = Bundle(
        sees(module.backbone, module.image_size),
        cam_program(module, name),
        audio_program(audio_encoder, name),
    )
    runners = open_runners(name, None, lambda: bundle, engine, choose_device(device))
    return ConsensusCamSegmenter(name, runners, labels, chosen.level)


def program(name: str, **options: Any) -> StepProgram:
    """The model's visual step; arguments and errors as for :func:`create`."""
    return cam_program(Options(**options).parts()[0], name)


def cam_program(module: ConsensusCam, name: str) -> StepProgram:
    """The step for any engine: no past goes in, no state comes out."""
    size = module.image_size
    inputs = {"frame": (1, 3, size, size), "audio_logits": (1, 527)}
    return StepProgram(name, module, inputs, CamOutput._fields)
