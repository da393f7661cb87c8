"""A model's scores on AVSBench clips."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torchvision.transforms.functional import normalize

from avs_ros.evaluation import metrics
from avs_ros.evaluation.avsbench import AVSBenchClip
from avs_ros.evaluation.clip_arrays import ClipArrays, read_clip
from avs_ros.inference.segmenter import Segmenter
from avs_ros.models.audio.network import AudioNetwork
from avs_ros.models.c3n import C3N
from avs_ros.segmentation import Float

SECOND_NS = 1_000_000_000


# A clip -> probabilities of its frames, float32 ``[T, size, size]``, 0..1.
ClipModel = Callable[[ClipArrays], Float]


class WholeClip:
    """C3N as the paper tests it: each frame sees all seconds of its clip, later ones included."""

    def __init__(
        self, network: C3N, audio_encoder: AudioNetwork, device: torch.device | str = "cpu"
    ) -> None:
        """Both networks are put into evaluation mode on ``device``."""
        self.network = network.to(device).eval()
        self.audio_encoder = audio_encoder.to(device).eval()
        self.device = torch.device(device)

    def __call__(self, clip: ClipArrays) -> Float:
        """Probabilities; clips longer than 5 s are cut into clips of 5."""
        backbone = self.network.backbone
        frames = torch.from_numpy(clip.frames).to(self.device).permute(0, 3, 1, 2).float() / 255
        frames = normalize(frames, backbone.image_mean, backbone.image_std)
        with torch.no_grad():
            seconds = torch.from_numpy(clip.seconds).to(self.device)
            feature, scores = self.audio_encoder.hear_clip(seconds)
            logits = self.network(frames, feature, scores, frames_per_clip=5)
        size = clip.masks.shape[1:]
        if logits.shape[2:] != size:
            logits = torch.nn.functional.interpolate(logits, size, mode="bilinear")
        return np.asarray(logits.sigmoid()[:, 0].cpu().numpy(), dtype=np.float32)


class Streamed:
    """Any segmenter, fed one frame and second after the other: it never sees the future."""

    def __init__(self, segmenter: Segmenter) -> None:
        """``segmenter``: from :func:`avs_ros.inference.create_segmenter`."""
        self.segmenter = segmenter

    def __call__(self, clip: ClipArrays) -> Float:
        """Probabilities; the segmenter starts anew with each clip."""
        self.segmenter.reset()
        height, width = clip.masks.shape[1:]
        out = []
        for t, (frame, second) in enumerate(zip(clip.frames, clip.seconds), 1):
            answer = self.segmenter.step(frame, second, t * SECOND_NS)
            # A map of that size already is only copied.
            out.append(cv2.resize(np.asarray(answer.probability), (width, height)))
        return np.stack(out).astype(np.float32)


@dataclass(frozen=True)
class AVSBenchScores:
    """Scores in 0..1.

    ``m_j``/``m_f``: as AVSBench reports them, ``batch_frames`` frames a batch.  ``m_j_frames``
    and ``m_f_set``: the batch-independent forms.  ``categories``: mean frame IoU of each
    category (S4).  ``false_positive_rate``: marked share of the frames whose truth is empty,
    None where there is no such frame.
    """

    clips: int
    frames: int
    batch_frames: int
    m_j: float
    m_f: float
    m_j_frames: float
    m_f_set: float
    false_positive_rate: float | None
    categories: dict[str, float] = field(default_factory=dict)


def evaluate_clips(
    model: ClipModel,
    clips: Sequence[AVSBenchClip],
    *,
    size: int = 224,
    batch_frames: int = 5,
    track: Callable[[Iterable[AVSBenchClip]], Iterable[AVSBenchClip]] = lambda items: items,
) -> AVSBenchScores:
    """Mark every annotated frame of ``clips`` and score it.

    ``batch_frames``: frames whose F threshold is shared (5 = one clip a batch, as C3N's README
    tests; AVSBench itself used 20).  AVSS masks count as one: sounding or not.
    """
    marked: list[Float] = []
    truth: list[np.ndarray] = []
    by_category: dict[str, list[float]] = defaultdict(list)
    for clip in track(clips):
        arrays = read_clip(clip, size)
        keep = arrays.annotated
        p, t = model(arrays)[keep], (arrays.masks[keep] > 0).astype(np.uint8)
        marked.append(p)
        truth.append(t)
        if clip.category:
            by_category[clip.category] += metrics.frame_iou(p, t).tolist()
    p, t = np.concatenate(marked), np.concatenate(truth)
    silent = ~t.any(axis=(1, 2))
    return AVSBenchScores(
        clips=len(clips),
        frames=len(p),
        batch_frames=batch_frames,
        m_j=metrics.m_j(p, t, batch=batch_frames),
        m_f=metrics.m_f(p, t, batch=batch_frames),
        m_j_frames=metrics.m_j(p, t),
        m_f_set=metrics.m_f(p, t),
        false_positive_rate=metrics.false_positive_rate(p[silent]) if silent.any() else None,
        categories={c: float(np.mean(v)) for c, v in sorted(by_category.items())},
    )
