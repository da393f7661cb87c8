"""Which of the things that are seen explains what is heard, or whether something unseen does.

A sound is evidence at three levels of AudioSet's tree: of the category itself ("Violin"), of its
branch ("Bowed string instrument") and of its root ("Music").  A few weights, shared by all
categories, join that with what is seen of the category and of its rivals.  How much of a category
is seen and heard where it is not differs from one to the next: evidence is weighed against that,
too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from avs_ros.segmentation import Float

LEVELS = 3
# What is heard besides: the fourth row of the evidence.
ROWS = LEVELS + 1
# Numbers that the gate weighs for each category, and those that it weighs beside a first one.
INPUTS, BESIDE_INPUTS = 20, 5
COMPANION_INPUTS = INPUTS + BESIDE_INPUTS
# Of the former: what is heard of the category itself, and what is seen of it.
OWN, SEEN = 0, 4
UNHEARD = -9.0
# Log-odds of an instance, or of a cell, from which a category counts as visible.
VISIBLE, WELL_VISIBLE = -1.0, 1.0
LEAST_VISIBLE = 0.003
# A cell of the class head says less than an instance.
CELL_DOUBT = 1.5
# What a level says, less this, counts as evidence of the category itself.
_BRANCH, _ROOT = 1.0, 2.0
# A second that is this far below the loudest one is a pause.
LEAST_DROP_DB = -24.0
# Spreads above the mean of what is seen and heard elsewhere, at least and at most; what an
# instance whose log-odds are 0 counts for.
SEEN_SPREADS, HEARD_SPREADS, INSTANCE_SPREADS = (-2.0, 6.0), (-3.0, 8.0), 2.5
# No spread is taken to be less; a probability of 0 is this.
LEAST_SPREAD, LEAST_PEAK = 0.5, 1e-9
# A sound class of a category must be louder than its plain one to lend its name.
CLEARLY = 1.0


class SoundEvidence:
    """AudioSet logits -> log-odds of each category, its branch and its root; and what is heard
    besides.

    ``metadata``: ``sound_classes`` (their names), ``category`` (the category of each, its index),
    ``direct``, ``branch``, ``root`` (AudioSet classes of each), ``categories`` (how many) and
    ``ambient`` (AudioSet classes that no thing makes).  ``usual`` ``[2, 527]``: what the logits
    mostly are, and their spread (None: of a file that knows nothing of it).
    """

    def __init__(self, metadata: Mapping[str, Any], usual: Sequence[Any] | None = None) -> None:
        self.names: Sequence[str] = metadata["sound_classes"]
        self.category = np.asarray(metadata["category"], np.int64)
        self.categories = int(metadata["categories"])
        # One row of positions after the other; where there is none, the one behind the logits.
        levels = [
            [list(classes) or [-1] for classes in metadata[level]]
            for level in ("direct", "branch", "root")
        ]
        self._positions = [np.concatenate([np.array(c) for c in rows]) for rows in levels]
        self._starts = [np.cumsum([0, *map(len, rows[:-1])]) for rows in levels]
        self._usual: Float | None = None
        if usual is not None:
            self._usual = np.asarray(usual, np.float32)
            self._besides = self._others(metadata, self._usual.shape[1])

    def sound_classes(self, logits: Float) -> Float:
        """AudioSet logits ``[527]`` -> log-odds ``[V]`` of each sound class."""
        return self._loudest(logits, 0)

    def levels(self, logits: Float) -> Float:
        """AudioSet logits ``[527]`` -> ``[3 K]``: all categories, then branches, then roots."""
        out = np.full((LEVELS, self.categories), UNHEARD, np.float32)
        for level in range(LEVELS):
            np.maximum.at(out[level], self.category, self._loudest(logits, level))
        return out.reshape(-1)

    def __call__(self, logits: Float) -> Float:
        """AudioSet logits ``[527]`` -> ``[4 K]``: :meth:`levels`; then by how many spreads that
        class stands out most which says nothing of the category.
        """
        most = np.zeros(self.categories, np.float32)
        if self._usual is not None:
            above = _spreads(logits, self._usual, HEARD_SPREADS)
            most = np.where(self._besides, above, HEARD_SPREADS[0]).max(axis=1)
        return np.concatenate([self.levels(logits), most]).astype(np.float32)

    def name(self, category: int, categories: Sequence[str], logits: Float) -> str:
        """The category's name, or that of a sound class of it that is clearly louder."""
        heard = self.sound_classes(logits)
        own = np.flatnonzero(self.category == category)
        name = categories[category]
        plain = max((float(heard[v]) for v in own if self.names[int(v)] == name), default=UNHEARD)
        best = int(own[heard[own].argmax()])
        return self.names[best] if heard[best] > plain + CLEARLY else name

    def _others(self, metadata: Mapping[str, Any], classes: int) -> Any:
        """``[K, 527]``: which of AudioSet's ``classes`` say nothing of each category."""
        others = np.ones((self.categories, classes), bool)
        others[:, list(metadata.get("ambient", ()))] = False
        for level in ("direct", "branch", "root"):
            for category, own in zip(self.category, metadata[level], strict=True):
                others[category, list(own)] = False
        return others

    def _loudest(self, logits: Float, level: int) -> Float:
        known = np.append(np.asarray(logits, np.float32), np.float32(UNHEARD))
        most = np.maximum.reduceat(known[self._positions[level]], self._starts[level])
        return np.asarray(most.clip(UNHEARD, -UNHEARD), np.float32)


