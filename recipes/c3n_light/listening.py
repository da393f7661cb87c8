"""Teaching both audio networks to name in one second what their teachers name in three.

Only sounds with free licences: ESC-10, effects, spoken digits and rendered instruments.  The
teachers are the published networks themselves, on three seconds: mn04 hears the whole of it,
YAMNet the mean of its windows.
"""

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
from avs_ros.segmentation import Float
from avs_ros.sound import SAMPLE_RATE
from recipes.c3n_light.distortion import distort, together
from recipes.c3n_light.public_networks import YAMNET_FILE, yamnet

FREE_SETS = ("esc10", "effects", "speech")
MN04_FILE = "efficientat_mn04_audioset.safetensors"
SECONDS = 3
MIXED = 0.5
# Without instruments they are forgotten: so many of the pieces are rendered ones.
PLAYED = 0.4
# Folds of ESC-10 and of the speakers that are kept for validation.
HELD_OUT_FOLD = "4"


class Listeners(nn.Module):
    """``network``: EfficientAT mn04, folded; ``short``: YAMNet's layout."""

    def __init__(self, data: Path) -> None:
        super().__init__()
        self.network: AudioNetwork = build("efficientat_mn04", data / "weights" / MN04_FILE)
        fold_batch_norm(self.network)
        self.short = yamnet(
            data / "weights" / YAMNET_FILE, data / "labels" / "yamnet_521_labels.txt"
        )


def free_sounds(data: Path, sets: tuple[str, ...] = FREE_SETS) -> list[Float]:
    """The training part at 16 kHz mono, each at least ``SECONDS`` long (silence before it)."""
    try:
        import soundfile
        import soxr
    except ImportError as error:
        raise MissingDependencyError(
            "soundfile and soxr", "reading the training sounds", "pip install soundfile soxr"
        ) from error
    found = []
    for name in sets:
        with (data / "audio" / f"{name}.csv").open(encoding="utf-8") as table:
            rows = [r for r in csv.DictReader(table) if r.get("fold") != HELD_OUT_FOLD]
        for row in rows:
            path = sound_file(data, name, row["file"])
            samples, rate = soundfile.read(str(path), dtype="float32")
            mono = samples.mean(axis=1) if samples.ndim > 1 else samples
            sound = np.asarray(soxr.resample(mono, rate, SAMPLE_RATE), np.float32)
            missing = SECONDS * SAMPLE_RATE - len(sound)
            found.append(np.pad(sound, (max(missing, 0), 0)))
    return found


def sound_file(data: Path, group: str, name: str) -> Path:
    """Where a sound is: some tables name the file with its folder, some without."""
    whole = data / "audio" / name
    return whole if whole.is_file() else data / "audio" / group / name


class ListeningStage:
    """See the module."""

    name, power = "listening", 0.9

    def __init__(
        self,
        network: Listeners,
        teachers: Listeners,
        sounds: list[Float],
        played: list[Float],
        batch: int,
        seed: int,
    ) -> None:
        """``sounds``: :func:`free_sounds`; ``played``: rendered instruments, may be none."""
        self.network, self.batch, self.key = network, batch, seed
        self._sounds, self._played = sounds, played
        self._teachers = teachers.eval().requires_grad_(False)
        network.eval().requires_grad_(True)

    def groups(self) -> list[dict[str, Any]]:
        """Slowly: what is known of sounds that are not among these must stay."""
        weights = [p for p in self.network.parameters() if p.ndim > 1]
        biases = [p for p in self.network.parameters() if p.ndim == 1]
        return [
            {"params": weights, "lr": 2e-5, "weight_decay": 1e-4},
            {"params": biases, "lr": 1e-4, "weight_decay": 0.0},
        ]

    def loss(self, step: int, done: float) -> Tensor:
        """Class scores of the last second against the teachers' of all three.

        Of two sounds at once the teachers hear each alone: the softer one is to be named as well.
        """
        rng = np.random.default_rng((self.key, step))
        drawn = [self._draw(rng) for _ in range(self.batch)]
        heard = torch.from_numpy(np.stack([sound for sound, _ in drawn]))
        alone = self._taught(torch.from_numpy(np.stack([p for _, parts in drawn for p in parts])))
        taught = alone.split([len(parts) for _, parts in drawn])
        truth = torch.stack([one.amax(dim=0) for one in taught])
        last = heard[:, -SAMPLE_RATE:]
        parts = (self.network.network, self.network.short)
        return sum((_difference(part, last, truth) for part in parts), heard.new_zeros(()))

    def _draw(self, rng: np.random.Generator) -> tuple[Float, list[Float]]:
        """Three seconds as they are heard, and what the teachers hear of them."""
        sound = self._piece(rng)
        if rng.random() < MIXED:
            beside = self._piece(rng)
            both, _ = together(rng, sound, beside)
            return np.asarray(distort(rng, both), np.float32), [sound, beside]
        heard = np.asarray(distort(rng, sound), np.float32)
        return heard, [heard]

    def _piece(self, rng: np.random.Generator) -> Float:
        played = bool(self._played) and rng.random() < PLAYED
        pool = self._played if played else self._sounds
        sound = pool[int(rng.integers(len(pool)))]
        first = int(rng.integers(0, len(sound) - SECONDS * SAMPLE_RATE + 1))
        return sound[first : first + SECONDS * SAMPLE_RATE]

    @torch.no_grad()
    def _taught(self, heard: Tensor) -> Tensor:
        whole = self._teachers.network
        long = whole.classify(whole.encode(whole.front_end(heard))).sigmoid()
        seconds = heard.reshape(-1, SAMPLE_RATE)
        short = self._teachers.short.hear(seconds)[1].sigmoid()
        short = short.reshape(len(heard), SECONDS, -1)
        return 0.5 * (long + 0.5 * (short.mean(dim=1) + short[:, -1]))


def _difference(network: AudioNetwork, last: Tensor, truth: Tensor) -> Tensor:
    _, logits = network.hear(last)
    return (
        functional.binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(1).mean()
    )
