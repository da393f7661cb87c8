"""The gate of the light model with a detector: fitted on composites and on real clips.

A composite is a photograph with a recording: what is visible and heard is the answer, everything
else is not; in a pause after it nothing is.  Clips (moments with boxes) join in where there are
some; what is said of them is cross-validated by clip.  The gate is a small network, shared by all
categories, on :func:`gate_inputs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.inference.explaining import (
    Background,
    ExplainingGate,
    Sight,
    companion_inputs,
    gate_inputs,
)
from avs_ros.models.labels import audioset
from avs_ros.segmentation import Float
from recipes.c3n_light.categories import categories, classes_below, sound_classes

# Rows of clips weigh this much more than those of composites.
CLIP_WEIGHT = 50.0
# Draws; of each hidden units, steps, rows of a step, learning rate, weight decay.
DRAWS, HIDDEN, STEPS, ROWS, RATE, DECAY = 4, 16, 1600, 4000, 1e-2, 1e-3
FOLDS = 6
CURVE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
INSTRUMENT = "Musical instrument"
# Share of the composites that are pauses, and how far a pause and a sound are below the loudest
# second, dB.
PAUSES, PAUSE_DB, SOUND_DB = 0.15, (13.0, 24.0), 8.0


@dataclass(frozen=True)
class Examples:
    """``inputs`` ``[N, K, F]``; ``truth`` ``[N, K]``: 1 sounds and is visible, 0 not, -1 unknown;
    ``weight`` and ``group`` ``[N]``: its clip, -1 for composites.
    """

    inputs: Float
    truth: Float
    weight: Float
    group: Any

    def joined(self, other: Examples) -> Examples:
        """These and those."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Examples(*(np.concatenate(pair) for pair in pairs))

    def only(self, chosen: Any) -> Examples:
        """Some of them."""
        return Examples(*(values[chosen] for values in vars(self).values()))


def made_by(labels: Sequence[int]) -> Float:
    """AudioSet classes of a recording -> ``[K]``: 1 makes it, -1 may, 0 does not.

    What may make it goes by the narrowest classes: an engine that idles is no airplane's.
    """
    place = {category.name: k for k, category in enumerate(categories())}
    out = np.zeros(len(place), np.float32)
    named, names = set(labels), audioset().names
    narrow = {one for one in named if not (named - {one}) & classes_below(names[one])}
    if named & classes_below(INSTRUMENT):
        # Whatever is played is music, and may be any instrument that is seen.
        narrow |= {audioset().index(name) for name in (INSTRUMENT, "Music")}
    for sound in sound_classes():
        k = place[sound.category]
        if named & set(sound.direct):
            out[k] = 1
        elif narrow & {*sound.branch, *sound.root} and out[k] == 0:
            out[k] = -1
    return out


def composites(
    images: Sequence[tuple[Sight, Float]],
    sounds: Sequence[tuple[Float, Float, Float]],
    pairs: int,
    seed: int,
    background: Background,
) -> Examples:
    """``pairs`` of what is seen and what is heard, a third of them matching.

    ``images``: what is seen, and what is shown ``[K]`` (1, 0, -1 unknown); ``sounds``: evidence
    ``[4 K]`` of the last second and of a longer span, and :func:`made_by`.
    """
    rng = np.random.default_rng(seed)
    shown = np.stack([one[1] for one in images])
    makers = np.stack([one[-1] for one in sounds])
    matching = np.argwhere((shown > 0).astype(np.float32) @ (makers > 0).T.astype(np.float32) > 0)
    rarity = 1.0 / np.bincount(matching[:, 1], minlength=len(sounds))[matching[:, 1]]
    found = []
    for index in range(pairs):
        if index % 3 == 0 and len(matching):
            a, b = matching[rng.choice(len(matching), p=rarity / rarity.sum())]
        else:
            a, b = rng.integers(len(images)), rng.integers(len(sounds))
        now, heard, _ = sounds[b]
        drop = rng.uniform(0, SOUND_DB) if rng.random() < 0.5 else 0.0
        truth = truth_of(shown[a], makers[b])
        if rng.random() < PAUSES:
            drop, truth = rng.uniform(*PAUSE_DB), np.minimum(truth, 0)
            now = sounds[int(rng.integers(len(sounds)))][0] if rng.random() < 0.5 else now
            now = now - np.float32(rng.uniform(0, 2))
        found.append((gate_inputs(now, heard, images[a][0], -drop, background), truth))
    return examples_of(found)


def companion_examples(
    examples: Examples, gate: Mapping[str, Any], background: Background
) -> Examples:
    """What there is to weigh beside the likeliest source, of those that have one."""
    with_source = examples.only((examples.truth == 1).any(axis=1))
    logits = ExplainingGate(gate)(with_source.inputs)
    first = np.where(with_source.truth == 1, logits, -np.inf).argmax(axis=1)
    rows = zip(with_source.inputs, logits, first, strict=True)
    truth = with_source.truth.copy()
    truth[np.arange(len(first)), first] = -1
    return Examples(
        np.stack([companion_inputs(*row, background) for row in rows]),
        truth, with_source.weight, with_source.group,
    )  # fmt: skip


def truth_of(shown: Float, makers: Float) -> Float:
    """What is shown and what makes the sound, ``[K]`` -> 1 both, 0 not, -1 where it may be."""
    both = (shown > 0) & (makers > 0)
    unsure = (shown != 0) & (makers != 0) & ~both
    return np.where(both, 1.0, np.where(unsure, -1.0, 0.0)).astype(np.float32)


