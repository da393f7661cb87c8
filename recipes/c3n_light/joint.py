"""Both halves together: real gates, real sounds, every tensor moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from avs_ros.evaluation.held_out_pairs import held_out
from avs_ros.models.light import LightC3N, LightOutput
from avs_ros.models.light.families import FAMILIES, FAMILY_NAMES, SOUNDS, VOICES
from avs_ros.segmentation import Bytes, Float
from avs_ros.sound import SAMPLE_RATE
from recipes.c3n_light.deciding import gate_loss
from recipes.c3n_light.distortion import distort, noise
from recipes.c3n_light.evidence import family_truth, visible_families
from recipes.c3n_light.hearing import (
    SoundSampler,
    last_second,
    start_hearing,
    voice_loss,
    voice_target,
    voice_targets,
    voices_without_recordings,
)
from recipes.c3n_light.pictures import IGNORE
from recipes.c3n_light.scenes import SceneSampler
from recipes.c3n_light.seeing import SMALL_SIZE, map_losses, new_network, pixels
from recipes.c3n_light.similarity import log_affinity
from recipes.c3n_light.synthetic_sounds import GENERATORS

# Sounds drawn before a scene gets none: some may not go with what it shows.
TRIES = 5
# Share of the way back to the starting weights before the last step, and the pull after it.
KEPT_SEEING, KEPT_HEARING, RETENTION = 0.5, 0.45, 0.3
# What the last step has taken away again from hearing is given back once more at the end.
KEPT_AT_THE_END = 0.15
# The same for an ear that learned by itself: with 0.2 to 0.5 held-out recordings are heard as well
# or better, and sounds that no recording has (motors at speed, singing, drums) come back.
KEPT_HEARING_ALONE = 0.5


class PairSampler:
    """Scenes with a second of sound: made by something visible, by something else, or none.

    Pairs of ``held_out_pairs`` never come together.
    """

    def __init__(
        self,
        work: Path,
        seed: int,
        size: int = SMALL_SIZE,
        more_of: Mapping[str, float] | None = None,
        teachers: bool = True,
    ) -> None:
        self.scenes = SceneSampler(work, False, size, seed, more_of, teachers)
        self.sounds = SoundSampler(work, False, seed)
        self.rng = np.random.default_rng(seed)
        family = {voice.name: voice.family for voice in VOICES}
        self._sources: dict[str, list[tuple[str, bool]]] = {name: [] for name in FAMILY_NAMES}
        for sound, (is_voice, _) in SOUNDS.items():
            for voice in is_voice:
                if sound in self.sounds.library.by_sound:
                    self._sources[family[voice]].append((sound, False))
        for voice in GENERATORS:
            self._sources[family[voice]].append((voice, True))

    def seed(self, *key: int) -> None:
        """Throw these dice from now on."""
        self.rng = np.random.default_rng(key)
        self.scenes.rng = self.sounds.rng = self.rng

    def draw(self) -> tuple[Bytes, Bytes, Float, Float]:
        """Picture, family mask, window ``[16000]``, voice targets ``[V]``."""
        image, mask, _ = self.scenes.draw()
        window, target = self.sound_for(mask)
        return image, mask, window, target

    def sound_for(self, mask: Bytes) -> tuple[Float, Float]:
        """A second for a scene with this family mask, and its voice targets."""
        rng = self.rng
        visible = np.nonzero(visible_families(mask) > 0)[0]
        shown = [FAMILY_NAMES[int(k) - 1] for k in np.unique(mask) if 0 < k < IGNORE]
        possible = [FAMILY_NAMES[k] for k in visible if self._sources[FAMILY_NAMES[k]]]
        dice, made = rng.random(), None
        if possible and dice < 0.6:
            made = self._made_by(str(rng.choice(possible)), shown)
        elif dice < 0.9:
            made = self._any(shown)
        if made is None:
            gain = np.float32(10 ** rng.uniform(-4, -1.5) * (rng.random() < 0.7))
            return noise(rng, SAMPLE_RATE) * gain, np.zeros(len(VOICES), np.float32)
        return distort(rng, made[0]), made[1]

    def _any(self, shown: list[str]) -> tuple[Float, Float] | None:
        for _ in range(TRIES):
            context, target, name = self.sounds.draw_named()
            if not any(held_out(family, name) for family in shown):
                return last_second(context, self.rng), target
        return None

    def _made_by(self, family: str, shown: list[str]) -> tuple[Float, Float] | None:
        rng = self.rng
        sources = [
            (name, synthetic)
            for name, synthetic in self._sources[family]
            if not any(held_out(other, name) for other in shown)
        ]
        if not sources:
            return None
        name, synthetic = sources[int(rng.integers(len(sources)))]
        if synthetic:
            return last_second(GENERATORS[name](rng, 2.0), rng), voice_target(name)
        index = int(rng.choice(self.sounds.library.by_sound[name]))
        context = self.sounds.library.cut(index, 3.0, rng)
        return last_second(context, rng), voice_targets(name)


def _families_at(masks: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Family masks at ``size`` ``[B, h, w]``, and one layer for each family ``[B, K, h, w]``."""
    small = functional.interpolate(masks[:, None].float(), size=size, mode="nearest")[:, 0].long()
    each = functional.one_hot(small.clamp(max=len(FAMILIES)), len(FAMILIES) + 1)
    return small, each.permute(0, 3, 1, 2)[:, 1:].float()


