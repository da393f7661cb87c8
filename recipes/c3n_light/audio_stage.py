"""Teaching mn04 to hear in one second, and the affinity to name what it hears."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.errors import MissingDependencyError
from avs_ros.models.audio import build
from avs_ros.models.audio.network import AudioNetwork
from avs_ros.models.light.folding import fold_batch_norm
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.vocabulary import SOUND_CLASS_NAMES, SOUNDS
from avs_ros.segmentation import Float
from avs_ros.sound import SAMPLE_RATE
from recipes.c3n_light.distortion import distort, noise, together
from recipes.c3n_light.recordings import SoundDataset
from recipes.c3n_light.similarity import log_affinity
from recipes.c3n_light.synthetic_sounds import GENERATORS

CONTEXT_S = 3.0
AUDIO_ENCODER = "efficientat_mn04_audioset.safetensors"
UNKNOWN = -1.0
# So much fainter than another sound at the same time, and nobody need hear it.
FAINT_DB = -7.0


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


def sound_class_targets(sound: str) -> Float:
    """``[V]``: 1 it is, 0 it is not, -1 it may be."""
    target = np.zeros(len(SOUND_CLASS_NAMES), np.float32)
    is_sound_class, may_be = SOUNDS[sound]
    target[[SOUND_CLASS_NAMES.index(v) for v in may_be]] = UNKNOWN
    target[[SOUND_CLASS_NAMES.index(v) for v in is_sound_class]] = 1.0
    return target


def sound_class_target(name: str) -> Float:
    """``[V]``: 1 for this one sound class."""
    target = np.zeros(len(SOUND_CLASS_NAMES), np.float32)
    target[SOUND_CLASS_NAMES.index(name)] = 1.0
    return target


class SoundSampler:
    """Draws (3 s context, its last second's windows, sound class targets), classes evenly."""

    def __init__(self, work: Path, held_out: bool, seed: int) -> None:
        self.library = SoundDataset(work, held_out)
        self.rng = np.random.default_rng(seed)
        self.sounds = sorted(self.library.by_sound)
        weight = np.array([len(self.library.by_sound[s]) for s in self.sounds], float) ** 0.4
        self._weight = weight / weight.sum()

    def draw(self) -> tuple[Float, Float]:
        """A clean piece of ``CONTEXT_S`` seconds and its sound class targets."""
        context, target, _ = self.draw_named()
        return context, target

    def draw_named(self) -> tuple[Float, Float, str]:
        """The same, and what it is: a key of ``SOUNDS`` or of ``GENERATORS``."""
        rng = self.rng
        if rng.random() < 0.12:
            name = str(rng.choice(list(GENERATORS)))
            return GENERATORS[name](rng, CONTEXT_S), sound_class_target(name), name
        sound = self.sounds[rng.choice(len(self.sounds), p=self._weight)]
        index = int(rng.choice(self.library.by_sound[sound]))
        return self.library.cut(index, CONTEXT_S, rng), sound_class_targets(sound), sound


def last_second(context: Float, rng: np.random.Generator) -> Float:
    """A one-second window of the context, one of its loud ones."""
    n = SAMPLE_RATE
    starts = np.arange(0, len(context) - n + 1, SAMPLE_RATE // 8)
    power = np.array([np.mean(context[s : s + n] ** 2) for s in starts])
    loud = starts[power >= 0.1 * power.max()]
    at = int(rng.choice(loud))
    return context[at : at + n]


def both_targets(first: Float, second: Float, companion_logits: float) -> Float:
    """Sound class targets ``[V]`` of two sounds at once, the second ``companion_logits`` dB
    louder.

    What is much fainter than the other may be heard or not.
    """
    if companion_logits < FAINT_DB:
        return np.where((second > 0) & (first <= 0), np.float32(UNKNOWN), first)
    either = (first > 0) | (second > 0)
    return np.where(either, np.float32(1.0), np.minimum(first, second))


def sound_classes_with_sounds() -> list[int]:
    """Sound classes that some recording or generator makes; the others keep to what AudioSet
    says.
    """
    made = {
        sound_class for is_sound_class, _ in SOUNDS.values() for sound_class in is_sound_class
    } | set(GENERATORS)
    return [v for v, name in enumerate(SOUND_CLASS_NAMES) if name in made]


def sound_classes_without_recordings() -> list[int]:
    """Sound classes that nobody recorded: made-up sounds may train the audio encoder, but what
    AudioSet's classes mean for the sound class stays as its ontology has it, or real ones would no
    longer be known.
    """
    recorded = {
        sound_class for is_sound_class, _ in SOUNDS.values() for sound_class in is_sound_class
    }
    return [v for v, name in enumerate(SOUND_CLASS_NAMES) if name not in recorded]


def sound_class_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy where the target is known, positives weighed up.

    A sound class that never sounds in training would learn only to stay quiet: it is left out.
    """
    learned = torch.zeros(len(SOUND_CLASS_NAMES), device=logits.device)
    learned[sound_classes_with_sounds()] = 1.0
    known = (targets >= 0).float() * learned
    weight = known * torch.where(targets > 0, 6.0, 1.0)
    loss = functional.binary_cross_entropy_with_logits(logits, targets.clamp(0), reduction="none")
    return (loss * weight).sum() / weight.sum()


def start_audio_encoder(net: LightC3N, data: Path) -> None:
    """Public mn04 (folded) and the affinity as the ontology has it, before training, in place."""
    audio_encoder = fold_batch_norm(build("efficientat_mn04", data / "weights" / AUDIO_ENCODER))
    net.audio_encoder.load_state_dict(audio_encoder.state_dict())
    with torch.no_grad():
        net.affinity.log_affinity.copy_(log_affinity())
        net.affinity.gain.fill_(1.5)
        net.affinity.bias.fill_(2.5)


class AudioStage:
    """Fine-tune mn04 and the affinity of ``net``: one second must tell what three tell mn04.

    ``teachers``: soft scores of YAMNet (1 s) and of mn04 as it was (3 s); without them the
    recordings' own classes alone.
    """

    name, power = "audio", 0.8

    def __init__(
        self, net: LightC3N, data: Path, work: Path, batch: int, seed: int, teachers: bool = True
    ) -> None:
        self.student, self.affinity = net.audio_encoder, net.affinity
        self.network = nn.ModuleDict({"audio_encoder": self.student, "affinity": self.affinity})
        self.batch, self.key = batch, seed
        self._prior = log_affinity().to(self.affinity.log_affinity.device)
        self._sampler = SoundSampler(work, False, seed)
        self._yamnet = YamnetTeacher(data) if teachers else None
        teacher = build("efficientat_mn04", data / "weights" / AUDIO_ENCODER)
        self._teacher = teacher.eval().requires_grad_(False)

    def groups(self) -> list[dict[str, Any]]:
        """The student, and the affinity faster."""
        return [
            {"params": list(self.student.parameters()), "lr": 4e-4, "weight_decay": 1e-4},
            {"params": list(self.affinity.parameters()), "lr": 1e-2, "weight_decay": 0.0},
        ]

    def loss(self, step: int, done: float) -> Tensor:
        """Teachers' scores, sound classes, and the affinity's distance from the ontology."""
        where = self._prior.device
        self._sampler.rng = np.random.default_rng((self.key, step))
        windows, soft, sound_classes = (
            x.to(where) for x in _batch(self._sampler, self._teacher, self._yamnet, self.batch)
        )
        self.student.train()
        _, logits = self.student(windows)
        known = ~soft.isnan()
        distil = functional.binary_cross_entropy_with_logits(
            logits[known], soft[known], reduction="sum"
        ) / (10 * len(windows))
        affinity = self.affinity
        drift = (affinity.log_affinity - self._prior).square().mean(1).sum()
        spread = (affinity.bias - affinity.bias.mean()).square().sum()
        spread = spread + (affinity.gain - affinity.gain.mean()).square().sum()
        return (
            distil
            + 6 * sound_class_loss(affinity(logits), sound_classes)
            + 0.01 * (drift + spread)
        )


def _batch(
    sampler: SoundSampler, teacher: AudioNetwork, yamnet: YamnetTeacher | None, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Windows ``[B, 16000]``, soft AudioSet targets ``[B, 527]`` (NaN unknown), sound classes."""
    rng = sampler.rng
    contexts, windows, targets, scores = [], [], [], []
    for _ in range(size):
        context, target = sampler.draw()
        window = last_second(context, rng)
        if rng.random() < 0.06:
            window = noise(rng, SAMPLE_RATE) * np.float32(10 ** rng.uniform(-3.5, -1.5))
            window = window * np.float32(rng.random() < 0.8)
            context, target = np.tile(window, 3), np.zeros_like(target)
        contexts.append(context)
        windows.append(window)
        targets.append(target)
        if yamnet is not None:
            scores.append(yamnet(window))
    if yamnet is None:
        soft = torch.full((size, 527), torch.nan)
    else:
        with torch.no_grad():
            long = torch.sigmoid(teacher(torch.from_numpy(np.stack(contexts)))[1])
        short = torch.from_numpy(np.stack(scores))
        soft = torch.where(short.isnan(), long, 0.5 * long + 0.5 * short.nan_to_num())
    # Mixtures, half of the batch: what sounds beside something else is to be heard, too.
    for i in range(0, size, 2):
        j = (i + 1) % size
        windows[i], companion_logits = together(rng, windows[i], windows[j])
        soft[i] = torch.maximum(soft[i], soft[j] * min(1.0, 10 ** (companion_logits / 20)))
        targets[i] = both_targets(targets[i], targets[j], companion_logits)
    heard = np.stack([distort(rng, window) for window in windows])
    return torch.from_numpy(heard), soft, torch.from_numpy(np.stack(targets))