class Sight(NamedTuple):
    """What is seen of the categories, ``[K]``: log-odds that each is ``visible``; ``unusual``: by
    how many spreads it stands out from what images without it show.
    """

    visible: Float
    unusual: Float


class Background:
    """What is seen and heard of each category where it is not.

    ``metadata``: ``audioset`` (see :class:`SoundEvidence`); ``cells`` (logarithm of its best
    cell's probability) and ``sound`` (its own log-odds), each a list of means and one of spreads,
    ``[K]``; ``alone``: those of the log-odds (columns) while a category (rows) sounds alone,
    ``[K, K]``; a spread of 0: not known.  None, or no such entry: of a file that knows nothing of
    it.
    """

    def __init__(self, metadata: Mapping[str, Any] | None) -> None:
        told = metadata or {}
        nothing = ((0.0,), (0.0,))
        self._cells = np.asarray(told.get("cells", nothing), np.float32)
        self._sound = np.asarray(told.get("sound", nothing), np.float32)
        self._alone = np.asarray(told["alone"], np.float32) if "alone" in told else None
        self.audioset: Sequence[Any] | None = told.get("audioset")

    def sight(self, score: Float, peak: Float) -> Sight:
        """``score`` ``[K]`` of the best instance of each category, ``peak`` ``[K]`` of its best
        cell, 0..1.
        """
        found = of_instances(score)
        shown = log_odds(peak, LEAST_VISIBLE) - CELL_DOUBT
        cells = _spreads(np.log(peak + LEAST_PEAK), self._cells, SEEN_SPREADS)
        return Sight(np.maximum(found.visible, shown), np.maximum(found.unusual, cells))

    def heard(self, own: Float) -> Float:
        """Log-odds ``[K]`` of what is heard -> by how many spreads each stands out."""
        return _spreads(own, self._sound, HEARD_SPREADS)

    def unexplained(self, own: Float, by: int) -> Float:
        """By how many spreads the log-odds ``[K]`` of what is heard stand out from what is heard
        of them while category ``by`` sounds alone.
        """
        if self._alone is None:
            return np.zeros_like(own)
        return _spreads(own, self._alone[:, by], HEARD_SPREADS)


def of_instances(score: Float) -> Sight:
    """What is seen where only instances are looked for; ``score`` ``[K]`` of the best, 0..1."""
    found = log_odds(score, LEAST_VISIBLE)
    return Sight(found, np.asarray((found + INSTANCE_SPREADS).clip(*SEEN_SPREADS), np.float32))


def _spreads(values: Float, usual: Float, limits: tuple[float, float]) -> Float:
    mean, spread = usual
    above = (values - mean) / np.maximum(spread, LEAST_SPREAD)
    return np.where(spread > 0, above.clip(*limits), 0).astype(np.float32)


