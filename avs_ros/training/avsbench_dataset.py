"""AVSBench clips as tensors, with the augmentation of the authors' training code.

Each sample is a function of (seed, epoch, index) alone, so the same run gives the same batches
whatever the number of loader processes, and a resumed run sees what the killed one would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as image

from avs_ros.evaluation.avsbench import AVSBenchClip
from avs_ros.evaluation.clip_arrays import ClipArrays, read_clip


@dataclass(frozen=True)
class ClipTensors:
    """``frames`` float32 ``[T, 3, size, size]``, 0..1; ``masks`` float32 ``[T, 1, size, size]``,
    0|1; ``annotated`` bool ``[T]``; ``index`` of the clip in the data set.
    """

    frames: Tensor
    masks: Tensor
    annotated: Tensor
    index: int


def jitter_colours(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Brightness, contrast, saturation +-0.4 and hue +-0.1, in random order, per frame.

    The authors draw anew for every frame of a clip, so neighbours differ in colour.
    """
    out = []
    for frame in frames:
        amounts = rng.uniform(0.6, 1.4, 3)
        hue = float(rng.uniform(-0.1, 0.1))
        for step in rng.permutation(4):
            if step == 0:
                frame = image.adjust_brightness(frame, float(amounts[0]))
            elif step == 1:
                frame = image.adjust_contrast(frame, float(amounts[1]))
            elif step == 2:
                frame = image.adjust_saturation(frame, float(amounts[2]))
            else:
                frame = image.adjust_hue(frame, hue)
        out.append(frame)
    return torch.stack(out)


def to_tensors(arrays: ClipArrays, index: int, rng: np.random.Generator | None) -> ClipTensors:
    """Augment (when ``rng`` is given) and convert; one coin flips the whole clip sideways."""
    frames = torch.from_numpy(arrays.frames).permute(0, 3, 1, 2).float() / 255.0
    masks = torch.from_numpy(arrays.masks)[:, None].float()
    if rng is not None:
        frames = jitter_colours(frames, rng)
        if rng.random() < 0.5:
            frames, masks = frames.flip(-1), masks.flip(-1)
    return ClipTensors(frames, masks, torch.from_numpy(arrays.annotated.copy()), index)


class AVSBenchDataset(Dataset[ClipTensors]):
    """Map-style data set; call :meth:`set_epoch` before each pass to draw new augmentations."""

    def __init__(
        self,
        clips: Sequence[AVSBenchClip],
        size: int = 224,
        *,
        augment: bool = False,
        seed: int = 0,
    ) -> None:
        """``size`` in pixels (square); ``augment`` only for training."""
        self.clips = clips
        self.size = size
        self.augment = augment
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose random numbers the next samples use."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Count of clips."""
        return len(self.clips)

    def __getitem__(self, index: int) -> ClipTensors:
        """Clip ``index`` as tensors."""
        rng = np.random.default_rng((self.seed, self.epoch, index)) if self.augment else None
        return to_tensors(read_clip(self.clips[index], self.size), index, rng)


def collate(samples: Sequence[ClipTensors]) -> list[ClipTensors]:
    """Keep a batch as a list: the trainer concatenates along the frame axis."""
    return list(samples)
