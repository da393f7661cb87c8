"""The second step: what is heard learns which of the things that are seen it lights up.

The segmenter stays as it is; the attended mask is trained by binary cross-entropy and Dice against
the sounding object in the scene, nothing for a mismatched sound or silence, and the gradient
reaches the audio head through the score of each category.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.models.avsc import AVSC, correlation_loss
from recipes.avsc_light.pairs import Heard, Seen, attended_truth, draw_pairs
from recipes.avsc_light.settings import AVSCLightSettings


def label_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy over the categories of which it is known; a positive weighs 6."""
    weight = (truth >= 0).float() * torch.where(truth > 0, 6.0, 1.0)
    loss = functional.binary_cross_entropy_with_logits(logits, truth.clamp(0), reduction="none")
    return (loss * weight).sum() / weight.sum().clamp(min=1)


def pair_loss(
    net: AVSC, seen: Seen, heard: Heard, rows: tuple[Tensor, Tensor], label_weight: float
) -> Tensor:
    """Loss of the pairs ``rows`` (of scenes, of sounds)."""
    a, b = rows
    logits = net.audio_scores(heard.logits[b], heard.feature[b])
    attended = net.attend(seen.output(a), torch.sigmoid(logits))
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    truths = [attended_truth(seen.ids[i], seen.parts[i], heard.truth[j]) for i, j in pairs]
    truth, known = (torch.stack(part) for part in zip(*truths, strict=True))
    loss = correlation_loss(attended, truth, known)
    return loss + label_weight * label_loss(logits, heard.truth[b]) if label_weight else loss


def train_correlation(
    net: AVSC,
    parameters: Sequence[nn.Parameter],
    seen: Seen,
    heard: Heard,
    settings: AVSCLightSettings,
    steps: Iterable[int],
    report: Callable[[int, float], None],
) -> None:
    """Train ``parameters`` in place, one batch of pairs for each of ``steps`` (0, 1, 2 ...)."""
    before = [p.detach().clone() for p in parameters]
    generator = torch.Generator().manual_seed(settings.seed)
    torch.manual_seed(settings.seed)
    optimiser = torch.optim.AdamW(parameters, lr=settings.pairs_rate, weight_decay=0.0)
    net.eval()
    running = 0.0
    for step in steps:
        for group in optimiser.param_groups:
            share = min(1.0, (step + 1) / 30) * (1 - step / settings.pairs_steps)
            group["lr"] = settings.pairs_rate * share
        rows = draw_pairs(seen, heard, settings.pairs_batch, generator)
        loss = pair_loss(net, seen, heard, rows, settings.label_weight)
        drift = [(p - q).square().sum() for p, q in zip(parameters, before, strict=True)]
        loss = loss + settings.pull * torch.stack(drift).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        running = 0.95 * running + 0.05 * loss.item() if step else loss.item()
        report(step + 1, running)
