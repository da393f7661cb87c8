"""C3IM: the visible class that image and sound agree on.

Cross-modal Cognitive Consensus Inference Module (paper, figure 3; no parameters).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avs_ros.errors import ModelError

AUDIO_CLASSES = 527
Matrix = Tensor | NDArray[np.floating]


class CognitiveConsensusInference(nn.Module):
    """Unified label per frame: the visual class i at which M_cof is largest.

        M_cof[i, j] = softmax(v)[i]^alpha * S[i, j] * softmax(a)[j]^alpha

    v: visual logits, a: AudioSet logits, maximum over all pairs (i, j).  ``S``: label
    similarity ``[K, 527]``, any sign; alpha 0.1 flattens the confidences, so the similarity
    leads and they break near-ties.  The label is a discrete choice: no gradient passes.
    """

    similarity: Tensor
    # Tiny differences between products decide: stays float32 in a half-precision network.
    keep_single = True

    def __init__(self, similarity: Matrix, alpha: float = 0.1) -> None:
        super().__init__()
        # Not part of the state dict: C3N checkpoints come without it.
        self.register_buffer("similarity", _checked(similarity), persistent=False)
        self.alpha = alpha

    @property
    def num_classes(self) -> int:
        """Number of visual classes K."""
        return self.similarity.shape[0]

    def row_scores(self, visual_logits: Tensor, audio_logits: Tensor) -> Tensor:
        """Max over j of M_cof[i, j]: ``[B, K]``, ``[B, 527]`` -> ``[B, K]``.

        P_V^alpha >= 0 comes out of the maximum, so no ``[B, K, 527]`` array is needed.
        """
        visual = visual_logits.detach().float().softmax(dim=1).pow(self.alpha)
        audio = audio_logits.detach().float().softmax(dim=1).pow(self.alpha)
        heard = torch.stack([(self.similarity * row).amax(dim=1) for row in audio])
        return visual * heard

    def forward(self, visual_logits: Tensor, audio_logits: Tensor) -> Tensor:
        """``[B, K]`` and ``[B, 527]`` logits -> labels int64 ``[B]``, rows of ``S``."""
        return self.row_scores(visual_logits, audio_logits).argmax(dim=1)

    def confidence_matrix(self, visual_logits: Tensor, audio_logits: Tensor) -> Tensor:
        """M_cof ``[B, K, 527]`` as the paper writes it (large; for inspection and tests)."""
        visual = visual_logits.detach().float().softmax(dim=1).pow(self.alpha)
        audio = audio_logits.detach().float().softmax(dim=1).pow(self.alpha)
        return visual[:, :, None] * self.similarity * audio[:, None, :]


def _checked(similarity: Matrix) -> Tensor:
    matrix = torch.as_tensor(np.asarray(similarity), dtype=torch.float32).clone()
    if matrix.ndim != 2 or matrix.shape[1] != AUDIO_CLASSES or matrix.shape[0] < 1:
        raise ModelError(
            "the label similarity must be [visual classes, 527 AudioSet classes], "
            f"got {list(matrix.shape)}; it is built by `avs labels build`"
        )
    if not bool(torch.isfinite(matrix).all()):
        raise ModelError("the label similarity holds NaN or infinite values")
    return matrix