def examples_of(found: Sequence[tuple[Float, Float]]) -> Examples:
    """Composites: what the gate weighs ``[K, F]`` and the truth ``[K]`` of each."""
    count = len(found)
    return Examples(
        np.stack([inputs for inputs, _ in found]),
        np.stack([truth for _, truth in found]),
        np.ones(count, np.float32),
        np.full(count, -1),
    )


def fit(examples: Examples, seed: int = 0) -> dict[str, Any]:
    """Weights of the gate, as :class:`ExplainingGate` takes them: the mean of several draws."""
    known = examples.truth >= 0
    rows = examples.inputs[known]
    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    x = torch.from_numpy(((rows - mean) / spread).astype(np.float32))
    y = torch.from_numpy(examples.truth[known])
    share = np.broadcast_to(examples.weight[:, None], known.shape)[known]
    w = torch.from_numpy(np.ascontiguousarray(share, np.float32))
    # Most rows are easy: what is neither seen nor heard is drawn less often, and weighs more.
    odds = torch.where((y > 0) | (x[:, 0] > 0.5), 1.0, 0.15) * w
    drawn = [_drawn(x, y, w, odds, seed * DRAWS + draw) for draw in range(DRAWS)]
    first, last = zip(*drawn, strict=True)
    return {
        "mean": mean.round(4).tolist(),
        "spread": spread.round(4).tolist(),
        "hidden": torch.cat([one.weight for one in first]).numpy().round(4).tolist(),
        "hidden_bias": torch.cat([one.bias for one in first]).numpy().round(4).tolist(),
        "weights": (torch.cat([one.weight[0] for one in last]) / DRAWS).numpy().round(4).tolist(),
        "bias": round(float(torch.stack([one.bias for one in last]).mean()), 4),
    }


def _drawn(
    x: Tensor, y: Tensor, w: Tensor, odds: Tensor, seed: int
) -> tuple[nn.Linear, nn.Linear]:
    """Both layers, fitted from one start: rows ``x`` drawn by their ``odds``, weighing ``w``."""
    torch.manual_seed(seed)
    up_to = odds.double().cumsum(0)
    first, last = nn.Linear(x.shape[1], HIDDEN), nn.Linear(HIDDEN, 1)
    net = nn.Sequential(first, nn.Tanh(), last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        rows_here = torch.searchsorted(up_to, torch.rand(ROWS, dtype=torch.double) * up_to[-1])
        loss = functional.binary_cross_entropy_with_logits(
            net(x[rows_here])[:, 0], y[rows_here], (w / odds)[rows_here]
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    net.requires_grad_(False)
    return first, last


def probability(gate: Mapping[str, Any], inputs: Float) -> Float:
    """``[..., K, F]`` -> ``[..., K]``, 0..1."""
    return np.asarray(1 / (1 + np.exp(-ExplainingGate(gate)(inputs))), np.float32)


def gates_apart(examples: Examples) -> list[dict[str, Any]]:
    """For each fold of the clips a gate that has not met them; none where there are no clips."""
    if not (examples.group >= 0).any():
        return []
    return [fit(examples.only(~in_fold(examples, fold))) for fold in range(FOLDS)]


def in_fold(examples: Examples, fold: int) -> Any:
    """Which of them are of the fold's clips, ``[N]``."""
    return (examples.group >= 0) & (examples.group % FOLDS == fold)


def cross_validated(examples: Examples, apart: Sequence[Mapping[str, Any]]) -> Float:
    """Probabilities of the clips' rows, by those of :func:`gates_apart`: ``[N, K]``."""
    out = np.zeros(examples.truth.shape, np.float32)
    for fold, gate in enumerate(apart):
        own = in_fold(examples, fold)
        if own.any():
            out[own] = probability(gate, examples.inputs[own])
    return out


def threshold_for(examples: Examples, gate: Mapping[str, Any], empty: float) -> float:
    """The lowest probability that leaves this share of the composites without a source empty."""
    silent = (examples.group < 0) & (examples.truth != 1).all(axis=1)
    silent &= ~(examples.truth < 0).any(axis=1)
    best = probability(gate, examples.inputs[silent]).max(axis=1)
    return float(np.quantile(best, empty))


def companion_threshold_for(
    examples: Examples, companion: Mapping[str, Any], marked: float
) -> float:
    """The lowest probability at which this share of the composites has something marked beside
    the source that does not sound; ``examples``: :func:`companion_examples`.
    """
    own = examples.only(examples.group < 0)
    likely = probability(companion, own.inputs)
    beside = np.where(own.truth == 0, likely, 0).max(axis=1)
    return float(np.quantile(beside, 1 - marked))


def refusal_curve(
    examples: Examples, gate: Mapping[str, Any], apart: Sequence[Mapping[str, Any]]
) -> list[dict[str, float]]:
    """What each threshold costs, for composites and, cross-validated, for the clips' moments.

    ``empty``: share without a source in which nothing reaches it; ``named``: share with one in
    which the likeliest category is a source and reaches it.
    """
    clips = examples.group >= 0
    likely = probability(gate, examples.inputs)
    likely[clips] = cross_validated(examples, apart)[clips]
    best = likely.max(axis=1)
    right = np.take_along_axis(examples.truth, likely.argmax(axis=1)[:, None], axis=1)[:, 0] == 1
    source, unknown = (examples.truth == 1).any(axis=1), (examples.truth < 0).any(axis=1)
    rows = []
    for threshold in CURVE:
        row = {"threshold": threshold}
        for name, own in (("composites", ~clips), ("clips", clips)):
            silent, sounding = own & ~source & ~unknown, own & source
            if silent.any() and sounding.any():
                row[f"{name}_empty"] = round(float((best[silent] < threshold).mean()), 3)
                named = right[sounding] & (best[sounding] >= threshold)
                row[f"{name}_named"] = round(float(named.mean()), 3)
        rows.append(row)
    return rows
