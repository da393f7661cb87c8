"""Teaching mn04 to hear in one second, and the affinity to name what it hears."""

from __future__ import annotations

import copy
import csv
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.errors import MissingDependencyError
from avs_ros.models.audio.network import AudioNetwork
from avs_ros.models.audio.registry import build
from avs_ros.models.light.affinity import ClassAudioAffinity
from avs_ros.models.light.folding import fold_batch_norm
from avs_ros.segmentation import Float
from avs_ros.training.light.distortion import distort, noise
from avs_ros.training.light.families import FAMILIES, SOUNDS, VOICE_FAMILY, VOICE_NAMES
from avs_ros.training.light.recordings import RATE, Library
from avs_ros.training.light.similarity import log_affinity
from avs_ros.training.light.synthetic_sounds import GENERATORS

CONTEXT_S = 3.0
UNKNOWN = -1.0


class YamnetTeacher:
    """YAMNet's scores for one window, spread over the AudioSet classes it shares."""

    def __init__(self, data: Path) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise MissingDependencyError(
                "ai-edge-litert", "the YAMNet teacher", "pip install ai-edge-litert"
            ) from error
        model = data / "weights" / "yamnet_audio_classifier_with_metadata.tflite"
        self._net = Interpreter(model_path=str(model), num_threads=1)
        self._net.allocate_tensors()
        self._in = self._net.get_input_details()[0]["index"]
        self._out = self._net.get_output_details()[0]["index"]
        names = (data / "labels" / "yamnet_521_labels.txt").read_text().splitlines()
        with (data / "labels" / "audioset_class_labels_indices.csv").open() as table:
            index = {row["display_name"]: int(row["index"]) for row in csv.DictReader(table)}
        self._map = np.array([index.get(name.strip(), -1) for name in names[:521]])

    def __call__(self, window: Float) -> Float:
        """16000 samples -> ``[527]`` scores 0..1; classes it does not know are NaN."""
        self._net.set_tensor(self._in, window[-15600:].reshape(self._shape()))
        self._net.invoke()
        scores = self._net.get_tensor(self._out).reshape(-1)[:521]
        out = np.full(527, np.nan, np.float32)
        known = self._map >= 0
        out[self._map[known]] = scores[known]
        return out

    def _shape(self) -> tuple[int, ...]:
        return tuple(self._net.get_input_details()[0]["shape"])


def voice_targets(sound: str) -> Float:
    """``[V]``: 1 it is, 0 it is not, -1 it may be."""
    target = np.zeros(len(VOICE_NAMES), np.float32)
    is_voice, may_be = SOUNDS[sound]
    target[[VOICE_NAMES.index(v) for v in may_be]] = UNKNOWN
    target[[VOICE_NAMES.index(v) for v in is_voice]] = 1.0
    return target


class SoundSampler:
    """Draws (3 s context, its last second's windows, voice targets), classes evenly."""

    def __init__(self, work: Path, held_out: bool, seed: int) -> None:
        self.library = Library(work, held_out)
        self.rng = np.random.default_rng(seed)
        self.sounds = sorted(self.library.by_sound)
        weight = np.array([len(self.library.by_sound[s]) for s in self.sounds], float) ** 0.4
        self._weight = weight / weight.sum()

    def draw(self) -> tuple[Float, Float]:
        """A clean piece of ``CONTEXT_S`` seconds and its voice targets."""
        rng = self.rng
        if rng.random() < 0.12:
            name = str(rng.choice(list(GENERATORS)))
            target = np.zeros(len(VOICE_NAMES), np.float32)
            target[VOICE_NAMES.index(name)] = 1.0
            return GENERATORS[name](rng, CONTEXT_S), target
        sound = self.sounds[rng.choice(len(self.sounds), p=self._weight)]
        index = int(rng.choice(self.library.by_sound[sound]))
        return self.library.cut(index, CONTEXT_S, rng), voice_targets(sound)