def gate_inputs(
    now: Float, context: Float, sight: Sight, drop_db: float, background: Background
) -> Float:
    """What the gate weighs for each category, ``[K, F]``.

    ``now`` and ``context`` ``[4 K]``: evidence of the last second and of the sound so far;
    ``drop_db``: how far the last second is below the loudest one, 0 or less.
    """
    own, branch, root, besides = (0.5 * (now + context)).reshape(ROWS, -1)
    best = _best(own, branch, root)
    lately = _best(*now.reshape(ROWS, -1)[:LEVELS])
    seen = sight.visible
    here = seen > VISIBLE
    claim = best + np.minimum(seen, 2.0)
    heard = background.heard(own)
    stands_out = sight.unusual + heard
    columns = [
        own,
        branch,
        root,
        lately,
        seen,
        np.minimum(seen, VISIBLE),
        np.minimum(seen, WELL_VISIBLE),
        np.minimum(own, seen),
        np.minimum(best, seen),
        _strongest_other(own),
        _strongest_other(claim) - claim,
        best - _strongest_other(np.where(here, best, UNHEARD)),
        _strongest_other(seen),
        np.full_like(own, float(np.where(here, UNHEARD, own).max())) - best,
        np.full_like(own, max(drop_db, LEAST_DROP_DB) / 10.0),
        sight.unusual,
        heard,
        stands_out - _strongest_other(stands_out),
        np.minimum(sight.unusual, heard),
        besides - heard,
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def companion_inputs(inputs: Float, logits: Float, first: int, background: Background) -> Float:
    """What the gate weighs for each category beside the ``first``, ``[K, F]``.

    ``inputs``: see :func:`gate_inputs` (of an earlier file fewer); ``logits`` ``[K]``: what the
    gate makes of them.  A sound hides others: what is heard of a second thing is weighed against
    what the first lets hear.
    """
    own, seen = inputs[:, OWN], inputs[:, SEEN]
    more = background.unexplained(own, first)
    rivals = np.where(seen > VISIBLE, more, HEARD_SPREADS[0])
    rivals[first] = HEARD_SPREADS[0]
    columns = [
        logits,
        np.full_like(logits, logits[first]),
        own - own[first],
        more,
        more - _strongest_other(rivals),
    ]
    return np.concatenate([inputs, np.stack(columns, axis=1)], axis=1).astype(np.float32)


def _best(own: Float, branch: Float, root: Float) -> Float:
    best = np.maximum.reduce([own, branch - _BRANCH, root - _ROOT])
    return np.asarray(best, np.float32)


class ExplainingGate:
    """Logit that each category is visible and makes the sound: a small network on its inputs.

    ``metadata``: ``mean`` and ``spread`` ``[F]`` of the inputs, ``hidden`` ``[H, F]`` and
    ``hidden_bias`` ``[H]`` (tanh), ``weights`` ``[H]`` and ``bias``; ``companion``: the same
    of what sounds beside a first one (:func:`companion_inputs`).  Earlier files weigh fewer
    inputs, the first ones, and have no companion.
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        own = {name: value for name, value in metadata.items() if name != "companion"}
        self.inputs = len(own["mean"])
        self._facts = {name: np.asarray(value, np.float32) for name, value in own.items()}
        companion = metadata.get("companion")
        self.companion = None if companion is None else ExplainingGate(companion)

    def __call__(self, inputs: Float) -> Float:
        """``[..., F]`` (see :func:`gate_inputs`) -> ``[...]``, log-odds."""
        metadata = self._facts
        x = (inputs[..., : self.inputs] - metadata["mean"]) / metadata["spread"]
        hidden = np.tanh(x @ metadata["hidden"].T + metadata["hidden_bias"])
        return np.asarray(hidden @ metadata["weights"] + metadata["bias"], np.float32)


def _strongest_other(values: Float) -> Float:
    """For each entry of ``[K]`` the maximum over the other ones."""
    order = np.argsort(values)
    out = np.full_like(values, values[order[-1]])
    out[order[-1]] = values[order[-2]]
    return out


def log_odds(probability: Float, least: float) -> Float:
    """Probabilities, taken to be from ``least`` to 1 - ``least``, as logits."""
    p = np.clip(probability, least, 1 - least)
    return np.asarray(np.log(p / (1 - p)), np.float32)
