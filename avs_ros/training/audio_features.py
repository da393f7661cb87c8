"""What the frozen audio net says about each second of each clip, computed once.

The authors run the audio net twice per training step; it is frozen and sees no augmentation, so
one pass over the data set gives the same numbers for every epoch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from avs_ros.errors import DatasetError
from avs_ros.evaluation.avsbench import AVSBenchClip
from avs_ros.evaluation.clip_arrays import read_seconds
from avs_ros.models.audio.network import AudioNetwork
from avs_ros.training import distributed
from avs_ros.training.report import RunReporter


def _key(clip: AVSBenchClip) -> str:
    return f"{clip.split}/{clip.category}/{clip.name}"


class AudioFeatures:
    """Feature ``[T, D]`` and AudioSet logits ``[T, 527]`` of each clip, float32, on the CPU."""

    def __init__(self, table: dict[str, Tensor]) -> None:
        """``table``: ``<clip>|feature`` and ``<clip>|logits`` -> tensor."""
        self._table = table

    def __call__(self, clip: AVSBenchClip) -> tuple[Tensor, Tensor]:
        """``(feature, logits)`` of a clip; DatasetError when it was not extracted."""
        try:
            return self._table[_key(clip) + "|feature"], self._table[_key(clip) + "|logits"]
        except KeyError as error:
            raise DatasetError(
                f"clip {clip.name} is not in the audio feature file; delete it to make it anew"
            ) from error

    @classmethod
    @torch.no_grad()
    def extract(
        cls,
        net: AudioNetwork,
        clips: Sequence[AVSBenchClip],
        track: Callable[[Iterable[AVSBenchClip]], Iterable[AVSBenchClip]] = lambda items: items,
    ) -> AudioFeatures:
        """Run ``net`` (waveform ``[T, 16000]`` -> feature, logits) over the clips.

        ``track`` wraps the loop, to show progress.
        """
        device = next(net.parameters()).device
        net.eval()
        table = {}
        for clip in track(clips):
            seconds = torch.from_numpy(read_seconds(clip.wav, len(clip.frames)))
            feature, logits = net.hear_clip(seconds.to(device))
            table[_key(clip) + "|feature"] = feature.float().cpu().contiguous()
            table[_key(clip) + "|logits"] = logits.float().cpu().contiguous()
        return cls(table)

    def save(self, path: Path) -> None:
        """Write a safetensors file in one step (a killed run leaves no half file)."""
        part = path.with_suffix(".part")
        save_file(self._table, part)
        os.replace(part, path)

    @classmethod
    def load(cls, path: Path) -> AudioFeatures:
        """Read what :meth:`save` wrote."""
        return cls(load_file(path))


def heard_once(
    output: Path,
    net: AudioNetwork,
    clips: Mapping[str, Sequence[AVSBenchClip]],
    reporter: RunReporter,
) -> AudioFeatures:
    """The features of every split's clips, kept in ``output``: the first process extracts them."""
    path = output / "audio_features.safetensors"
    if distributed.is_first() and not path.is_file():
        every = [clip for found in clips.values() for clip in found]

        def track(items: Iterable[AVSBenchClip]) -> Iterable[AVSBenchClip]:
            return reporter.track(items, len(every), "hearing each clip once")

        AudioFeatures.extract(net, every, track).save(path)
    distributed.barrier()
    return AudioFeatures.load(path)
