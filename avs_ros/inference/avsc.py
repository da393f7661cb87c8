"""AVSC behind the segmenter protocol: what could sound, and which of it does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avs_ros.errors import ModelError
from avs_ros.inference.bundle import Bundle, ModelRunners, identity_of, open_runners
from avs_ros.inference.class_affinity import ClassAffinity
from avs_ros.inference.engines import choose_device
from avs_ros.inference.gated_segmenter import GatedSegmenter, stretched_frames
from avs_ros.inference.sounding_instances import (
    SoundingInstance,
    sounding_instances,
    strongest_candidate,
)
from avs_ros.segmentation import Bytes, Float, Layer, Prediction, sigmoid

if TYPE_CHECKING:
    from avs_ros.inference.engines.program import StepProgram

FULL = "avsc_pvt"
# An instance's score from which it counts as sounding, where a file does not say.
UNCALIBRATED = 0.3


class AVSCSegmenter(GatedSegmenter):
    """AVSC for one stream: the segmenter at the frames' rate, the audio network at its own.

    ``runners``: its steps, opened with the metadata of ``avsc_bundle``.  Raises ModelError where
    the weight file's threshold is none.
    """

    def __init__(self, name: str, runners: ModelRunners) -> None:
        metadata = runners.metadata
        known = float(metadata["calibration"].get("score", UNCALIBRATED))
        if not 0 < known < 1:
            raise ModelError(
                f"{name}: the weight file's threshold is {known}; it must lie between 0 and 1"
            )
        affinity = ClassAffinity(metadata["affinity"], metadata["sound_classes"])
        super().__init__(
            name,
            runners,
            affinity,
            lambda scores, residual: np.asarray(affinity(scores) + residual[0], np.float32),
            calibrated=np.full(len(metadata["categories"]), known),
            remembered=8,
        )
        self._frames = stretched_frames(metadata)

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """See :class:`Segmenter`.

        ``score``: the best instance's score, scaled so that the threshold reads 0.5.
        ``layers``: one per instance that sounds, several of one label among them.  ``ms``:
        "audio", "visual", "joining".
        """
        heard, ms = self._listen(stamp_ns, window)
        outputs = self._runner(self._frames(frame))
        ms.end("visual")
        classes, masks = (np.asarray(one[0], np.float32) for one in outputs)
        known = sigmoid(heard.evidence)
        if self._policy.silent or self._policy.ended:
            known = np.zeros_like(known)
        found = sounding_instances(classes, masks, known, self._policy.required())

        def score(one: SoundingInstance) -> float:
            return float(self._policy.scaled(np.full(len(known), one.score))[one.category])

        layers = tuple(
            Layer(one.probability, self._name(one.category, heard), score(one)) for one in found
        )
        self._policy.remember(np.isin(np.arange(len(known)), [one.category for one in found]))
        sounding = max((layer.score for layer in layers), default=0.0)
        candidate = None if layers else strongest_candidate(classes, masks, known)
        faint = np.zeros(masks.shape[1:], np.float32)
        if candidate is not None:
            sounding = score(candidate)
            faint = candidate.probability * np.float32(sounding)
        row = found[0].category if found else -1
        answer = self._answer(layers, lambda: faint, sounding, row, heard, ms)
        ms.end("joining")
        return answer


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
    identity = None if path is None else identity_of("avsc", files=(path,))
    runners = open_runners(
        name, identity, lambda: _bundle(name, path, configuration), engine, choose_device(device)
    )
    return AVSCSegmenter(name, runners)


def program(
    name: str,
    *,
    checkpoint: str | Path | None = None,
    configuration: str = FULL,
    random_weights: bool = False,
) -> StepProgram:
    """The model's visual step; arguments and errors as for :func:`create`."""
    path = None if random_weights else _weights(name, checkpoint)
    return _bundle(name, path, configuration).program()


def _weights(name: str, checkpoint: str | Path | None) -> Path:
    if checkpoint is not None:
        return Path(checkpoint)
    raise ModelError(
        f"{name} needs weights: train it (`avs train avsc`) and give the path of the checkpoint "
        "as the model"
    )


def _bundle(name: str, path: Path | None, configuration: str) -> Bundle:
    """Of a file; without one of a ready form with random weights, always the same."""
    import torch

    from avs_ros.inference.model_steps import avsc_bundle
    from avs_ros.models import avsc
    from avs_ros.models.labels import audioset

    if path is not None:
        loaded = avsc.load_avsc(path)
        return avsc_bundle(loaded.network, name, loaded.metadata)
    # The caller's random state stays as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = avsc.AVSC(avsc.configuration(configuration)).eval()
    return avsc_bundle(network, name, {"audioset": list(audioset().names)})
