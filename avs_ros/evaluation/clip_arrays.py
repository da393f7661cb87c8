"""Images, sound and masks of one AVSBench clip as arrays."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import soxr
from numpy.typing import NDArray

from avs_ros.errors import AudioFormatError, DatasetError, optional
from avs_ros.evaluation.avsbench import AVSBenchClip
from avs_ros.segmentation import Bytes, Float
from avs_ros.sound import SAMPLE_RATE

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


def read_sound(path: Path) -> tuple[Float, int]:
    """Mono float32 samples, -1..1, and the rate in Hz of a sound file (wav, flac, ogg, ...).

    A file that was cut short gives what there is.  Raises :class:`AudioFormatError` for what
    cannot be read, MissingDependencyError without soundfile.
    """
    soundfile = optional("soundfile", "reading recorded sounds")
    try:
        samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise AudioFormatError(f"{path} cannot be read as sound: {error}") from error
    return np.asarray(samples.mean(axis=1), np.float32), int(rate)


def read_seconds(path: Path, count: int) -> Float:
    """``[count, 16000]`` float32: the first ``count`` seconds; resampled to 16 kHz if need be.

    Shorter sound is padded with zeros and longer sound cut, as AVSBench's loaders do.
    """
    samples, rate = read_sound(path)
    if rate != SAMPLE_RATE:
        logger.warning("%s is at %d Hz; resampling to %d Hz", path, rate, SAMPLE_RATE)
        samples = soxr.resample(samples, rate, SAMPLE_RATE).astype(np.float32)
    out = np.zeros(count * SAMPLE_RATE, np.float32)
    out[: min(len(samples), len(out))] = samples[: len(out)]
    return out.reshape(count, SAMPLE_RATE)


def read_image(path: Path, flag: int = cv2.IMREAD_COLOR) -> Bytes:
    """The image file, in colours RGB, else by OpenCV's ``flag``.

    Raises DatasetError where it cannot be read.
    """
    image = cv2.imread(str(path), flag)
    if image is None:
        raise DatasetError(f"{path} is missing or is no image: check the data folder")
    if flag == cv2.IMREAD_COLOR:
        # Not by a flag of its own: distributions bring an OpenCV that has none.
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return np.asarray(image, np.uint8)


def read_mask(path: Path, size: int, *, semantic: bool = False) -> Bytes:
    """Uint8 ``[size, size]``: 0|1, or the stored class index when ``semantic``."""
    # Pillow keeps the palette indices of the mask files; OpenCV would turn them into colours.
    from PIL import Image

    try:
        with Image.open(path) as image:
            stored = np.asarray(image.convert("L") if image.mode == "1" else image, np.uint8)
    except OSError as error:
        raise DatasetError(f"{path} is missing or not an image: {error}") from error
    if stored.ndim == 3:
        stored = stored[..., :3].max(axis=2)
    if not semantic:
        if odd := {*np.unique(stored).tolist()} - {0, 1, 255}:
            logger.warning("%s holds values %s; every value above 0 counts as sounding", path, odd)
        stored = (stored > 0).astype(np.uint8)
    if stored.shape != (size, size):
        stored = np.asarray(cv2.resize(stored, (size, size), interpolation=cv2.INTER_NEAREST))
    return stored


def read_clip(clip: AVSBenchClip, size: int = 224) -> ClipArrays:
    """Load one clip; DatasetError or AudioFormatError names the file that does not fit."""
    semantic = clip.subset.startswith("avss")
    # A frame of that size already is only copied.
    shown = [cv2.resize(read_image(path), (size, size)) for path in clip.frames]
    frames = np.asarray(np.stack(shown), np.uint8)
    masks = np.zeros((len(clip.frames), size, size), np.uint8)
    for t, path in enumerate(clip.masks):
        if path is not None:
            masks[t] = read_mask(path, size, semantic=semantic)
    annotated = np.array([path is not None for path in clip.masks])
    return ClipArrays(frames, read_seconds(clip.wav, len(clip.frames)), masks, annotated)
