"""The threshold from which a thing counts as sounding, chosen on what was held out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from avs_ros.models.avsc import AVSC
from avs_ros.training.avsc.pairs import Heard, Seen, draw_pairs

PAIRS = 8000


def strength(class_logits: Tensor) -> Tensor:
    """How sure the segmenter is that each category is there: ``[N, n, K + 1]`` -> ``[N, K]``.

    The best query among those for which no other category (nor "nothing") is likelier.
    """
    probability = class_logits.softmax(-1)
    winner = probability.argmax(-1, keepdim=True)
    won = torch.zeros_like(probability).scatter(-1, winner, 1.0)
    return (probability * won)[..., :-1].amax(1)


@torch.no_grad()
def calibrate(
    net: AVSC,
    seen: Seen,
    heard: Heard,
    empty_on_mismatch: float,
    report: Callable[[str], None],
    seed: int = 4,
) -> dict[str, float]:
    """``{"score": threshold}``: the lowest one that leaves enough mismatched pairs empty."""
    generator = torch.Generator().manual_seed(seed)
    a, b = draw_pairs(seen, heard, PAIRS, generator)
    logits = net.audio_scores(heard.logits, heard.feature)
    score = strength(seen.class_logits)[a] * torch.sigmoid(logits)[b]
    visible, sounds = seen.families[a], heard.truth[b]
    wanted = (visible > 0) & (sounds > 0)
    matched = wanted.any(1)
    open_question = ((visible < 0) & (sounds != 0)) | ((sounds < 0) & (visible != 0))
    negative = ~matched & ~open_question.any(1)
    chosen, table = 0.5, []
    for threshold in np.concatenate([np.arange(0.01, 0.2, 0.01), np.arange(0.2, 0.91, 0.02)]):
        over = score >= float(threshold)
        found = float((over & wanted).any(1)[matched].float().mean())
        right = float((over & wanted).sum() / (over & ~open_question)[matched].sum().clamp(min=1))
        empty = float((~over).all(1)[negative].float().mean())
        table.append((float(threshold), found, empty, right))
    enough = [row for row in table if row[2] >= empty_on_mismatch]
    chosen = (enough or table[-1:])[0][0]
    for row in table[::4]:
        report(
            f"threshold {row[0]:.2f}: found {row[1]:.3f}, empty on mismatch {row[2]:.3f}, "
            f"right of what is over it when matched {row[3]:.3f}"
        )
    return {"score": round(chosen, 3)}
