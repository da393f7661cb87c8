"""Teaching the accept gate when to believe that something visible makes the sound.

Pictures and sounds are turned into evidence once; pairs are then free, so the gate sees many
thousands of them: matched, mismatched, silent, noisy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from avs_ros.errors import DatasetError
from avs_ros.models.light import LightC3N
from avs_ros.models.light.selection import visible_evidence
from avs_ros.segmentation import Float
from avs_ros.training.light.distortion import distort, noise
from avs_ros.training.light.families import FAMILIES, FAMILY_NAMES, VOICE_FAMILY
from avs_ros.training.light.hearing import (
    SoundSampler,
    last_second,
    voice_loss,
    voices_without_recordings,
)
from avs_ros.training.light.held_out_pairs import held_out
from avs_ros.training.light.pictures import IGNORE, load
from avs_ros.training.light.recordings import RATE
from avs_ros.training.light.scenes import SceneSampler
from avs_ros.training.light.seeing import pixels, see

VISIBLE_SHARE = 0.004
# What the gate learns to accept: the evidence looks at the best 2 % of a picture, so of less it
# sees little, and would learn to trust the sound alone.
CLEARLY_VISIBLE_SHARE = 0.03
VEHICLES = (
    "car", "emergency vehicle", "bus", "truck", "motorcycle", "train", "airplane", "boat",
)  # fmt: skip
LIFTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
# Share of the gate's pairs that are weakened, and the noise on its evidence: best of what was
# tried on held-out pairs.
WEAKENED, DOUBT = 0.2, 1.1
# The threshold is the lowest that leaves this share of mismatched pairs empty.
EMPTY_ON_MISMATCH = 0.92


@dataclass(frozen=True)
class Evidence:
    """``seen`` ``[N, K, 3]``, ``visible`` ``[N, K]``: 1 yes, 0 no, -1 unknown."""

    seen: Tensor
    visible: Tensor


@dataclass(frozen=True)
class Sounds:
    """``logits`` ``[M, 527]``; ``voices`` ``[M, V]``, ``truth`` ``[M, K]``: 1, 0, -1 unknown.

    ``barred`` ``[M, K]``: 1 for families that training may not show with the sound.
    """

    logits: Tensor
    voices: Tensor
    truth: Tensor
    barred: Tensor | None = None


def visible_families(mask: np.ndarray, least: float = VISIBLE_SHARE) -> Float:
    """``[S, S]`` family mask -> ``[K]``: 1 visible, 0 not, -1 cannot be said (below ``least``)."""
    counts = np.bincount(mask.reshape(-1), minlength=256)[1 : len(FAMILIES) + 1] / mask.size
    out = np.where(counts >= least, 1.0, np.where(counts > 0, -1.0, 0.0))
    if np.mean(mask == IGNORE) > 0.02:
        out = np.where(out == 0, -1.0, out)
    return out.astype(np.float32)


def family_truth(voices: Tensor) -> Tensor:
    """Voice targets ``[M, V]`` -> family targets ``[M, K]`` (one voice is enough)."""
    out = torch.full((len(voices), len(FAMILIES)), -2.0)
    index = torch.tensor(VOICE_FAMILY).expand(len(voices), -1)
    certain = torch.where(voices > 0, 2.0, torch.where(voices < 0, 1.0, 0.0))
    out = out.scatter_reduce(1, index, certain, "amax")
    return torch.where(out > 1.5, 1.0, torch.where(out > 0.5, -1.0, 0.0))


@torch.no_grad()
def look(net: LightC3N, sampler: SceneSampler, count: int) -> Evidence:
    """Evidence of ``count`` augmented scenes."""
    net.eval()
    seen: list[Tensor] = []
    visible: list[Float] = []
    for _ in range(0, count, 8):
        scenes = [sampler.draw() for _ in range(8)]
        frames = pixels(np.stack([scene[0] for scene in scenes]))
        semantic, class_maps, _ = see(net, frames)
        masks = net.masks(semantic, semantic.new_zeros(len(frames), 1, *semantic.shape[2:]))
        seen.append(visible_evidence(masks, class_maps))
        visible.extend(visible_families(scene[1], CLEARLY_VISIBLE_SHARE) for scene in scenes)
    return Evidence(torch.cat(seen), torch.from_numpy(np.stack(visible)))


@torch.no_grad()
def look_at_held_out(net: LightC3N, work: Path) -> Evidence:
    """Evidence of the held-out pictures as they are, and mirrored."""
    net.eval()
    table, pictures, masks = load(work)
    size = net.image_size
    seen, visible = [], []
    for i in (i for i, picture in enumerate(table) if picture.held_out):
        small = cv2.resize(pictures[i], (size, size), interpolation=cv2.INTER_AREA)
        semantic, class_maps, _ = see(net, pixels(np.stack([small, small[:, ::-1]])))
        maps = net.masks(semantic, semantic.new_zeros(2, 1, *semantic.shape[2:]))
        seen.append(visible_evidence(maps, class_maps))
        visible.extend([visible_families(masks[i], CLEARLY_VISIBLE_SHARE)] * 2)
    return Evidence(torch.cat(seen), torch.from_numpy(np.stack(visible)))


@torch.no_grad()
def lift_maps(net: LightC3N, work: Path) -> dict[str, float]:
    """Raise the maps of vehicles and of all other families by what serves held-out masks best.

    Families of few pictures are timid: right in place, too small.  Moves the semantic bias in
    place and returns both steps (log-odds).
    """
    net.eval()
    table, pictures, masks = load(work)
    size = net.image_size
    scores: dict[str, list[list[float]]] = {name: [] for name in ("vehicles", "others")}
    for i in (i for i, picture in enumerate(table) if picture.held_out):
        small = cv2.resize(pictures[i], (size, size), interpolation=cv2.INTER_AREA)
        semantic, _, _ = see(net, pixels(small[None]))
        maps = net.masks(semantic, semantic.new_zeros(1, 1, *semantic.shape[2:]))[0]
        known = masks[i] != IGNORE
        for k in np.nonzero(visible_families(masks[i]) > 0)[0]:
            log_odds = cv2.resize(maps[k].numpy(), masks[i].shape[::-1])
            own = masks[i] == k + 1
            group = "vehicles" if FAMILY_NAMES[k] in VEHICLES else "others"
            found = [(log_odds > -lift) & known for lift in LIFTS]
            scores[group].append([(f & own).sum() / max((f | own).sum(), 1) for f in found])
    best = {
        group: float(LIFTS[int(np.argmax(np.mean(values, axis=0)))]) if values else 0.0
        for group, values in scores.items()
    }
    last = net.semantic if net.segmenter is None else net.segmenter.mix
    bias = last.bias
    assert bias is not None
    bias += torch.tensor([best["vehicles" if n in VEHICLES else "others"] for n in FAMILY_NAMES])
    return best


@torch.no_grad()
def listen(net: LightC3N, sampler: SoundSampler, count: int) -> Sounds:
    """What the network hears in ``count`` distorted windows; one in eight holds only noise."""
    net.eval()
    logits, voices, barred = [], [], []
    for _ in range(0, count, 16):
        windows = []
        for _ in range(16):
            context, target, name = sampler.draw_named()
            bars = [held_out(family, name) for family in FAMILY_NAMES]
            window = last_second(context, sampler.rng)
            if sampler.rng.random() < 0.12:
                gain = 10 ** sampler.rng.uniform(-4, -1.5) * (sampler.rng.random() < 0.7)
                window = noise(sampler.rng, RATE) * np.float32(gain)
                target, bars = np.zeros_like(target), [False] * len(FAMILIES)
            else:
                window = distort(sampler.rng, window)
            windows.append(window)
            voices.append(target)
            barred.append(bars)
        logits.append(net.hearing(torch.from_numpy(np.stack(windows)))[1])
    targets = torch.from_numpy(np.stack(voices))
    return Sounds(torch.cat(logits), targets, family_truth(targets), torch.tensor(barred).float())


class Pairs:
    """Pictures x sounds; which of them match is found once, then any number is drawn.

    Pairs that are held out count as unknown.  Raises DatasetError where nothing matches.
    """

    def __init__(self, pictures: Evidence, sounds: Sounds) -> None:
        self._pictures, self._sounds = pictures, sounds
        match = (pictures.visible > 0).float() @ (sounds.truth > 0).float().T > 0
        self._apart = torch.zeros_like(match)
        if sounds.barred is not None:
            self._apart = (pictures.visible != 0).float() @ sounds.barred.T > 0
            match &= ~self._apart
        self._matched = torch.nonzero(match)
        if not len(self._matched):
            raise DatasetError(
                "no sound is made by anything that the pictures show: set more gate_pictures and "
                "gate_sounds, or add data"
            )
        # Families evenly: a matched pair counts by how rare its sound is.
        weight = 1.0 / match.sum(0)[self._matched[:, 1]].double()
        self._up_to = weight.cumsum(0)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """``count`` pairs, half of them matched: (sound, seen, target with -1 for unknown)."""
        pictures, sounds = self._pictures, self._sounds
        a = torch.randint(len(pictures.seen), (count,), generator=generator)
        b = torch.randint(len(sounds.logits), (count,), generator=generator)
        dice = torch.rand(count // 2, generator=generator, dtype=torch.double) * self._up_to[-1]
        pick = torch.searchsorted(self._up_to, dice).clamp(max=len(self._up_to) - 1)
        a[: count // 2], b[: count // 2] = self._matched[pick].unbind(1)
        visible, truth = pictures.visible[a], sounds.truth[b]
        target = torch.where((visible > 0) & (truth > 0), 1.0, 0.0)
        unknown = ((visible < 0) & (truth != 0)) | ((truth < 0) & (visible != 0))
        target = torch.where(unknown | self._apart[a, b][:, None], -1.0, target)
        return b, pictures.seen[a], target


def weaken(seen: Tensor, generator: torch.Generator) -> Tensor:
    """Now and then maps fall short of what the class head knows, as on new kinds of things."""
    short = 6 * torch.rand(len(seen), 1, generator=generator)
    short = short * (torch.rand(len(seen), 1, generator=generator) < WEAKENED)
    seen = seen.clone()
    seen[..., 0] = (seen[..., 0] - short).clamp(min=-8)
    seen[..., 1] = (seen[..., 1] - 0.4 * short).clamp(min=-6.9)
    return seen


def gate_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy over known families; a positive weighs as much as 4 negatives."""
    known = (target >= 0).float()
    weight = known * torch.where(target > 0, 4.0, 1.0)
    loss = functional.binary_cross_entropy_with_logits(logits, target.clamp(0), reduction="none")
    return (loss * weight).sum() / weight.sum()


