"""AVSBench clips as tensors, with the authors' augmentation, what is heard in them, and the loss.

Each sample is a function of (seed, epoch, index) alone, so the same run gives the same batches
whatever the number of loader processes, and a resumed run sees what the killed one would have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as image

from avs_ros.errors import DatasetError
from avs_ros.evaluation.avsbench import AVSBenchClip
from avs_ros.evaluation.clip_arrays import read_clip, read_seconds
from avs_ros.models.audio.network import AudioNetwork
from avs_ros.models.checkpoints import save_checkpoint
from avs_ros.training import distributed
from avs_ros.training.report import RunReporter


@dataclass(frozen=True)
class ClipTensors:
    """``frames`` float32 ``[T, 3, size, size]``, 0..1; ``masks`` float32 ``[T, 1, size, size]``,
    0|1; ``annotated`` bool ``[T]``; ``index`` of the clip in the data set.
    """

    frames: Tensor
    masks: Tensor
    annotated: Tensor
    index: int


JITTERS = (
    image.adjust_brightness, image.adjust_contrast, image.adjust_saturation, image.adjust_hue,
)


def jitter_colours(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Brightness, contrast, saturation +-0.4 and hue +-0.1, in random order, per frame.

    The authors draw anew for every frame of a clip, so neighbours differ in colour.
    """
    out = []
    for frame in frames:
        amounts = [*rng.uniform(0.6, 1.4, 3).tolist(), rng.uniform(-0.1, 0.1)]
        for step in rng.permutation(4):
            frame = JITTERS[step](frame, amounts[step])
        out.append(frame)
    return torch.stack(out)


class AVSBenchDataset(Dataset[ClipTensors]):
    """Map-style data set; set ``epoch`` before each pass to draw new augmentations."""

    def __init__(
        self,
        clips: Sequence[AVSBenchClip],
        size: int,
        augment: bool,
        seed: int,
    ) -> None:
        """``size`` in pixels (square); ``augment`` only for training."""
        self.clips, self.size, self.augment, self.seed = clips, size, augment, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> ClipTensors:
        """Clip ``index``; augmented, one coin flips all of it sideways."""
        arrays = read_clip(self.clips[index], self.size)
        frames = torch.from_numpy(arrays.frames).permute(0, 3, 1, 2).float() / 255.0
        masks = torch.from_numpy(arrays.masks)[:, None].float()
        if self.augment:
            rng = np.random.default_rng((self.seed, self.epoch, index))
            frames = jitter_colours(frames, rng)
            if rng.random() < 0.5:
                frames, masks = frames.flip(-1), masks.flip(-1)
        return ClipTensors(frames, masks, torch.from_numpy(arrays.annotated.copy()), index)


# What is heard in a clip.
HEARD = ("feature", "logits")


def heard_in(table: Mapping[str, Tensor], clips: Sequence[AVSBenchClip]) -> tuple[Tensor, Tensor]:
    """Features ``[sum of T, A]`` and AudioSet logits ``[sum of T, 527]`` of ``clips``.

    ``table``: of :func:`heard_once`; DatasetError for a clip that is not in it.
    """
    try:
        feature, logits = (
            torch.cat([table[f"{_key(clip)}|{name}"] for clip in clips]) for name in HEARD
        )
    except KeyError as error:
        raise DatasetError(
            f"clip {error} is not in the audio feature file; delete it to make it anew"
        ) from error
    return feature, logits


def _key(clip: AVSBenchClip) -> str:
    return f"{clip.split}/{clip.category}/{clip.name}"


@torch.no_grad()
def heard_once(
    output: Path,
    net: AudioNetwork,
    clips: Mapping[str, Sequence[AVSBenchClip]],
    reporter: RunReporter,
) -> dict[str, Tensor]:
    """What the frozen audio network says about each second of every split's clips.

    ``<clip>|feature`` and ``<clip>|logits`` -> tensor, float32, on the CPU; kept in ``output``,
    extracted by the first process.  The authors run the network twice per training step; it sees
    no augmentation, so one pass gives the same numbers for every epoch.
    """
    path = output / "audio_features.safetensors"
    if distributed.is_first() and not path.is_file():
        device = next(net.parameters()).device
        net.eval()
        every = [clip for found in clips.values() for clip in found]
        table = {}
        for clip in reporter.track(every, len(every), "hearing each clip once"):
            seconds = torch.from_numpy(read_seconds(clip.wav, len(clip.frames)))
            for name, heard in zip(HEARD, net.hear_clip(seconds.to(device)), strict=True):
                table[f"{_key(clip)}|{name}"] = heard.float().cpu().contiguous()
        save_checkpoint(path, table, {})
    distributed.barrier()
    return load_file(path)


def dice_loss(probability: Tensor, masks: Tensor) -> Tensor:
    """1 - mean over frames of 2 (sum(p m) + 1) / (sum p + sum m + 1).

    The authors add the smoothing inside the doubled numerator, so a perfect mask scores slightly
    above 1 and an empty one 2: the loss can fall below 0, down to -1.
    """
    p, m = probability.flatten(1), masks.flatten(1)
    score = 2.0 * ((p * m).sum(1) + 1.0) / (p.sum(1) + m.sum(1) + 1.0)
    return 1.0 - score.mean()


def supervised_frames(count: int, frames_per_clip: int, supervise: str) -> Tensor:
    """Indices of the frames that count: ``first`` of each clip (S4) or ``all`` (MS3)."""
    return torch.arange(0, count, frames_per_clip if supervise == "first" else 1)


def segmentation_loss(
    logits: Tensor,
    masks: Tensor,
    *,
    supervise: str = "all",
    frames_per_clip: int = 5,
    bce_weight: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """``(weighted BCE, Dice)``, whose sum training minimises.

    ``logits`` and 0|1 ``masks``: both ``[N, 1, h, w]`` or ``[N, h, w]``.  BCE works on
    probabilities with logarithms clamped at -100, as the authors' does: a wrong pixel with a
    logit beyond that costs 100.
    """
    chosen = supervised_frames(len(logits), frames_per_clip, supervise).to(logits.device)
    probability, masks = logits[chosen].sigmoid(), masks[chosen].to(logits.dtype)
    bce = functional.binary_cross_entropy(probability, masks)
    return bce_weight * bce, dice_loss(probability, masks)
