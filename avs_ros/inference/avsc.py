"""AVSC behind the segmenter protocol: what could sound, and which of it does, each once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avs_ros.errors import ModelError
from avs_ros.inference.bundle import Bundle, ModelRunners, identity_of, open_runners
from avs_ros.inference.class_affinity import ClassAffinity
from avs_ros.inference.engines import choose_device
from avs_ros.inference.gated_segmenter import GatedSegmenter, stretched_frames
from avs_ros.segmentation import Bytes, Float, Layer, Prediction, sigmoid

if TYPE_CHECKING:
    from avs_ros.inference.engines.program import StepProgram

# Two masks that overlap so far (IoU) are of one thing, whatever they are called.
SAME_THING = 0.5
# A mask that lies so far within another of its category is a part of that thing.
PART_OF = 0.7
# Most that a cell keeps of a thing in front of which another stands.
BEHIND = 0.49


@dataclass(frozen=True)
class SoundingInstance:
    """One potential sounding object.

    ``category``: 0..K-1.  ``score``: probability of its category times that of its sound, 0..1.
    ``probability``: of its cells, ``[h, w]``.
    """

    category: int
    score: float
    probability: Float


def sounding_instances(
    class_logits: Float, mask_logits: Float, heard: Float, threshold: float | Float
) -> list[SoundingInstance]:
    """Instances whose score is at least ``threshold`` (one, or ``[K]``), strongest first.

    ``class_logits`` ``[N, K + 1]``, ``mask_logits`` ``[N, h, w]``, ``heard`` ``[K]`` in 0..1.
    Queries that say "no object" have no part in it.  Several instances of one category are kept;
    of queries that mean the same thing only the strongest is.  Cells that several instances mark
    belong to the smallest: the guitar in front of its player, one singer of a choir.
    """
    category, score, likely = _judge(class_logits, heard)
    order = np.argsort(-score, kind="stable")
    needed = np.broadcast_to(np.asarray(threshold, np.float32), heard.shape)[category]
    chosen = [int(i) for i in order if score[i] >= needed[i] and score[i] > 0]
    kept: list[SoundingInstance] = []
    shapes: list[np.ndarray] = []
    for i in chosen:
        probability = sigmoid(mask_logits[i])
        shape = probability > 0.5
        if not shape.any():
            continue
        found = SoundingInstance(int(category[i]), float(score[i]), probability)
        pairs = zip(kept, shapes, strict=True)
        if not any(_means_the_same(found, shape, other, its) for other, its in pairs):
            kept.append(found)
            shapes.append(shape)
    if kept:
        kept = _second_opinions(kept, likely, sigmoid(mask_logits))
    return _apart(kept)


def strongest_candidate(
    class_logits: Float, mask_logits: Float, heard: Float
) -> SoundingInstance | None:
    """The query most likely to sound, however unlikely it is; None if no query is an object."""
    category, score, _ = _judge(class_logits, heard)
    best = int(score.argmax())
    if score[best] <= 0:
        return None
    return SoundingInstance(int(category[best]), float(score[best]), sigmoid(mask_logits[best]))


def _judge(class_logits: Float, heard: Float) -> tuple[np.ndarray, Float, Float]:
    """Each query's category, its score (0 where it is no object) and all its probabilities."""
    likely = np.exp(class_logits - class_logits.max(axis=1, keepdims=True))
    likely = likely / likely.sum(axis=1, keepdims=True)
    winner = likely.argmax(axis=1)
    is_object = winner < len(heard)
    category = np.where(is_object, winner, 0)
    score = likely[np.arange(len(likely)), winner] * heard[category] * is_object
    return category, np.asarray(score, np.float32), np.asarray(likely, np.float32)


def _second_opinions(
    kept: list[SoundingInstance], likely: Float, masks: Float
) -> list[SoundingInstance]:
    """Instances whose outlines all queries have a say in, as they have in training.

    Training lights up a category by all its queries together (``avsc.attend``), so an
    outline is the mean of its own query's and of theirs, in the cells that are nearest to it.
    """
    shared = list(kept)
    for category in {one.category for one in kept}:
        own = [i for i, one in enumerate(kept) if one.category == category]
        together = 1.0 - np.prod(1.0 - likely[:, category, None, None] * masks, axis=0)
        nearest = np.stack([kept[i].probability for i in own]).argmax(axis=0)
        for number, i in enumerate(own):
            mine = kept[i].probability
            mean = np.asarray(0.5 * (mine + together), np.float32)
            shared[i] = replace(kept[i], probability=np.where(nearest == number, mean, mine))
    return shared


def _apart(kept: list[SoundingInstance]) -> list[SoundingInstance]:
    """The same instances, no cell marked (above one half) by two of them."""
    shapes = [one.probability > 0.5 for one in kept]
    areas = [np.count_nonzero(shape) for shape in shapes]
    taken = np.zeros_like(shapes[0]) if shapes else np.zeros(0, bool)
    apart = list(kept)
    for i in sorted(range(len(kept)), key=areas.__getitem__):
        mine = kept[i].probability
        probability = np.where(taken, np.minimum(mine, np.float32(BEHIND)), mine)
        apart[i] = replace(kept[i], probability=probability)
        taken = taken | shapes[i]
    return apart


def _means_the_same(
    found: SoundingInstance, shape: np.ndarray, other: SoundingInstance, its: np.ndarray
) -> bool:
    both = float(np.count_nonzero(shape & its))
    area, other_area = float(np.count_nonzero(shape)), float(np.count_nonzero(its))
    if both > SAME_THING * (area + other_area - both):
        return True
    return found.category == other.category and both > PART_OF * area


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
