"""Two numbers chosen on what was held out: when a query is a thing, and when a thing sounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from avs_ros.models.avsc import AVSC
from recipes.avsc_light.pairs import Heard, Seen, draw_pairs

PAIRS = 8000
# More found pairs than this must be gained by a larger set-back: it brings fragments, too.
WORTH = 0.005
# How far the logit of "no object" may be put back: training counts many more empty queries than
# things, and once the sound agrees a doubtful thing is worth a second look.
SET_BACKS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5)
THRESHOLDS = (*np.arange(0.01, 0.2, 0.01), *np.arange(0.2, 0.91, 0.02))


def strength(class_logits: Tensor, set_back: float = 0.0) -> Tensor:
    """How sure the segmenter is that each category is there: ``[N, n, K + 1]`` -> ``[N, K]``.

    The best query among those for which no other category (nor "no object", its logit lowered by
    ``set_back``) is likelier.
    """
    lowered = class_logits.clone()
    lowered[..., -1] -= set_back
    probability = lowered.softmax(-1)
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
    """``{"score": threshold, "no_object": set-back}``; the set-back is built into ``net``.

    For each set-back the threshold is the lowest that leaves enough mismatched pairs empty; the
    set-back is the one with which most matched pairs are then found.
    """
    generator = torch.Generator().manual_seed(seed)
    a, b = draw_pairs(seen, heard, PAIRS, generator)
    sounding = torch.sigmoid(net.audio_scores(heard.logits, heard.feature))[b]
    visible, sounds = seen.categories[a], heard.truth[b]
    wanted = (visible > 0) & (sounds > 0)
    matched = wanted.any(1)
    open_question = ((visible < 0) & (sounds != 0)) | ((sounds < 0) & (visible != 0))
    negative = ~matched & ~open_question.any(1)
    best = (-1.0, 0.5, 0.0)
    for set_back in SET_BACKS:
        score = strength(seen.class_logits, set_back)[a] * sounding
        for threshold in THRESHOLDS:
            over = score >= float(threshold)
            empty = float((~over).all(1)[negative].float().mean())
            if empty >= empty_on_mismatch:
                break
        found = float((over & wanted).any(1)[matched].float().mean())
        report(
            f"no object {set_back:.1f} lower, threshold {threshold:.2f}: found {found:.3f}, "
            f"empty on mismatch {empty:.3f}"
        )
        if found > best[0] + WORTH and empty >= empty_on_mismatch:
            best = (found, float(threshold), set_back)
    net.segmenter.classes.bias[-1] -= best[2]
    return {"score": round(best[1], 3), "no_object": best[2]}
