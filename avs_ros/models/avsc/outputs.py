"""What the segmenter of potential sounding objects says, and what it is taught."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class SegmenterOutput(NamedTuple):
    """N queries per image, each a thing that may sound (or nothing).

    ``class_logits``: ``[B, N, K + 1]`` before a softmax; the last column is "no object".
    ``mask_logits``: ``[B, N, S/4, S/4]`` before a sigmoid.  ``auxiliary``: the same pair from
    every earlier layer, first one first, for deep supervision.
    """

    class_logits: Tensor
    mask_logits: Tensor
    auxiliary: tuple[tuple[Tensor, Tensor], ...] = ()


class Target(NamedTuple):
    """The M things of one image that training knows of.

    ``classes``: int64 ``[M]``, 0..K-1.  ``masks``: 0|1 float ``[M, h, w]``, in cells of the
    output.  ``silent``: bool ``[M]``, true for a potential sounding object that no annotation
    vouches for (a pseudo-label).  ``known``: 0|1 float ``[h, w]``, 0 where nobody knows what is
    there; None: everything is known.
    """

    classes: Tensor
    masks: Tensor
    silent: Tensor
    known: Tensor | None = None


class AVSCOutput(NamedTuple):
    """Image and sound joined: the segmenter's ``output``, ``scores`` ``[B, K]`` in 0..1 of what
    is heard, and the ``attended`` mask ``[B, S/4, S/4]`` in 0..1.
    """

    output: SegmenterOutput
    scores: Tensor
    attended: Tensor
