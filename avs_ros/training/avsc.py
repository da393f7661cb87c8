"""AVSC on AVSBench: binary masks of the sounding object, and nothing about what is silent.

Its settings, where it starts from public weights, its trainer, and the file that is kept.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as functional
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from avs_ros.errors import DatasetError, ParameterError
from avs_ros.evaluation.avsbench import AVSBenchClip
from avs_ros.models.avsc import (
    AVSC,
    SegmenterOutput,
    Target,
    configuration,
    correlation_loss,
    load_avsc,
    save_avsc,
    silent_aware_loss,
)
from avs_ros.training.config import TrainConfig
from avs_ros.training.data import ClipTensors, supervised_frames
from avs_ros.training.report import RunReporter
from avs_ros.training.trainer import Trainer

Mode = Literal["ignore", "pseudo", "frozen"]


@dataclass(frozen=True)
class BenchSettings(TrainConfig):
    """AVSC on AVSBench, whose masks say only the sounding object; more than C3N's settings.

    ``mode``: of the silent-object-aware objective.  ``pseudo`` wants ``init_from``: what that
    network finds stands for the silent things; ``frozen`` trains the audio head alone.
    ``categories``: names, comma-separated ("" = those of S4's training clips).
    ``segment_weight``: of the segmenter's objective beside the attended mask's.  ``queries``: of
    the transformer decoder.
    """

    mode: Mode = "ignore"
    categories: str = ""
    segment_weight: NonNegativeFloat = 1.0
    queries: PositiveInt = 100

    def __post_init__(self) -> None:
        """Raise ParameterError for values that do not go together, or cannot be."""
        super().__post_init__()
        if self.mode == "pseudo" and not self.init_from:
            raise ParameterError(
                "mode pseudo takes silent things from a trained network: set init_from"
            )


def bench_network(settings: BenchSettings, clips: Sequence[AVSBenchClip]) -> AVSC:
    """The network for AVSBench: from ``init_from``, or built for the categories of ``clips``.

    ``visual_weights`` and ``audio_weights`` fill its parts.  The audio network is frozen.
    """
    torch.manual_seed(settings.seed)
    if settings.init_from:
        net, _ = load_avsc(settings.init_from)
    else:
        names = names_of(settings, clips)
        base = configuration("avsc_swin" if settings.visual.startswith("swin") else "avsc_pvt")
        net = AVSC(replace(
            base, categories=names, sound_classes=names,
            sound_class_category=tuple(range(len(names))), visual=settings.visual,
            audio=settings.audio, image_size=settings.image_size, channels=settings.channels,
            queries=settings.queries,
        ))  # fmt: skip
    if settings.visual_weights:
        net.load_visual(settings.visual_weights)
    if settings.audio_weights:
        net.load_audio(settings.audio_weights)
    net.audio_encoder.requires_grad_(False)
    return net


# A frozen network's query stands for a silent thing from this probability and mask share on.
CERTAIN, SMALLEST = 0.6, 0.005


class BenchTrainer(Trainer[AVSC]):
    """C3N's trainer with AVSC's two losses."""

    config: BenchSettings
    teacher: AVSC | None = None

    def batch_loss(self, batch: Sequence[ClipTensors]) -> Tensor:
        """Attended mask against the truth; the segmenter's objective where a category is known."""
        settings = self.config
        frames = torch.cat([sample.frames for sample in batch]).to(self.device)
        count = batch[0].frames.shape[0]
        chosen = supervised_frames(len(frames), count, settings.supervise)
        frames = self._normalised(frames[chosen.to(self.device)])
        feature, logits = (part[chosen].to(self.device) for part in self.heard(batch, "train"))
        with self._autocast():
            answer = self.model(frames, feature, logits)
        masks = torch.cat([sample.masks for sample in batch])[chosen]
        truth = functional.interpolate(masks, size=answer.attended.shape[1:], mode="nearest")
        truth = truth[:, 0].to(self.device)
        loss = correlation_loss(answer.attended.float(), truth)
        clips = self.data["train"].clips
        names = [clips[batch[frame // count].index].category for frame in chosen.tolist()]
        labelled = [i for i, name in enumerate(names) if name]
        if labelled and settings.mode != "frozen" and settings.segment_weight:
            index, silent = self.network.config.categories.index, torch.tensor([False])
            targets = [
                Target(torch.tensor([index(names[i])]), truth[i][None].cpu(), silent)
                for i in labelled
            ]
            if self.teacher is not None:
                targets = self._with_silent(targets, frames[labelled])
            parts = silent_aware_loss(pick(answer.output, labelled), targets, mode=settings.mode)
            loss = loss + settings.segment_weight * torch.stack(list(parts.values())).sum()
        return loss

    @torch.no_grad()
    def probability(self, sample: ClipTensors) -> Tensor:
        """See :meth:`Trainer.probability`."""
        frames = self._normalised(sample.frames.to(self.device))
        feature, logits = (part.to(self.device) for part in self.heard([sample], "val"))
        attended = self.network(frames, feature, logits).attended.float().cpu()
        size = sample.masks.shape[2:]
        whole = functional.interpolate(
            attended[:, None], size=size, mode="bilinear", align_corners=False
        )
        return whole[:, 0]

    @torch.no_grad()
    def _with_silent(self, targets: list[Target], frames: Tensor) -> list[Target]:
        """Add what the frozen network finds elsewhere as silent things."""
        assert self.teacher is not None
        found = self.teacher.segment(frames)
        probability = found.class_logits.softmax(-1)[..., :-1].cpu()
        masks = (found.mask_logits > 0).float().cpu()
        out = []
        for target, p, m in zip(targets, probability, masks, strict=True):
            best, label = p.max(-1)
            apart = (m * target.masks[0]).sum((1, 2)) < 0.3 * m.sum((1, 2))
            keep = (best > CERTAIN) & (m.mean((1, 2)) > SMALLEST) & apart
            out.append(
                Target(
                    torch.cat([target.classes, label[keep]]),
                    torch.cat([target.masks, m[keep]]),
                    torch.cat([target.silent, torch.ones(int(keep.sum()), dtype=torch.bool)]),
                )
            )
        return out


def pick(output: SegmenterOutput, rows: list[int]) -> SegmenterOutput:
    """Some images' answers."""
    return SegmenterOutput(
        output.class_logits[rows],
        output.mask_logits[rows],
        tuple((logits[rows], masks[rows]) for logits, masks in output.auxiliary),
    )


def train_bench(
    settings: BenchSettings,
    clips: Mapping[str, Sequence[AVSBenchClip]],
    output: Path,
    reporter: RunReporter,
    device: torch.device,
    *,
    resume: bool,
) -> float:
    """Train; the best network on *val* is kept in ``output``, its M_J returned."""
    network = bench_network(settings, clips["train"])
    categories = network.config.categories
    foreign = sorted({clip.category for clip in clips["train"]} - {*categories, ""})
    if foreign:
        raise DatasetError(
            f"the network knows no {', '.join(foreign[:3])}; it was made for {len(categories)} "
            "other categories: train without init_from"
        )
    if settings.mode == "frozen":
        network.freeze_segmenter()

    def save_best(net: AVSC, path: Path, about: dict[str, Any]) -> None:
        save_avsc(path, net, {"provenance": about, "calibration": {"score": 0.5}})

    trainer = BenchTrainer(
        settings, network, clips, network.audio_encoder, output, reporter, save_best, device
    )
    if settings.mode == "pseudo":
        trainer.teacher = copy.deepcopy(network).eval().requires_grad_(False).to(device)
    return trainer.run(continue_run=resume)


def names_of(settings: BenchSettings, clips: Sequence[AVSBenchClip]) -> tuple[str, ...]:
    """The categories to learn."""
    if settings.categories:
        return tuple(name.strip() for name in settings.categories.split(",") if name.strip())
    found = sorted({clip.category for clip in clips if clip.category})
    if not found:
        raise DatasetError(
            "these clips carry no category: name them with categories, or start from a network "
            "trained on S4 with init_from"
        )
    return tuple(found)
