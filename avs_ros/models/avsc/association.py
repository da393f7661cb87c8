"""Audio-visual semantic correlation: what is heard of each category lights up its things.

The sound says how much of each category there is, the segmenter where such things are; joined,
they must resemble the binary mask of the sounding object (Liu et al., ACM MM 2023).  The gradient
reaches the audio head through the scores, so binary masks alone teach it which sound belongs to
what.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from avs_ros.models.avsc.segmenter import SegmenterOutput
from avs_ros.models.light.affinity import ClassAudioAffinity

HIDDEN = 64
# One AudioSet class of probability 0.2 reads as a half.
BIAS = 1.6
_NEARLY_ONE = 1.0 - 1e-5


class AudioHead(nn.Module):
    """What any audio network says, AudioSet logits and feature, -> logits of the K categories.

    ``log_affinity`` ``[V, 527]``: the category map it starts from (:mod:`.categories`), learned
    further.  ``sound_class_category``: for each of the V sound classes the category that makes it.
    What the feature says comes on top; it starts at zero.
    """

    def __init__(
        self,
        sound_class_category: Sequence[int],
        categories: int,
        feature_width: int,
        log_affinity: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.affinity = ClassAudioAffinity(sound_class_category, categories)
        if log_affinity is not None:
            self.affinity.log_affinity.data.copy_(log_affinity)
            nn.init.constant_(self.affinity.bias, BIAS)
        self.residual = nn.Sequential(
            nn.Linear(feature_width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, categories)
        )
        last: nn.Linear = self.residual[2]  # type: ignore[assignment]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, audio_logits: Tensor, feature: Tensor) -> Tensor:
        """``[B, 527]``, ``[B, D]`` -> ``[B, K]``; a score is the sigmoid of what comes out."""
        heard = self.affinity.by_category(self.affinity(audio_logits))
        out: Tensor = heard + self.residual(feature)
        return out


def attend(output: SegmenterOutput, scores: Tensor) -> Tensor:
    """The attended mask ``[B, h, w]``, 0..1: how likely each cell belongs to something sounding.

    ``scores``: ``[B, K]``, 0..1, of the categories heard.  Query i sounds with probability
    ``sum_k p_i(k) s_k``; a cell is lit if any query's mask that sounds covers it.  With one query
    per category this is ``sum_k s_k m_k`` up to the clipping, which here is smooth.
    """
    probability = output.class_logits.softmax(dim=2)[..., :-1]
    sounding = torch.einsum("bnk,bk->bn", probability, scores)
    lit = sounding[:, :, None, None] * output.mask_logits.sigmoid()
    dark = torch.log1p(-lit.clamp(max=_NEARLY_ONE)).sum(dim=1)
    return 1.0 - dark.exp()
