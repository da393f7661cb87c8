"""Training of C3N on AVSBench, as the authors do it, on one process or many (torchrun).

Loss: BCE + Dice on the supervised frames; Adam without weight decay; the whole network learns,
backbone included, while the audio net stays frozen.  The best network on the *val* split is kept.
"""

from __future__ import annotations

import dataclasses
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as image

from avs_ros.evaluation.avsbench import AVSBenchClip
from avs_ros.evaluation.metrics import m_j
from avs_ros.models import audio
from avs_ros.models.audio.network import AudioNetwork
from avs_ros.models.c3n import C3N
from avs_ros.models.checkpoints import load_backbone, load_network, save_c3n
from avs_ros.models.label_similarity import load_similarity
from avs_ros.models.labels import imagenet
from avs_ros.training import distributed, resume
from avs_ros.training.config import TrainConfig
from avs_ros.training.data import (
    AVSBenchDataset,
    ClipTensors,
    heard_in,
    heard_once,
    segmentation_loss,
)
from avs_ros.training.report import RunReporter

logger = logging.getLogger(__name__)
Net = TypeVar("Net", bound=nn.Module)


def seed_step(seed: int, epoch: int, step: int, rank: int) -> None:
    """Make this step's random numbers (DropPath) a function of its place in the run alone."""
    value = int(np.random.SeedSequence((seed, epoch, step, rank)).generate_state(1)[0])
    random.seed(value)
    torch.manual_seed(value)


