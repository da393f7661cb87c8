"""AVSC behind the segmenter protocol: what could sound, and which of it does, each once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    needed = np.broadcast_to(np.asarray(threshold, np.float32), heard.shape)[category]
    order = np.argsort(-score, kind="stable")
    order = order[(score[order] >= needed[order]) & (score[order] > 0)]
    if not len(order):
        return []
    masks = sigmoid(mask_logits)
    shapes = masks > 0.5
    areas = np.count_nonzero(shapes, axis=(1, 2))

    def same(i: int, known: int) -> bool:
        both = float(np.count_nonzero(shapes[i] & shapes[known]))
        if both > SAME_THING * (areas[i] + areas[known] - both):
            return True
        return bool(category[i] == category[known] and both > PART_OF * areas[i])

    kept: list[int] = []
    for i in order:
        if areas[i] and not any(same(i, known) for known in kept):
            kept.append(int(i))
    outlines = _apart(_with_second_opinions(masks[kept], category[kept], likely, masks))
    return [
        SoundingInstance(int(category[i]), float(score[i]), outline)
        for i, outline in zip(kept, outlines, strict=True)
    ]


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


def _with_second_opinions(
    outlines: Float, category: np.ndarray, likely: Float, masks: Float
) -> Float:
    """Outlines ``[n, h, w]`` in which all queries have a say, as they have in training.

    Training lights up a category by all its queries together (``avsc.attend``), so an
    outline is the mean of its own query's and of theirs, in the cells that are nearest to it.
    """
    shared = outlines.copy()
    for k in set(category):
        own = np.flatnonzero(category == k)
        together = 1.0 - np.prod(1.0 - likely[:, k, None, None] * masks, axis=0)
        nearest = outlines[own].argmax(axis=0)
        for number, i in enumerate(own):
            mean = np.asarray(0.5 * (outlines[i] + together), np.float32)
            shared[i] = np.where(nearest == number, mean, outlines[i])
    return shared


def _apart(outlines: Float) -> Float:
    """The same ``[n, h, w]``, no cell marked (above one half) by two of them."""
    shapes = outlines > 0.5
    apart, taken = outlines.copy(), np.zeros(outlines.shape[1:], bool)
    for i in np.argsort(np.count_nonzero(shapes, axis=(1, 2)), kind="stable"):
        apart[i] = np.where(taken, np.minimum(outlines[i], np.float32(BEHIND)), outlines[i])
        taken |= shapes[i]
    return apart


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
    name: str, engine: str = "auto", device: str = "auto", **options: Any
) -> AVSCSegmenter:
    """An :class:`AVSCSegmenter` under ``name``; ``options`` and errors: see :func:`program`."""
    path = options.get("checkpoint")
    identity = None if path is None else identity_of("avsc", files=(Path(path),))
    if options.get("random_weights"):
        identity = None
    runners = open_runners(
        name, identity, lambda: _bundle(name, **options), engine, choose_device(device)
    )
    return AVSCSegmenter(name, runners)


def program(name: str, **options: Any) -> StepProgram:
    """The model's visual step.

    ``checkpoint``: an AVSC file; it decides everything.  ``configuration``: without one, which
    ready form (``avsc_pvt`` unless given).  ``random_weights``: for measuring speed, untrained.
    Raises ModelError where weights are missing, CheckpointError where they do not fit.
    """
    return _bundle(name, **options).program()


def _bundle(
    name: str,
    *,
    checkpoint: str | Path | None = None,
    configuration: str = FULL,
    random_weights: bool = False,
) -> Bundle:
    """Of a file; with random weights of a ready form, always the same."""
    import torch

    from avs_ros.inference.model_steps import avsc_bundle
    from avs_ros.models import avsc
    from avs_ros.models.labels import audioset

    if random_weights:
        # The caller's random state stays as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = avsc.AVSC(avsc.configuration(configuration)).eval()
        return avsc_bundle(network, name, {"audioset": list(audioset().names)})
    if checkpoint is None:
        raise ModelError(
            f"{name} needs weights: train it (`avs train avsc`) and give the path of the "
            "checkpoint as the model"
        )
    network, metadata = avsc.load_avsc(checkpoint)
    return avsc_bundle(network, name, metadata)
