"""The first step: a segmenter of everything that could sound, whether it does or not."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from avs_ros.models.avsc import AVSC, SegmenterOutput, Target, silent_aware_loss
from avs_ros.models.light import LightC3N
from avs_ros.training import resume
from avs_ros.training.report import RunReporter
from avs_ros.training.trainer import seed_step
from recipes.avsc_light.buffer import Features, SceneBuffer, shrink, target
from recipes.avsc_light.scenes import InstanceSampler
from recipes.avsc_light.settings import AVSCLightSettings
from recipes.avsc_light.validation import scores
from recipes.c3n_light.visual_stage import pixels, see

logger = logging.getLogger(__name__)
# Cells of the teacher's maps: half of the masks' side.
COARSER = 2
BIAS_HASTE = 10.0


class SegmenterTraining:
    """One run; :meth:`run` continues from ``segmenter.pt`` in ``output`` when told to.

    ``teacher``: the light C3N whose backbone the network starts from.
    """

    def __init__(
        self,
        settings: AVSCLightSettings,
        net: AVSC,
        teacher: LightC3N,
        work: Path,
        output: Path,
        reporter: RunReporter,
    ) -> None:
        self.settings = settings
        self.net = net
        self.teacher = teacher.eval().requires_grad_(False)
        self.work, self.output, self.reporter = work, output, reporter
        self.side = settings.image_size // 4
        self.head = list(net.segmenter.parameters())
        self.trunk = list(net.backbone.parameters())
        # Folded biases are large: at the weights' rate they would not move by a half's digit.
        groups = (
            self.head,
            *([p for p in self.trunk if (p.ndim == 1) == b] for b in (False, True)),
        )
        self.optimiser = torch.optim.AdamW(
            [{"params": group} for group in groups],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self.average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(settings.ema))
        self.progress = resume.Progress()

    @torch.no_grad()
    def see(self, frames: Tensor) -> tuple[Features, Tensor]:
        """Features of the network as it is, and the teacher's categories, ``[B, K, s/8, s/8]``."""
        self.net.eval()
        features = self.net.features(frames)
        return features, self.teach(frames)

    @torch.no_grad()
    def teach(self, frames: Tensor) -> Tensor:
        """The teacher's probability of each category, without a sound."""
        side = (self.teacher.image_size,) * 2
        large = functional.interpolate(frames, size=side, mode="bilinear", align_corners=False)
        semantic, _, _ = see(self.teacher, large)
        with_nothing = functional.pad(semantic, (0, 0, 0, 0, 1, 0))
        half = (self.side // COARSER,) * 2
        return functional.adaptive_avg_pool2d(with_nothing.softmax(1)[:, 1:], half)

    def run(self, *, continue_run: bool = False) -> AVSC:
        """Train to the end; the averaged network with the best validation is returned.

        Interrupted (Ctrl-C), the run leaves a resume point and raises KeyboardInterrupt.
        """
        settings, state = self.settings, self.output / "segmenter.pt"
        parts = {"network": self.net, "optimiser": self.optimiser, "average": self.average}
        if continue_run and state.is_file():
            self.progress = resume.load(state, parts)
            logger.info("segmenter: continuing at epoch %d", self.progress.epoch)
        best = self.output / "segmenter_best.pt"
        if self.progress.epoch < settings.epochs:
            sampler = InstanceSampler(self.work, False, settings.image_size, settings.seed)
            sampler.rng = np.random.default_rng((settings.seed, self.progress.epoch))
            held = InstanceSampler(self.work, True, settings.image_size, settings.seed)
            buffer: SceneBuffer | None = None
            try:
                while self.progress.epoch < settings.epochs:
                    live = self.progress.epoch >= settings.epochs - settings.live_epochs
                    if buffer is None and not live:
                        buffer = SceneBuffer(sampler.scene, self.see, settings.capacity, self.side)
                        buffer.refresh(settings.capacity)
                    self._epoch(None if live else buffer, sampler)
                    values = self.validate(held)
                    self.reporter.epoch(self.progress.epoch, values)
                    value = values["val_miou"] + values["val_recall"]
                    if value > self.progress.best:
                        self.progress.best = value
                        torch.save(self.average.module.state_dict(), best.with_suffix(".part"))
                        best.with_suffix(".part").replace(best)
                    self.progress.epoch, self.progress.step = self.progress.epoch + 1, 0
                    resume.save(state, self.progress, parts)
            except KeyboardInterrupt:
                # A half-done epoch is repeated from its start: its scenes would not be the same.
                logger.info("segmenter: interrupted in epoch %d", self.progress.epoch + 1)
                raise
        self.net.load_state_dict(torch.load(best, weights_only=True))
        return self.net.eval()

    def _rates(self, step: int, live: bool) -> tuple[float, float, float]:
        """Learning rates of head, backbone's weights and its biases; each part falls to zero."""
        settings = self.settings
        before = (settings.epochs - settings.live_epochs) * settings.epoch_steps
        first, last = (before, settings.epochs * settings.epoch_steps) if live else (0, before)
        share = min(1.0, (step - first + 1) / 100)
        share *= (1 - (step - first) / (last - first)) ** 0.9 + 1e-3
        head = settings.live_rate if live else settings.learning_rate
        trunk = settings.backbone_rate
        return head * share, trunk * share, BIAS_HASTE * trunk * share

    def _epoch(self, buffer: SceneBuffer | None, sampler: InstanceSampler) -> None:
        """``settings.epoch_steps`` steps, on kept features or (without a buffer) on images."""
        settings, progress = self.settings, self.progress
        self.net.train()
        started, total = time.monotonic(), 0.0
        for number in range(settings.epoch_steps):
            seed_step(settings.seed, progress.epoch, number, 0)
            step = progress.epoch * settings.epoch_steps + number
            rates = self._rates(step, buffer is None)
            for group, rate in zip(self.optimiser.param_groups, rates, strict=True):
                group["lr"] = rate
            if buffer is None:
                scenes = [sampler.scene() for _ in range(settings.live_batch)]
                frames = pixels(np.stack([scene.image for scene in scenes]))
                targets = [target(shrink(s.ids, self.side), s.parts) for s in scenes]
                output, soft = self.net.segment(frames), self.teach(frames)
            else:
                buffer.refresh(settings.fresh)
                self.net.train()
                batch = buffer.batch(settings.batch, sampler.rng)
                output = self.net.segment_features(batch.features)
                targets, soft = batch.targets, batch.teacher
            losses = self.losses(output, targets, soft)
            loss = torch.stack(list(losses.values())).sum()
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
            self.optimiser.step()
            self.average.update_parameters(self.net)
            total += loss.item()
            values = {name: float(value.detach()) for name, value in losses.items()}
            values |= {"loss": total / (number + 1), "seconds": time.monotonic() - started}
            self.reporter.step(progress.epoch, number + 1, settings.epoch_steps, values)

    def losses(
        self, output: SegmenterOutput, targets: list[Target], soft: Tensor
    ) -> dict[str, Tensor]:
        """The objective and the teacher's part of it, weighted."""
        parts = silent_aware_loss(output, targets, mode=self.settings.mode)
        if self.settings.distil:
            parts = {**parts, "distil": self.settings.distil * distillation(output, soft)}
        return parts

    @torch.no_grad()
    def validate(self, held: InstanceSampler) -> dict[str, float]:
        """Scores of the averaged network on the held-out images."""
        average: Any = self.average.module.eval()
        outputs, targets = [], []
        for index in held.indices:
            scene = held.whole(index)
            outputs.append(average.segment(pixels(scene.image[None])))
            targets.append(target(shrink(scene.ids, self.side), scene.parts))
        return dict(scores(outputs, targets))


def distillation(output: SegmenterOutput, soft: Tensor) -> Tensor:
    """Cross-entropy of the queries' sum per category with the teacher's maps ``[B, K, t, t]``."""
    probability = output.class_logits.softmax(-1)[..., :-1]
    masks = functional.adaptive_avg_pool2d(output.mask_logits.sigmoid(), soft.shape[-1])
    said = torch.einsum("bnk,bnhw->bkhw", probability, masks).clamp(1e-4, 1 - 1e-4)
    return functional.binary_cross_entropy(said, soft, reduction="none").sum(1).mean()