class Trainer(Generic[Net]):
    """One training run; :meth:`run` continues from ``state.pt`` in ``output`` when told to.

    ``Net``: a network with a ``backbone`` that says which pixels it wants (``C3N``; a subclass
    that overrides :meth:`batch_loss` and :meth:`probability` trains another one).
    """

    def __init__(
        self,
        config: TrainConfig,
        network: Net,
        clips: Mapping[str, Sequence[AVSBenchClip]],
        audio_encoder: AudioNetwork,
        output: Path,
        reporter: RunReporter,
        save_best: Callable[[Net, Path, dict[str, Any]], None],
        device: torch.device,
    ) -> None:
        """``clips``: split -> clips (``train`` and ``val``).  ``save_best``: writes a network with
        what its training was (settings and scores).
        """
        self.config = config
        self.device = device
        self._heard = heard_once(output, audio_encoder.to(device), clips, reporter)
        self.network = network.to(self.device)
        self.output = output
        self.reporter = reporter
        self.save_best = save_best
        self.data = {
            split: AVSBenchDataset(
                found, config.image_size, split == "train" and config.augment, config.seed
            )
            for split, found in clips.items()
        }
        self.model: nn.Module = distributed.wrap(self.network, self.device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        half = config.amp and self._mixed_type() == torch.float16
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=half)
        self.progress = resume.Progress()
        self._state = output / "state.pt"
        self._parts = {
            "network": self.network, "optimiser": self.optimiser, "scaler": self.scaler,
        }

    # -- batches -----------------------------------------------------------------------------
    def _batches(self, epoch: int, skip: int) -> Iterator[list[ClipTensors]]:
        """The batches of this process in one epoch, without the first ``skip`` of them."""
        data = self.data["train"]
        data.epoch = epoch
        order = np.random.default_rng((self.config.seed, epoch)).permutation(len(data))
        mine = distributed.share(order)
        size = self.config.batch_clips
        batches = [mine[i : i + size].tolist() for i in range(0, len(mine), size)]
        yield from torch.utils.data.DataLoader(
            data, batch_sampler=batches[skip:], num_workers=self.config.workers, collate_fn=list
        )

    def _autocast(self) -> AbstractContextManager[Any]:
        if not self.config.amp:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self._mixed_type())

    def _mixed_type(self) -> torch.dtype:
        """bfloat16, which needs no scaling, but float16 on GPUs that only emulate it."""
        if self.device.type != "cuda":
            return torch.bfloat16
        major, _ = torch.cuda.get_device_capability(self.device)
        return torch.bfloat16 if major >= 8 else torch.float16

    def _forward(self, batch: Sequence[ClipTensors], split: str) -> Tensor:
        """Logits ``[sum of T, 1, size, size]`` of a batch of equally long clips."""
        frames = torch.cat([sample.frames for sample in batch]).to(self.device)
        feature, scores = (part.to(self.device) for part in self.heard(batch, split))
        count = batch[0].frames.shape[0]
        with self._autocast():
            logits: Tensor = self.model(
                self._normalised(frames), feature, scores, frames_per_clip=count
            )
        return logits.float()

    def heard(self, batch: Sequence[ClipTensors], split: str) -> tuple[Tensor, Tensor]:
        """Audio features ``[sum of T, A]`` and AudioSet logits ``[sum of T, 527]``, on the CPU."""
        clips = self.data[split].clips
        return heard_in(self._heard, [clips[sample.index] for sample in batch])

    def _normalised(self, frames: Tensor) -> Tensor:
        backbone: Any = self.network.backbone
        mean, std = list(backbone.image_mean), list(backbone.image_std)
        normalised: Tensor = image.normalize(frames, mean, std)
        return normalised

    def batch_loss(self, batch: Sequence[ClipTensors]) -> Tensor:
        """What a training step minimises; another network overrides it."""
        masks = torch.cat([sample.masks for sample in batch]).to(self.device)
        bce, dice = segmentation_loss(
            self._forward(batch, "train"),
            masks,
            supervise=self.config.supervise,
            frames_per_clip=batch[0].frames.shape[0],
            bce_weight=self.config.bce_weight,
        )
        return bce + dice

    def probability(self, sample: ClipTensors) -> Tensor:
        """Answer for a validation clip, 0..1 ``[T, size, size]``; overridden like the loss."""
        # C3N's channel weights are gradients, so autograd stays on; nothing is kept of it.
        return torch.sigmoid(self._forward([sample], "val").detach().cpu()[:, 0])

    # -- the loop ----------------------------------------------------------------------------
    def run(self, *, continue_run: bool = False) -> float:
        """Train to the end; return the best validation M_J.

        Interrupted (Ctrl-C), the run leaves a resume point and raises KeyboardInterrupt.
        """
        if continue_run and self._state.is_file():
            self.progress = resume.load(self._state, self._parts)
            logger.info("continuing at epoch %d step %d", self.progress.epoch, self.progress.step)
        try:
            while self.progress.epoch < self.config.epochs:
                self._epoch()
                values = self._validate()
                self.reporter.epoch(self.progress.epoch, values)
                if distributed.is_first() and values["val_miou"] > self.progress.best:
                    about = {"training": dataclasses.asdict(self.config), "scores": values}
                    self.save_best(self.network, self.output / "best.safetensors", about)
                self.progress.best = max(self.progress.best, values["val_miou"])
                self.progress.epoch, self.progress.step = self.progress.epoch + 1, 0
                self._save()
        except KeyboardInterrupt:
            # Only whole updates count: a run killed between them repeats the current one.
            self._save()
            raise
        return self.progress.best

    def _save(self) -> None:
        if distributed.is_first():
            resume.save(self._state, self.progress, self._parts)

    def _epoch(self) -> None:
        config, progress = self.config, self.progress
        mine = len(distributed.share(np.arange(len(self.data["train"]))))
        steps = -(-mine // config.batch_clips)
        for group in self.optimiser.param_groups:
            group["lr"] = config.learning_rate_at(progress.epoch)
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        started, updates, pending = time.monotonic(), 0, progress.step
        total = torch.zeros(())
        for batch in self._batches(progress.epoch, progress.step):
            seed_step(config.seed, progress.epoch, pending, distributed.rank())
            loss = self.batch_loss(batch)
            pending += 1
            self.scaler.scale(loss / config.accumulate).backward()
            total = total + loss.detach().cpu()
            if pending % config.accumulate and pending < steps:
                continue
            self.scaler.step(self.optimiser)
            self.scaler.update()
            self.optimiser.zero_grad(set_to_none=True)
            done = pending - progress.step
            progress.step = pending
            updates += 1
            values = {
                "loss": float(total) / done,
                "learning_rate": self.optimiser.param_groups[0]["lr"],
                "seconds": time.monotonic() - started,
            }
            total = torch.zeros(())
            self.reporter.step(progress.epoch, pending, steps, values)
            if updates % config.checkpoint_every == 0:
                self._save()

    def _validate(self) -> dict[str, float]:
        """Mean M_J over the val split, one clip a batch, annotated frames only."""
        self.network.eval()
        data = self.data["val"]
        scores = []
        for index in distributed.share(np.arange(len(data)), pad=False):
            sample = data[int(index)]
            keep = sample.annotated
            scores.append(m_j(self.probability(sample)[keep], sample.masks[keep, 0]))
        return {"val_miou": distributed.mean(scores, self.device)}


def train_c3n(
    config: TrainConfig,
    clips: Mapping[str, Sequence[AVSBenchClip]],
    output: Path,
    reporter: RunReporter,
    device: torch.device,
    *,
    resume: bool,
) -> float:
    """Train; the best network on *val* is kept in ``output``, its M_J returned.

    The audio net is frozen; without ``audio_weights`` it is random, the same for the same seed.
    ``visual_weights`` fills the backbone (ImageNet file), ``init_from`` the whole network (for
    example the best one of a run on S4); CheckpointError where a file does not fit.
    """
    torch.manual_seed(config.seed)
    net = audio.build(config.audio, checkpoint=config.audio_weights or None)
    net.requires_grad_(False)
    torch.manual_seed(config.seed)
    network = C3N(
        config.visual, net.feature_width, load_similarity(config.similarity or None),
        channels=config.channels, image_size=config.image_size,
    )
    if config.visual_weights:
        load_backbone(network.backbone, config.visual_weights)
    if config.init_from:
        load_network(network, config.init_from)

    def save_best(best: C3N, path: Path, about: dict[str, Any]) -> None:
        save_c3n(path, best, config.audio, imagenet().names, about)

    trainer = Trainer(config, network, clips, net, output, reporter, save_best, device)
    return trainer.run(continue_run=resume)
