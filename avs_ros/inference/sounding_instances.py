"""Queries and what is heard -> the instances that sound, each once (NumPy only)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from avs_ros.segmentation import Float, sigmoid

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

    Training lights up a category by all its queries together (``association.attend``), so an
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