def train_gate(
    net: LightC3N,
    work: Path,
    report: Callable[[str], None],
    seed: int = 3,
    scenes: int = 800,
    windows: int = 4000,
    steps: int = 1500,
) -> tuple[Evidence, Sounds]:
    """Train gate and affinity in place, ``steps`` steps on what is seen in ``scenes`` and heard
    in ``windows``; returns the held-out evidence that calibration wants.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    pictures = look(net, SceneSampler(work, False, net.image_size, seed), scenes)
    sounds = listen(net, SoundSampler(work, False, seed), windows)
    pairs = Pairs(pictures, sounds)
    net.gate.temperature.fill_(1.0)
    before = net.affinity.log_affinity.detach().clone()
    trained = [*net.gate.parameters(), *net.affinity.parameters()]
    unrecorded = voices_without_recordings()
    optimiser = torch.optim.AdamW(trained, lr=5e-3, weight_decay=0.0)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 5e-3 * (1 - step / steps)
        b, seen, target = pairs.draw(256, generator)
        voices = net.affinity(sounds.logits[b])
        heard = net.affinity.by_family(voices)
        # Unseen pictures and sounds give weaker evidence than those that were learned from.
        heard = heard + DOUBT * torch.randn(heard.shape, generator=generator)
        seen = weaken(seen + DOUBT * torch.randn(seen.shape, generator=generator), generator)
        loss = gate_loss(net.gate(heard, seen), target)
        loss = loss + 0.3 * voice_loss(voices, sounds.voices[b])
        loss = loss + 0.01 * (net.affinity.log_affinity - before).square().mean(1).sum()
        optimiser.zero_grad()
        loss.backward()
        for part in net.affinity.parameters():
            if part.grad is not None:
                part.grad[unrecorded] = 0.0
        optimiser.step()
        if step % 500 == 499:
            report(f"gate step {step + 1}, loss {loss.item():.3f}")
    held_pictures = look_at_held_out(net, work)
    held_sounds = listen(net, SoundSampler(work, True, seed + 1), max(16, windows * 3 // 10))
    return held_pictures, held_sounds


@torch.no_grad()
def calibrate(
    net: LightC3N, pictures: Evidence, sounds: Sounds, report: Callable[[str], None], seed: int = 4
) -> dict[str, float]:
    """Temperature by likelihood, threshold by the share of empty mismatches (held-out)."""
    generator = torch.Generator().manual_seed(seed)
    b, seen, target = Pairs(pictures, sounds).draw(8000, generator)
    heard = net.affinity.by_family(net.affinity(sounds.logits))[b]
    logits = net.gate(heard, seen)
    temperatures = torch.linspace(0.5, 4.0, 36)
    losses = [float(gate_loss(logits / t, target)) for t in temperatures]
    net.gate.temperature.fill_(float(temperatures[int(np.argmin(losses))]))
    probability = torch.sigmoid(net.gate(heard, seen))
    matched = (target > 0).any(1)
    negative = ~matched & (target >= 0).all(1)
    best, table = 0.5, []
    for threshold in np.arange(0.2, 0.96, 0.025):
        right = ((probability >= threshold) & (target > 0)).any(1)[matched].float().mean()
        empty = (probability[negative] < threshold).all(1).float().mean()
        table.append((float(threshold), float(right), float(empty)))
    acceptable = [row for row in table if row[2] >= EMPTY_ON_MISMATCH]
    best = acceptable[0][0] if acceptable else table[-1][0]
    for row in table:
        report(f"threshold {row[0]:.2f}: found {row[1]:.3f}, empty on mismatch {row[2]:.3f}")
    return {"temperature": float(net.gate.temperature), "threshold": round(best, 3)}