def sounding_truth(masks: Tensor, truth: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """What sounds, and where that is known: ``[B, h, w]`` 0|1 each; arguments as below."""
    small, each = _families_at(masks, size)
    known = (small != IGNORE).float() * (
        1 - (each * (truth < 0).float()[:, :, None, None]).amax(1)
    )
    return (each * (truth > 0).float()[:, :, None, None]).amax(1), known


def sounding_losses(out: LightOutput, masks: Tensor, truth: Tensor) -> Tensor:
    """C3N's mask and the family layers against what sounds.

    ``masks`` ``[B, S, S]`` long; ``truth`` ``[B, K]``: 1 the family sounds, 0 not, -1 unknown.
    """
    size = (int(out.masks.shape[2]), int(out.masks.shape[3]))
    sounding, known = sounding_truth(masks, truth, size)
    loss = masked_loss(out.objectness[:, 0], sounding, known)
    small, each = _families_at(masks, size)
    pick = (truth > 0) & (each.sum((2, 3)) > 12)
    if bool(pick.any()):
        row = torch.nonzero(pick)[:, 0]
        known = (small != IGNORE).float()[row]
        loss = loss + masked_loss(out.masks[pick], each[pick], known)
    return loss


def masked_loss(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """BCE over known pixels, plus Dice where there is something to find; ``[N, h, w]`` each."""
    bce = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    loss = (bce * known).sum() / known.sum().clamp(min=1)
    probability = torch.sigmoid(logits) * known
    area = (target * known).sum((1, 2))
    overlap = 2 * (probability * target).sum((1, 2)) + 1
    dice = 1 - overlap / (probability.sum((1, 2)) + area + 1)
    present = area > 8
    return loss + 0.5 * dice[present].mean() if bool(present.any()) else loss


def lead_back(net: LightC3N, data: Path, seeing: float, hearing: float) -> None:
    """Move both classifiers this share of the way back to their starting weights, in place.

    Voices that nobody recorded go back to what AudioSet's ontology says of them.
    """
    start = new_network(data, net.c3n.channels, net.c3n.image_size)
    start_hearing(start, data)
    before = dict(start.named_parameters())
    families = len(FAMILIES)
    with torch.no_grad():
        for name, tensor in net.named_parameters():
            if name.startswith("c3n.backbone.net.classifier"):
                tensor[:-families].lerp_(before[name][:-families], seeing)
            elif name.startswith("c3n.backbone"):
                tensor.lerp_(before[name], seeing)
            elif name.startswith("hearing"):
                tensor.lerp_(before[name], hearing)
        others = voices_without_recordings()
        learned = [v for v in range(len(VOICES)) if v not in others]
        net.affinity.log_affinity[others] = log_affinity()[others]
        for scale in (net.affinity.gain, net.affinity.bias):
            scale[others] = scale[learned].mean()


def retention_loss(net: LightC3N, start: LightC3N, frames: Tensor) -> Tensor:
    """How far ImageNet's rows, at every position, have moved from where they started."""
    rows = len(FAMILIES)

    def dense(network: LightC3N) -> Tensor:
        backbone: Any = network.c3n.backbone
        x = frames
        for index in range(4):
            x = backbone.stage(index, x)
        hidden = backbone.net.bn2(backbone.net.conv_head(x))
        head = backbone.net.classifier
        return functional.conv2d(
            hidden, head.weight[:-rows, :, None, None], head.bias[:-rows]
        ).log_softmax(1)

    with torch.no_grad():
        before = dense(start)
    now = dense(net)
    return (before.exp() * (before - now)).sum(1).mean()


class JointLesson:
    """Everything together: maps, sounding masks, gate and voices on pairs.

    ``start``: the last step instead (``settle``): go slowly from half of the way back, and stay
    near what the network ``start`` knew.
    """

    power = 0.9

    def __init__(
        self,
        net: LightC3N,
        sampler: PairSampler,
        batch: int,
        seed: int,
        start: LightC3N | None = None,
    ) -> None:
        self.name = "joint" if start is None else "settle"
        self.network, self.batch, self.key = net, batch, seed
        self._sampler, self._start = sampler, start
        net.train()
        net.hearing.eval()

    def groups(self) -> list[dict[str, Any]]:
        """Classifiers slowly, the rest fast."""
        return _groups(self.network, 1.0 if self._start is None else 0.4)

    def loss(self, step: int, done: float) -> Tensor:
        """Every loss of a batch of pairs."""
        self._sampler.seed(self.key, step)
        drawn = [self._sampler.draw() for _ in range(self.batch)]
        return pair_loss(self.network, drawn, self._start)


Pair = tuple[Bytes, Bytes, Float, Float]


def pair_loss(net: LightC3N, pairs: Sequence[Pair], start: LightC3N | None = None) -> Tensor:
    """Every loss of pictures with sounds; with ``start`` also the pull back to what it knew."""
    where = net.semantic.weight.device
    frames = pixels(np.stack([pair[0] for pair in pairs])).to(where)
    masks = torch.from_numpy(np.stack([pair[1] for pair in pairs])).long().to(where)
    windows = torch.from_numpy(np.stack([pair[2] for pair in pairs])).to(where)
    feature, logits = net.hearing(windows)
    voices = torch.from_numpy(np.stack([pair[3] for pair in pairs]))
    out = net(frames, feature, logits)
    truth = family_truth(voices).to(where)
    voices = voices.to(where)
    visible = torch.from_numpy(np.stack([visible_families(pair[1]) for pair in pairs])).to(where)
    both = torch.where((visible > 0) & (truth > 0), 1.0, 0.0)
    unknown = ((visible < 0) & (truth != 0)) | ((truth < 0) & (visible != 0))
    loss = map_losses(out.semantic, out.class_maps, masks)
    loss = loss + 0.5 * sounding_losses(out, masks, truth)
    loss = loss + 0.5 * gate_loss(out.gate, torch.where(unknown, -1.0, both))
    if start is not None:
        loss = loss + RETENTION * retention_loss(net, start, frames)
    return loss + 0.5 * voice_loss(out.voices, voices)


def _groups(net: LightC3N, speed: float) -> list[dict[str, Any]]:
    slow = [p for p in net.c3n.backbone.parameters() if p.requires_grad]
    ears = list(net.hearing.parameters())
    known = {id(p) for p in (*net.c3n.backbone.parameters(), *ears)}
    rest = [p for p in net.parameters() if id(p) not in known]
    # Folded biases are large numbers: at the weights' rate they would not move by a half's digit.
    biases = [p for p in (*slow, *ears) if p.ndim == 1]
    weights = [p for p in (*slow, *ears) if p.ndim > 1]
    return [
        {"params": weights, "lr": 4e-5 * speed, "weight_decay": 1e-4},
        {"params": biases, "lr": 1e-3 * speed, "weight_decay": 0.0},
        {"params": rest, "lr": 7e-4, "weight_decay": 1e-4},
    ]