def last_second(context: Float, rng: np.random.Generator) -> Float:
    """A one-second window of the context, one of its loud ones."""
    n = RATE
    starts = np.arange(0, len(context) - n + 1, RATE // 8)
    power = np.array([np.mean(context[s : s + n] ** 2) for s in starts])
    loud = starts[power >= 0.1 * power.max()]
    at = int(rng.choice(loud))
    return context[at : at + n]


def voices_with_sounds() -> list[int]:
    """Voices that some recording or generator makes; the others keep to what AudioSet says."""
    made = {voice for is_voice, _ in SOUNDS.values() for voice in is_voice} | set(GENERATORS)
    return [v for v, name in enumerate(VOICE_NAMES) if name in made]


def voice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy where the target is known, positives weighed up.

    A voice that never sounds in training would learn only to stay quiet: it is left out.
    """
    learned = torch.zeros(len(VOICE_NAMES))
    learned[voices_with_sounds()] = 1.0
    known = (targets >= 0).float() * learned
    weight = known * torch.where(targets > 0, 6.0, 1.0)
    loss = functional.binary_cross_entropy_with_logits(logits, targets.clamp(0), reduction="none")
    return (loss * weight).sum() / weight.sum()


def start_affinity() -> ClassAudioAffinity:
    """The affinity as the ontology has it, before training."""
    affinity = ClassAudioAffinity(VOICE_FAMILY, len(FAMILIES))
    with torch.no_grad():
        affinity.log_affinity.copy_(log_affinity())
        affinity.gain.fill_(1.5)
        affinity.bias.fill_(2.5)
    return affinity


def train_hearing(
    data: Path, work: Path, minutes: float, report: Callable[[str], None], seed: int = 1
) -> Path:
    """Fine-tune mn04 and the affinity; writes (and resumes from) ``work/hearing.pt``."""
    target = work / "hearing.pt"
    torch.manual_seed(seed)
    student = build("efficientat_mn04", data / "weights" / "efficientat_mn04_audioset.safetensors")
    teacher = copy.deepcopy(student).eval().requires_grad_(False)
    fold_batch_norm(student)
    affinity = start_affinity()
    prior = affinity.log_affinity.detach().clone()
    both = nn.ModuleDict({"hearing": student, "affinity": affinity})
    spent, steps = 0.0, 0
    if target.exists():
        saved = torch.load(target, weights_only=True)
        both.load_state_dict(saved["net"])
        spent, steps = saved["minutes"], saved["steps"]
    yamnet = YamnetTeacher(data)
    sampler = SoundSampler(work, False, seed + steps)
    optimiser = torch.optim.AdamW(
        [
            {"params": student.parameters(), "lr": 4e-4, "weight_decay": 1e-4},
            {"params": affinity.parameters(), "lr": 1e-2, "weight_decay": 0.0},
        ]
    )
    base = [group["lr"] for group in optimiser.param_groups]
    began = time.monotonic() - spent * 60
    running = 0.0
    while (done := (time.monotonic() - began) / 60 / minutes) < 1:
        for group, rate in zip(optimiser.param_groups, base, strict=True):
            group["lr"] = rate * min(1.0, (steps + 1) / 50) * (1 - done) ** 0.8
        windows, soft, voices = _batch(sampler, teacher, yamnet, 24)
        student.train()
        _, logits = student(windows)
        known = ~soft.isnan()
        distil = functional.binary_cross_entropy_with_logits(
            logits[known], soft[known], reduction="sum"
        ) / (10 * len(windows))
        drift = (affinity.log_affinity - prior).square().mean(1).sum()
        spread = (affinity.bias - affinity.bias.mean()).square().sum()
        spread = spread + (affinity.gain - affinity.gain.mean()).square().sum()
        loss = distil + 6 * voice_loss(affinity(logits), voices) + 0.01 * drift + 0.01 * spread
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(both.parameters(), 5.0)
        optimiser.step()
        running = 0.95 * running + 0.05 * float(loss)
        steps += 1
        if steps % 25 == 0:
            minutes_now = (time.monotonic() - began) / 60
            report(f"hearing {minutes_now:5.1f} min, step {steps}, loss {running:.3f}")
            torch.save({"net": both.state_dict(), "minutes": minutes_now, "steps": steps}, target)
    torch.save({"net": both.state_dict(), "minutes": minutes, "steps": steps}, target)
    return target


def _batch(
    sampler: SoundSampler, teacher: AudioNetwork, yamnet: YamnetTeacher, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Windows ``[B, 16000]``, soft AudioSet targets ``[B, 527]`` (NaN unknown), voices."""
    rng = sampler.rng
    contexts, windows, targets, scores = [], [], [], []
    for _ in range(size):
        context, target = sampler.draw()
        window = last_second(context, rng)
        if rng.random() < 0.06:
            window = noise(rng, RATE) * np.float32(10 ** rng.uniform(-3.5, -1.5))
            window = window * np.float32(rng.random() < 0.8)
            context, target = np.tile(window, 3), np.zeros_like(target)
        contexts.append(context)
        windows.append(window)
        targets.append(target)
        scores.append(yamnet(window))
    with torch.no_grad():
        long = torch.sigmoid(teacher(torch.from_numpy(np.stack(contexts)))[1])
    short = torch.from_numpy(np.stack(scores))
    soft = torch.where(short.isnan(), long, 0.5 * long + 0.5 * short.nan_to_num())
    voices = torch.from_numpy(np.stack(targets))
    for i in range(0, size, 3):  # mixtures: two sounds at once
        j = (i + 1) % size
        share = np.float32(rng.uniform(0.3, 1.0))
        windows[i] = windows[i] + share * windows[j]
        soft[i] = torch.maximum(soft[i], soft[j] * float(share))
        if share < 0.6:
            voices[i] = torch.where((voices[j] > 0) & (voices[i] <= 0), UNKNOWN, voices[i])
        else:
            voices[i] = torch.where(
                (voices[i] > 0) | (voices[j] > 0), 1.0, torch.minimum(voices[i], voices[j])
            )
    heard = np.stack([distort(rng, window) for window in windows])
    return torch.from_numpy(heard), soft, voices
