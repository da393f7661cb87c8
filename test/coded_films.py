"""Films that tests code themselves, each image alone, and what a source makes of one."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from media_files import tone

from avs_ros.media.source import Frame
from avs_ros.media.video import START_NS, VideoSource

FPS, RATE = 10, 16000


def images(count: int, size: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    """Images without repetition, uint8 RGB, so that a packet of each holds much."""
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (size[1], size[0], 3), np.uint8) for _ in range(count)]


def film(
    path: Path, seconds: float = 3.0, video: str = "mjpeg", audio: str = "ac3",
    shown: list[np.ndarray] | None = None, metadata: dict[str, str] | None = None,
) -> Path:
    """Every image coded alone (or as ``video`` does it), and a tone with noise."""
    shown = images(round(seconds * FPS)) if shown is None else shown
    rng = np.random.default_rng(2)
    samples = tone(seconds, RATE) + rng.normal(0, 0.05, round(seconds * RATE)).astype(np.float32)
    if audio == "ac3":
        samples = np.interp(np.arange(round(seconds * 32000)) / 32000,
                            np.arange(len(samples)) / RATE, samples).astype(np.float32)
    rate = 32000 if audio == "ac3" else RATE
    with av.open(str(path), "w") as container:
        container.metadata.update(metadata or {})
        image = container.add_stream(video, rate=FPS)
        image.height, image.width = shown[0].shape[:2]
        image.pix_fmt = "yuvj420p" if video == "mjpeg" else "yuv420p"
        if video != "mjpeg":
            image.codec_context.gop_size = 1
        sound = container.add_stream(audio, rate=rate, layout="mono")
        packets: list[tuple[float, Any]] = []
        for first in range(0, len(samples), 1024):
            block = samples[first : first + 1024]
            if audio == "pcm_s16le":
                block, form = np.round(block * 32767).clip(-32768, 32767).astype(np.int16), "s16"
            else:
                form = "fltp"
            frame = av.AudioFrame.from_ndarray(block[None], format=form, layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
            packets += [(first / rate, one) for one in sound.encode(frame)]
        packets += [(seconds, one) for one in sound.encode(None)]
        for index, rgb in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            packets += [(index / FPS, one) for one in image.encode(frame)]
        packets += [(seconds, one) for one in image.encode(None)]
        for _, packet in sorted(packets, key=lambda one: one[0]):
            container.mux(packet)
    return path


def walk(path: Path) -> tuple[VideoSource, dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Source, and by stamp in ms its images and its sound."""
    source = VideoSource(path)
    shown, heard = {}, {}
    for event in source.events():
        if isinstance(event, Frame):
            shown[round((event.stamp_ns - START_NS) / 1e6)] = event.decode()
        else:
            heard[round((event.stamp_ns - START_NS) / 1e6)] = event.samples
    return source, shown, heard
