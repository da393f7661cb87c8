"""The published code's way with a live stream: the whole clip again for each new frame."""

from __future__ import annotations

from contextlib import nullcontext

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avs_ros.benchmarks.networks import build
from avs_ros.benchmarks.subject import CYCLE, StepOutput, Subject, seconds_of_sound
from avs_ros.benchmarks.subject import frames as shown
from avs_ros.models.c3n.backbone import Taps


class AuthorsForm:
    """Our plain modules, put together as the published code puts together its own.

    What that code (``ZhaofengSHI/AVS-C3N``) does at test time, and this therefore does too:

    - All T frames go through the network for each new one; nothing is kept from the last clip.
    - The audio network runs twice on all T seconds, once for the feature and once for the
      classes.  It is frozen: no graph.
    - Nothing stands under ``no_grad``: the class-activated weights need a backward pass, so the
      graph of the whole clip is recorded, decoder and affinities included, and lives as long as
      its output.
    - That backward pass is ``backward(retain_graph=True)`` on the summed class scores: it fills
      the gradients of the backbone's parameters too, after emptying those of the last clip.
    - The gradients at the four taps go to the CPU as NumPy arrays; beside their means, the
      weights, the classic activation map (ReLU, scaled to 0..1, resized to the frame) is made
      and thrown away.
    - C3IM takes the maximum of the whole ``[T, K, 527]`` matrix; TPAVI builds the affinity of
      all pixels with all pixels.

    Left out, since it is no part of the model: reading files, metrics, writing masks.
    ``half``: under float16 autocast, on a GPU (the published code is float32).
    """

    def __init__(self, subject: Subject, device: str = "cpu", half: bool = False) -> None:
        """Build the networks on ``device``."""
        networks = build(subject)
        self.device = device
        self._clip = subject.frames_per_clip
        self._half = half
        self._network = networks.network.to(device)
        self._audio_encoder = networks.audio_encoder.to(device)
        backbone = self._network.backbone
        self._frames = shown(self._network.image_size, backbone.image_mean, backbone.image_std)
        self._sounds = seconds_of_sound()
        self._network.requires_grad_(True)
        self._audio_encoder.requires_grad_(False)
        for block in self._network.tpavi:
            block.full_affinity = True  # type: ignore[assignment]

    def step(self, number: int, stamp_ns: int | None = None) -> StepOutput:
        """As :meth:`StreamForm.step`; the clip is the last T frames, or those there are."""
        first = max(0, number - self._clip + 1)
        clip = [index % CYCLE for index in range(first, number + 1)]
        frames = torch.from_numpy(self._frames[clip]).to(self.device)
        sounds = torch.from_numpy(self._sounds[clip]).to(self.device)
        autocast = torch.autocast("cuda", torch.float16) if self._half else nullcontext()
        with torch.enable_grad(), autocast, torch.backends.cudnn.flags(
            enabled=True, allow_tf32=self._half
        ):
            feature, _ = self._audio_encoder(sounds)
            _, scores = self._audio_encoder(sounds)
            logits, labels = self._see(frames, feature, scores, len(clip))
            return StepOutput(logits[-1].detach().float().cpu().numpy(), int(labels[-1]))

    def _see(
        self, frames: Tensor, feature: Tensor, scores: Tensor, length: int
    ) -> tuple[Tensor, Tensor]:
        network = self._network
        taps = network.backbone(frames)
        matrix = network.c3im.confidence_matrix(taps.logits, scores)
        labels = matrix.flatten(1).argmax(dim=1) // matrix.shape[2]
        weights = self._class_activated_weights(taps, labels, frames.shape[2:])
        *_, fused = network.fuse(taps.features, weights, feature, length)
        return network.decoder(fused)[0], labels

    def _class_activated_weights(
        self, taps: Taps, labels: Tensor, size: tuple[int, ...]
    ) -> tuple[Tensor, ...]:
        """Of the four stages ``[T, C_i]``, by the way of the published code."""
        self._network.backbone.zero_grad()
        for activation in taps.activations:
            activation.retain_grad()
        taps.logits.gather(1, labels[:, None]).sum().backward(retain_graph=True)
        weights = []
        for activation in taps.activations:
            assert activation.grad is not None
            mean = activation.grad.float().cpu().numpy().mean(axis=(2, 3))
            _activation_maps(activation.detach().float().cpu().numpy(), mean, size)
            weights.append(torch.from_numpy(mean).to(taps.logits.device))
        return tuple(weights)


def _activation_maps(
    activation: NDArray[np.float32], weights: NDArray[np.float32], size: tuple[int, ...]
) -> list[NDArray[np.float32]]:
    """Classic activation maps in 0..1 of each frame, at its size ``(height, width)``."""
    raw = np.maximum((weights[:, :, None, None] * activation).sum(axis=1), 0.0)
    raw = raw - raw.min(axis=(1, 2), keepdims=True)
    scaled = raw / (raw.max(axis=(1, 2), keepdims=True) + 1e-7)
    return [np.asarray(cv2.resize(one, size[::-1]), np.float32) for one in scaled]
