"""What the backbone's own class head says of each category, at every position.

Categories of which few masks exist (a hammer, a piano) are things that an ImageNet classifier
knows: its head, applied at every position of the last stage, tells where they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.errors import ModelError
from avs_ros.models.c3n.backbone import Backbone, MobileNetV2

FLOOR = 1e-6


class ClassEvidence(nn.Module):
    """Log-probability of each category at every position of the last stage.

    ``members``: for each category the rows of the class head that show it; the head's last K rows
    are the categories' own.  A category competes with the common rows, not with the other
    categories' own: a guitar that a person holds is a guitar.
    """

    members: Tensor

    def __init__(self, members: Sequence[Sequence[int]], class_rows: int) -> None:
        super().__init__()
        common = class_rows - len(members)
        table = torch.zeros(len(members), max(common, 0))
        for category, rows in enumerate(members):
            shared = [row for row in rows if row < common]
            if common < 1 or any(not 0 <= row < class_rows for row in rows):
                raise ModelError(
                    f"category {category} is shown by class rows {list(rows)}; the head has "
                    f"{class_rows}, the last {len(members)} of them the categories' own"
                )
            table[category, shared] = 1.0
        self.register_buffer("members", table, persistent=False)

    def forward(self, backbone: Backbone, last: Tensor) -> Tensor:
        """``backbone`` (a MobileNetV2) and its last stage ``[B, C, h, w]`` -> ``[B, K, h, w]``."""
        if not isinstance(backbone, MobileNetV2):
            raise ModelError("class evidence is there for mobilenetv2_100 only")
        net = backbone.net
        hidden = net.bn2(net.conv_head(last))
        head = net.classifier
        scores = functional.conv2d(hidden, head.weight[:, :, None, None], head.bias)
        scores = (scores - scores.amax(dim=1, keepdim=True)).exp()
        count = self.members.shape[1]
        common, own = scores[:, :count], scores[:, count:]
        shown = torch.einsum("kr,brhw->bkhw", self.members, common) + own
        return (shown / (common.sum(dim=1, keepdim=True) + own) + FLOOR).log()
