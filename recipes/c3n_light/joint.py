"""Both halves together: real gates, real sounds, every tensor moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from avs_ros.evaluation.composite import held_out
from avs_ros.models.light.network import LightC3N, LightOutput
from avs_ros.models.light.vocabulary import CATEGORIES, CATEGORY_NAMES, SOUND_CLASSES, SOUNDS
from avs_ros.segmentation import Bytes, Float
from avs_ros.sound import SAMPLE_RATE
from recipes.c3n_light.audio_stage import (
    SoundSampler,
    last_second,
    sound_class_loss,
    sound_class_target,
    sound_class_targets,
    sound_classes_without_recordings,
    start_audio_encoder,
)
from recipes.c3n_light.distortion import distort, noise
from recipes.c3n_light.evidence import category_truth, visible_categories
from recipes.c3n_light.gate_training import gate_loss
from recipes.c3n_light.images import IGNORE
from recipes.c3n_light.scenes import SceneSampler
from recipes.c3n_light.similarity import log_affinity
from recipes.c3n_light.synthetic_sounds import GENERATORS
from recipes.c3n_light.visual_stage import SMALL_SIZE, map_losses, new_network, pixels

# Sounds drawn before a scene gets none: some may not go with what it shows.
TRIES = 5
# Share of the way back to the starting weights before the last step, and the pull after it.
INTERPOLATION_VISUAL, INTERPOLATION_AUDIO, RETENTION = 0.5, 0.45, 0.3
# What the last step has taken away again from hearing is given back once more at the end.
INTERPOLATION_END = 0.15
# The same for an audio encoder that learned by itself: with 0.2 to 0.5 held-out recordings are
# heard as well or better, and sounds that no recording has (motors at speed, singing, drums) come
# back.
INTERPOLATION_AUDIO_ALONE = 0.5


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
        category = {sound_class.name: sound_class.category for sound_class in SOUND_CLASSES}
        self._sources: dict[str, list[tuple[str, bool]]] = {name: [] for name in CATEGORY_NAMES}
        for sound, (is_sound_class, _) in SOUNDS.items():
            for sound_class in is_sound_class:
                if sound in self.sounds.library.by_sound:
                    self._sources[category[sound_class]].append((sound, False))
        for sound_class in GENERATORS:
            self._sources[category[sound_class]].append((sound_class, True))

    def seed(self, *key: int) -> None:
        """Draw with this RNG from now on."""
        self.rng = np.random.default_rng(key)
        self.scenes.rng = self.sounds.rng = self.rng

    def draw(self) -> tuple[Bytes, Bytes, Float, Float]:
        """Image, category mask, window ``[16000]``, sound class targets ``[V]``."""
        image, mask, _ = self.scenes.draw()
        window, target = self.sound_for(mask)
        return image, mask, window, target

    def sound_for(self, mask: Bytes) -> tuple[Float, Float]:
        """A second for a scene with this category mask, and its sound class targets."""
        rng = self.rng
        visible = np.nonzero(visible_categories(mask) > 0)[0]
        shown = [CATEGORY_NAMES[int(k) - 1] for k in np.unique(mask) if 0 < k < IGNORE]
        possible = [CATEGORY_NAMES[k] for k in visible if self._sources[CATEGORY_NAMES[k]]]
        draw, made = rng.random(), None
        if possible and draw < 0.6:
            made = self._made_by(str(rng.choice(possible)), shown)
        elif draw < 0.9:
            made = self._any(shown)
        if made is None:
            gain = np.float32(10 ** rng.uniform(-4, -1.5) * (rng.random() < 0.7))
            return noise(rng, SAMPLE_RATE) * gain, np.zeros(len(SOUND_CLASSES), np.float32)
        return distort(rng, made[0]), made[1]

    def _any(self, shown: list[str]) -> tuple[Float, Float] | None:
        for _ in range(TRIES):
            context, target, name = self.sounds.draw_named()
            if not any(held_out(category, name) for category in shown):
                return last_second(context, self.rng), target
        return None

    def _made_by(self, category: str, shown: list[str]) -> tuple[Float, Float] | None:
        rng = self.rng
        sources = [
            (name, synthetic)
            for name, synthetic in self._sources[category]
            if not any(held_out(other, name) for other in shown)
        ]
        if not sources:
            return None
        name, synthetic = sources[int(rng.integers(len(sources)))]
        if synthetic:
            return last_second(GENERATORS[name](rng, 2.0), rng), sound_class_target(name)
        index = int(rng.choice(self.sounds.library.by_sound[name]))
        context = self.sounds.library.cut(index, 3.0, rng)
        return last_second(context, rng), sound_class_targets(name)


def _categories_at(masks: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Category masks at ``size`` ``[B, h, w]``, and one layer for each category
    ``[B, K, h, w]``.
    """
    small = functional.interpolate(masks[:, None].float(), size=size, mode="nearest")[:, 0].long()
    each = functional.one_hot(small.clamp(max=len(CATEGORIES)), len(CATEGORIES) + 1)
    return small, each.permute(0, 3, 1, 2)[:, 1:].float()


