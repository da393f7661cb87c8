"""Images, sound and masks of one AVSBench clip as arrays."""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import soxr
from numpy.typing import NDArray

from avs_ros.errors import AudioFormatError, DatasetError
from avs_ros.evaluation.avsbench import AVSBenchClip
from avs_ros.segmentation import Bytes, Float
from avs_ros.sound import SAMPLE_RATE
from avs_ros.streaming import pcm

EXTENSIBLE = 0xFFFE
# (format tag, bits) -> sample format, and bytes of a sample
WAV_TYPES = {(1, 8): "U8", (1, 16): "S16LE", (1, 24): "S24LE", (1, 32): "S32LE",
             (3, 32): "F32LE", (3, 64): "F64LE"}
WAV_FORMATS = {name: bits // 8 for (_, bits), name in WAV_TYPES.items()}
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClipArrays:
    """One clip in memory.

    ``frames``: uint8 ``[T, size, size, 3]`` RGB.  ``seconds``: float32 ``[T, 16000]``, -1..1,
    second t belongs to frame t.  ``masks``: uint8 ``[T, size, size]``, 0|1 (S4, MS3) or the class
    index (AVSS); zero where ``annotated[t]`` is False.
    """

    frames: Bytes
    seconds: Float
    masks: Bytes
    annotated: NDArray[np.bool_]


def read_wav(path: Path) -> tuple[Float, int]:
    """Mono float32 samples, -1..1, and the rate in Hz of a PCM wav.

    Whole numbers of 8, 16, 24 or 32 bits or floats, plain or WAVE_FORMAT_EXTENSIBLE; a file that
    was cut short gives what there is.  Raises :class:`AudioFormatError` for anything else.
    """
    try:
        data = path.read_bytes()
        rate, channels, name, samples = _riff(data)
        whole = len(samples) // (channels * WAV_FORMATS[name]) * channels * WAV_FORMATS[name]
        return pcm.to_mono(pcm.decode(samples[:whole], name, channels)).samples, rate
    except (OSError, ValueError, struct.error, AudioFormatError) as error:
        raise AudioFormatError(f"{path} is not a readable PCM wav file: {error}") from error


def _riff(data: bytes) -> tuple[int, int, str, bytes]:
    """Rate, channels, sample format and samples out of a RIFF file."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError("it does not begin with RIFF and WAVE")
    at, form = 12, None
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"fmt ":
            tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, at + 8)
            if tag == EXTENSIBLE:  # the format proper begins the GUID
                (tag,) = struct.unpack_from("<H", data, at + 8 + 24)
            form = (tag, bits)
        elif name == b"data":
            if form not in WAV_TYPES or channels < 1:
                raise ValueError(f"format tag and bits are {form}")
            return rate, channels, WAV_TYPES[form], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise ValueError("no samples in it")


def read_seconds(path: Path, count: int) -> Float:
    """``[count, 16000]`` float32: the first ``count`` seconds; resampled to 16 kHz if need be.

    Shorter sound is padded with zeros and longer sound cut, as AVSBench's loaders do.
    """
    samples, rate = read_wav(path)
    if rate != SAMPLE_RATE:
        logger.warning("%s is at %d Hz; resampling to %d Hz", path, rate, SAMPLE_RATE)
        samples = soxr.resample(samples, rate, SAMPLE_RATE).astype(np.float32)
    out = np.zeros(count * SAMPLE_RATE, np.float32)
    out[: min(len(samples), len(out))] = samples[: len(out)]
    return out.reshape(count, SAMPLE_RATE)


def _image(path: Path, size: int) -> Bytes:
    data = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if data is None:
        raise DatasetError(f"{path} is missing or not an image")
    if data.shape[:2] != (size, size):
        data = cv2.resize(data, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(data, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _indices(path: Path) -> Bytes:
    # Pillow keeps the palette indices of the mask files; OpenCV would turn them into colours.
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L") if image.mode == "1" else image, dtype=np.uint8)
    except OSError as error:
        raise DatasetError(f"{path} is missing or not an image: {error}") from error


def read_mask(path: Path, size: int, *, semantic: bool = False) -> Bytes:
    """Uint8 ``[size, size]``: 0|1, or the stored class index when ``semantic``."""
    stored = _indices(path)
    if stored.ndim == 3:
        stored = stored[..., :3].max(axis=2)
    if not semantic:
        odd = set(np.unique(stored).tolist()) - {0, 1, 255}
        if odd:
            logger.warning("%s holds values %s; every value above 0 counts as sounding", path, odd)
        stored = (stored > 0).astype(np.uint8)
    if stored.shape != (size, size):
        stored = np.asarray(cv2.resize(stored, (size, size), interpolation=cv2.INTER_NEAREST))
    return stored


def read_clip(clip: AVSBenchClip, size: int = 224) -> ClipArrays:
    """Load one clip; DatasetError or AudioFormatError names the file that does not fit."""
    semantic = clip.subset.startswith("avss")
    frames = np.stack([_image(path, size) for path in clip.frames])
    masks = np.zeros((len(clip.frames), size, size), np.uint8)
    for t, path in enumerate(clip.masks):
        if path is not None:
            masks[t] = read_mask(path, size, semantic=semantic)
    annotated = np.array([path is not None for path in clip.masks])
    return ClipArrays(frames, read_seconds(clip.wav, len(clip.frames)), masks, annotated)
