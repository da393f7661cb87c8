"""Which family sounds: visible evidence and heard evidence, weighed by one small shared judge."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

TOP_SHARE = 0.02


def visible_evidence(log_odds: Tensor, class_maps: Tensor) -> Tensor:
    """How visible each family is: ``[B, K, h, w]`` twice -> ``[B, K, 3]``.

    Mean log-odds of its best cells, log of its area, and the peak of its class-activated map.
    """
    cells = _cells(log_odds)
    area = torch.sigmoid(cells).mean(dim=2)
    top = _top(cells)
    peak = class_maps.flatten(2).amax(dim=2)
    return torch.stack([top.clamp(-8, 8), (area + 1e-3).log(), peak.clamp(-12, 0)], dim=2)


def raise_to_visible(log_odds: Tensor, least: float = 1.0) -> Tensor:
    """Lift maps whose best cells stay below ``least`` to it: ``[B, K, h, w]`` both ways.

    Whether a family is marked at all is the gate's decision; a map that is right but timid must
    not undo it.
    """
    top = _top(_cells(log_odds))
    return log_odds + (least - top).clamp(min=0.0)[:, :, None, None]


def _cells(log_odds: Tensor) -> Tensor:
    """Means over 2 x 2 pixels, ``[B, K, h w / 4]``: a quarter to sort, and no lone pixel wins."""
    return functional.avg_pool2d(log_odds, 2).flatten(2)


def _top(cells: Tensor) -> Tensor:
    """Mean of the best ones, ``[B, K]``."""
    best = max(1, int(cells.shape[2] * TOP_SHARE))
    return cells.topk(best, dim=2).values.mean(dim=2)


class AcceptGate(nn.Module):
    """Logit that family k is visible and makes the sound, for every k, with shared weights.

    It sees, for k: the voice logit, the strongest other family's voice logit, how much of the
    sound no family claims, and three numbers of visible evidence, its own and those of the
    strongest rival on the picture.  ``temperature`` is set by calibration.
    """

    temperature: Tensor

    def __init__(self, hidden: int = 24) -> None:
        super().__init__()
        self.hidden = nn.Linear(8, hidden)
        self.middle = nn.Linear(hidden, hidden)
        self.score = nn.Linear(hidden, 1)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, heard: Tensor, seen: Tensor) -> Tensor:
        """``heard`` ``[B, K]`` voice logits, ``seen`` ``[B, K, 3]`` -> logits ``[B, K]``."""
        heard = heard.clamp(-12, 12)
        rival = strongest_other(heard)
        claimed = heard + seen[..., 0]
        inputs = torch.stack(
            [
                heard,
                heard - rival,
                rival,
                seen[..., 0],
                seen[..., 1],
                seen[..., 2],
                strongest_other(claimed) - claimed,
                torch.minimum(heard, seen[..., 0]),
            ],
            dim=2,
        )
        hidden = torch.relu(self.hidden(inputs * 0.25))
        hidden = torch.relu(self.middle(hidden))
        return self.score(hidden)[..., 0] / self.temperature


def strongest_other(values: Tensor) -> Tensor:
    """For each entry of ``[B, K]`` the maximum over the other ones."""
    two = values.topk(2, dim=1)
    first, second = two.values[:, :1], two.values[:, 1:]
    is_first = torch.arange(values.shape[1], device=values.device) == two.indices[:, :1]
    return torch.where(is_first, second, first)