def sounding_truth(masks: Tensor, truth: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The sounding object, and where that is known: ``[B, h, w]`` 0|1 each; arguments as below."""
    small, each = _categories_at(masks, size)
    known = (small != IGNORE).float() * (
        1 - (each * (truth < 0).float()[:, :, None, None]).amax(1)
    )
    return (each * (truth > 0).float()[:, :, None, None]).amax(1), known


def sounding_losses(out: LightOutput, masks: Tensor, truth: Tensor) -> Tensor:
    """C3N's mask and the category layers against the sounding object.

    ``masks`` ``[B, S, S]`` long; ``truth`` ``[B, K]``: 1 the category sounds, 0 not, -1 unknown.
    """
    size = (int(out.masks.shape[2]), int(out.masks.shape[3]))
    sounding, known = sounding_truth(masks, truth, size)
    loss = masked_loss(out.objectness[:, 0], sounding, known)
    small, each = _categories_at(masks, size)
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


def interpolate_weights(net: LightC3N, data: Path, visual: float, audio_encoder: float) -> None:
    """Move both classifiers this share of the way back to their starting weights, in place.

    Sound classes that nobody recorded go back to what AudioSet's ontology says of them.
    """
    start = new_network(data, net.c3n.channels, net.c3n.image_size)
    start_audio_encoder(start, data)
    before = dict(start.named_parameters())
    categories = len(CATEGORIES)
    with torch.no_grad():
        for name, tensor in net.named_parameters():
            if name.startswith("c3n.backbone.net.classifier"):
                tensor[:-categories].lerp_(before[name][:-categories], visual)
            elif name.startswith("c3n.backbone"):
                tensor.lerp_(before[name], visual)
            elif name.startswith("audio_encoder"):
                tensor.lerp_(before[name], audio_encoder)
        others = sound_classes_without_recordings()
        learned = [v for v in range(len(SOUND_CLASSES)) if v not in others]
        net.affinity.log_affinity[others] = log_affinity()[others]
        for scale in (net.affinity.gain, net.affinity.bias):
            scale[others] = scale[learned].mean()


def retention_loss(net: LightC3N, start: LightC3N, frames: Tensor) -> Tensor:
    """How far ImageNet's rows, at every position, have moved from where they started."""
    rows = len(CATEGORIES)

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


class JointStage:
    """Everything together: maps, sounding masks, gate and sound classes on pairs.

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
        net.audio_encoder.eval()

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
    """Every loss of images with sounds; with ``start`` also the pull back to what it knew."""
    where = net.semantic.weight.device
    frames = pixels(np.stack([pair[0] for pair in pairs])).to(where)
    masks = torch.from_numpy(np.stack([pair[1] for pair in pairs])).long().to(where)
    windows = torch.from_numpy(np.stack([pair[2] for pair in pairs])).to(where)
    feature, logits = net.audio_encoder(windows)
    sound_classes = torch.from_numpy(np.stack([pair[3] for pair in pairs]))
    out = net(frames, feature, logits)
    truth = category_truth(sound_classes).to(where)
    sound_classes = sound_classes.to(where)
    visible = torch.from_numpy(np.stack([visible_categories(pair[1]) for pair in pairs])).to(where)
    both = torch.where((visible > 0) & (truth > 0), 1.0, 0.0)
    unknown = ((visible < 0) & (truth != 0)) | ((truth < 0) & (visible != 0))
    loss = map_losses(out.semantic, out.class_maps, masks)
    loss = loss + 0.5 * sounding_losses(out, masks, truth)
    loss = loss + 0.5 * gate_loss(out.gate, torch.where(unknown, -1.0, both))
    if start is not None:
        loss = loss + RETENTION * retention_loss(net, start, frames)
    return loss + 0.5 * sound_class_loss(out.sound_classes, sound_classes)


def _groups(net: LightC3N, speed: float) -> list[dict[str, Any]]:
    slow = [p for p in net.c3n.backbone.parameters() if p.requires_grad]
    audio_encoder_parameters = list(net.audio_encoder.parameters())
    known = {id(p) for p in (*net.c3n.backbone.parameters(), *audio_encoder_parameters)}
    rest = [p for p in net.parameters() if id(p) not in known]
    # Folded biases are large numbers: at the weights' rate they would not move by a half's digit.
    biases = [p for p in (*slow, *audio_encoder_parameters) if p.ndim == 1]
    weights = [p for p in (*slow, *audio_encoder_parameters) if p.ndim > 1]
    return [
        {"params": weights, "lr": 4e-5 * speed, "weight_decay": 1e-4},
        {"params": biases, "lr": 1e-3 * speed, "weight_decay": 0.0},
        {"params": rest, "lr": 7e-4, "weight_decay": 1e-4},
    ]
