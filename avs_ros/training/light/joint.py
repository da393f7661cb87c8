"""Both halves together: real gates, real sounds, every tensor moves."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.models.audio.registry import build
from avs_ros.models.light import LightC3N, LightOutput
from avs_ros.models.light.folding import fold_batch_norm
from avs_ros.segmentation import Bytes, Float
from avs_ros.training.light.deciding import family_truth, gate_loss, visible_families
from avs_ros.training.light.distortion import distort, noise
from avs_ros.training.light.families import FAMILIES, FAMILY_NAMES, SOUNDS, VOICE_NAMES, VOICES
from avs_ros.training.light.hearing import (
    SoundSampler,
    last_second,
    voice_loss,
    voice_targets,
    voices_with_sounds,
)
from avs_ros.training.light.pictures import IGNORE
from avs_ros.training.light.recordings import RATE
from avs_ros.training.light.scenes import SceneSampler
from avs_ros.training.light.seeing import SMALL_SIZE, map_losses, new_network, pixels
from avs_ros.training.light.similarity import log_affinity
from avs_ros.training.light.synthetic_sounds import GENERATORS

BATCH = 8
# Share of the way back to the starting weights before the last step, and the pull after it.
KEPT_SEEING, KEPT_HEARING, RETENTION = 0.5, 0.45, 0.3
# What the last step has taken away again from hearing is given back once more at the end.
KEPT_AT_THE_END = 0.15


class PairSampler:
    """Scenes with a second of sound: made by something visible, by something else, or none."""

    def __init__(self, work: Path, seed: int) -> None:
        self.scenes = SceneSampler(work, False, SMALL_SIZE, seed)
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

    def draw(self) -> tuple[Bytes, Bytes, Float, Float]:
        """Picture, family mask, window ``[16000]``, voice targets ``[V]``."""
        rng = self.rng
        image, mask, _ = self.scenes.draw()
        visible = np.nonzero(visible_families(mask) > 0)[0]
        possible = [k for k in visible if self._sources[FAMILY_NAMES[k]]]
        dice = rng.random()
        if possible and dice < 0.6:
            window, target = self._made_by(FAMILY_NAMES[int(rng.choice(possible))])
        elif dice < 0.9:
            context, target = self.sounds.draw()
            window = last_second(context, rng)
        else:
            gain = np.float32(10 ** rng.uniform(-4, -1.5) * (rng.random() < 0.7))
            return image, mask, noise(rng, RATE) * gain, np.zeros(len(VOICES), np.float32)
        return image, mask, distort(rng, window), target

    def _made_by(self, family: str) -> tuple[Float, Float]:
        rng = self.rng
        sources = self._sources[family]
        name, synthetic = sources[int(rng.integers(len(sources)))]
        if synthetic:
            target = np.zeros(len(VOICES), np.float32)
            target[VOICE_NAMES.index(name)] = 1.0
            return last_second(GENERATORS[name](rng, 2.0), rng), target
        index = int(rng.choice(self.sounds.library.by_sound[name]))
        context = self.sounds.library.cut(index, 3.0, rng)
        return last_second(context, rng), voice_targets(name)


def sounding_losses(out: LightOutput, masks: Tensor, truth: Tensor) -> Tensor:
    """C3N's mask and the family layers against what sounds.

    ``masks`` ``[B, S, S]`` long; ``truth`` ``[B, K]``: 1 the family sounds, 0 not, -1 unknown.
    """
    size = out.masks.shape[2:]
    small = functional.interpolate(masks[:, None].float(), size=size, mode="nearest")[:, 0].long()
    each = functional.one_hot(small.clamp(max=len(FAMILIES)), len(FAMILIES) + 1)
    each = each.permute(0, 3, 1, 2)[:, 1:].float()
    known = (small != IGNORE).float() * (
        1 - (each * (truth < 0).float()[:, :, None, None]).amax(1)
    )
    sounding = (each * (truth > 0).float()[:, :, None, None]).amax(1)
    loss = masked_loss(out.objectness[:, 0], sounding, known)
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


def assemble(data: Path, work: Path) -> LightC3N:
    """The network with what ``seeing`` and ``hearing`` have learned."""
    net = new_network(data)
    net.load_state_dict(torch.load(work / "seeing.pt", weights_only=True)["net"])
    heard = torch.load(work / "hearing.pt", weights_only=True)["net"]
    for name, part in (("hearing", net.hearing), ("affinity", net.affinity)):
        own = {key[len(name) + 1 :]: t for key, t in heard.items() if key.startswith(name + ".")}
        part.load_state_dict(own)
    with torch.no_grad():
        net.objectness_gain.fill_(0.05)
    return net


def assemble_settled(data: Path, work: Path) -> LightC3N:
    """The jointly trained network with both classifiers led half of the way back.

    Fine-tuning on few pictures and sounds forgets classes that are not among them (ImageNet's
    instruments, AudioSet's hooves).  The mean of the weights before and after keeps most of both.
    """
    net = new_network(data)
    net.load_state_dict(torch.load(work / "joint.pt", weights_only=True)["net"])
    lead_back(net, data, KEPT_SEEING, KEPT_HEARING)
    return net


def lead_back(net: LightC3N, data: Path, seeing: float, hearing: float) -> None:
    """Move both classifiers this share of the way back to their starting weights, in place.

    Voices that training never heard go back to what AudioSet's ontology says of them.
    """
    start = new_network(data)
    ear = build("efficientat_mn04", data / "weights" / "efficientat_mn04_audioset.safetensors")
    start.hearing.load_state_dict(fold_batch_norm(ear).state_dict())
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
        learned = voices_with_sounds()
        others = [v for v in range(len(VOICES)) if v not in learned]
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


def train_joint(
    data: Path,
    work: Path,
    minutes: float,
    report: Callable[[str], None],
    settle: bool = False,
    seed: int = 5,
) -> Path:
    """Train everything together; writes (and resumes from) ``work/joint.pt``.

    ``settle``: the last step instead, ``work/settled.pt``: start half of the way back, go slowly,
    and stay near what the starting point knew.
    """
    target = work / ("settled.pt" if settle else "joint.pt")
    torch.manual_seed(seed)
    net = assemble_settled(data, work) if settle else assemble(data, work)
    start = new_network(data).eval() if settle else None
    spent, steps = 0.0, 0
    if target.exists():
        saved = torch.load(target, weights_only=True)
        net.load_state_dict(saved["net"])
        spent, steps = saved["minutes"], saved["steps"]
    sampler = PairSampler(work, seed + steps)
    optimiser = torch.optim.AdamW(_groups(net, 0.4 if settle else 1.0))
    base = [group["lr"] for group in optimiser.param_groups]
    net.train()
    net.hearing.eval()
    began = time.monotonic() - spent * 60
    running = 0.0
    while (done := (time.monotonic() - began) / 60 / minutes) < 1:
        for group, rate in zip(optimiser.param_groups, base, strict=True):
            group["lr"] = rate * min(1.0, (steps + 1) / 30) * (1 - done) ** 0.9
        loss = _step_loss(net, sampler, start)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        value = loss.item()
        running = 0.97 * running + 0.03 * value if steps else value
        steps += 1
        if steps % 20 == 0:
            now = (time.monotonic() - began) / 60
            report(f"{target.stem} {now:5.1f} min, step {steps}, loss {running:.3f}")
            torch.save({"net": net.state_dict(), "minutes": now, "steps": steps}, target)
    torch.save({"net": net.state_dict(), "minutes": minutes, "steps": steps}, target)
    return target


def _step_loss(net: LightC3N, sampler: PairSampler, start: LightC3N | None) -> Tensor:
    pairs = [sampler.draw() for _ in range(BATCH)]
    frames = pixels(np.stack([pair[0] for pair in pairs]))
    masks = torch.from_numpy(np.stack([pair[1] for pair in pairs])).long()
    feature, logits = net.hearing(torch.from_numpy(np.stack([pair[2] for pair in pairs])))
    voices = torch.from_numpy(np.stack([pair[3] for pair in pairs]))
    out = net(frames, feature, logits)
    truth = family_truth(voices)
    visible = torch.from_numpy(np.stack([visible_families(pair[1]) for pair in pairs]))
    both = torch.where((visible > 0) & (truth > 0), 1.0, 0.0)
    unknown = ((visible < 0) & (truth != 0)) | ((truth < 0) & (visible != 0))
    loss = map_losses(out.semantic, out.class_maps, masks)
    loss = loss + 0.5 * sounding_losses(out, masks, truth)
    loss = loss + 0.5 * gate_loss(out.gate, torch.where(unknown, -1.0, both))
    if start is not None:
        loss = loss + RETENTION * retention_loss(net, start, frames)
    return loss + 0.5 * voice_loss(out.voices, voices)


def _groups(net: LightC3N, speed: float) -> list[dict[str, object]]:
    slow = list(net.c3n.backbone.parameters())
    ears = list(net.hearing.parameters())
    known = {id(p) for p in (*slow, *ears)}
    rest = [p for p in net.parameters() if id(p) not in known]
    # Folded biases are large numbers: at the weights' rate they would not move by a half's digit.
    biases = [p for p in (*slow, *ears) if p.ndim == 1]
    weights = [p for p in (*slow, *ears) if p.ndim > 1]
    return [
        {"params": weights, "lr": 4e-5 * speed, "weight_decay": 1e-4},
        {"params": biases, "lr": 1e-3 * speed, "weight_decay": 0.0},
        {"params": rest, "lr": 7e-4, "weight_decay": 1e-4},
    ]
