"""Write an mp4 with H.264 images at their own times and the sound kept (AAC)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import MediaError
from avs_ros.media.decoding import import_av, local_url
from avs_ros.media.leaps import FilmLine
from avs_ros.segmentation import Bytes
from avs_ros.streaming.pcm import to_float

TIME_BASE = Fraction(1, 90_000)
# Rates that AAC knows; any other is resampled to 48 kHz.
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
# A chunk this far from where the last one ended is a gap or an overlap, not jitter.
TOLERANCE_S = 0.02


class VideoWriter:
    """An mp4 that is whole after :meth:`close`, however many frames it got.

    The first frame's stamp is the film's zero: sound before it is left out, gaps become silence.
    Where stamps leap (a recording played in a loop, a clock that was set), the film goes on from
    where it is, images and sound moved by the same amount.
    An image of odd size grows by one pixel (its last row or column again), as H.264 needs.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        fps: float = 25.0,
        audio_rate_hz: int = 0,
        audio_channels: int = 1,
        quality: int = 20,
        pixel_aspect: Fraction = Fraction(1),
    ) -> None:
        """Create the file; ``audio_rate_hz`` 0 makes a silent film.

        ``fps`` is only a hint for the encoder: frames stand where their stamps say.
        ``quality`` is x264's constant rate factor (lower is better and larger).
        ``pixel_aspect``: width of a pixel over its height, for players.
        """
        self._av = import_av()
        self._size = (width, height)
        if not path.parent.is_dir():
            raise MediaError(f"{path}: cannot be written, its folder does not exist")
        try:
            self._file = self._av.open(local_url(path), "w", options={"movflags": "+faststart"})
        except self._av.FFmpegError as error:
            raise MediaError(f"{path}: cannot be written ({error.strerror})") from error
        h264 = "libx264" in self._av.codecs_available
        self._video = self._file.add_stream(
            "libx264" if h264 else "mpeg4", rate=Fraction(max(fps, 1.0)).limit_denominator(1001)
        )
        self._video.width, self._video.height = width + width % 2, height + height % 2
        self._video.pix_fmt = "yuv420p"
        self._video.codec_context.time_base = TIME_BASE
        self._video.codec_context.sample_aspect_ratio = pixel_aspect
        self._video.options = (
            {"crf": str(quality), "preset": "veryfast"} if h264 else {"q:v": "3"}
        )
        self._audio: Any = None
        if audio_rate_hz > 0:
            self._rate = audio_rate_hz if audio_rate_hz in AAC_RATES else 48000
            self._channels = 2 if audio_channels == 2 else 1
            self._layout = "stereo" if self._channels == 2 else "mono"
            self._audio = self._file.add_stream("aac", rate=self._rate, layout=self._layout)
        self._zero_ns: int | None = None
        self._line = FilmLine()
        self._last_pts = -1
        self._early: list[tuple[int, NDArray[Any], int]] = []
        self._written = 0

    def frame(self, stamp_ns: int, rgb: Bytes) -> None:
        """Add one image, uint8 ``[height, width, 3]`` RGB (else it is resized)."""
        stamp_ns = self._line.place("image", stamp_ns, stamp_ns)
        if self._zero_ns is None:
            self._zero_ns = stamp_ns
            for early in self._early:
                self._add_sound(*early)
            self._early = []
        if rgb.shape[1::-1] != self._size:
            rgb = np.asarray(cv2.resize(rgb, self._size, interpolation=cv2.INTER_AREA))
        pad_y, pad_x = rgb.shape[0] % 2, rgb.shape[1] % 2
        if pad_y or pad_x:
            rgb = np.pad(rgb, ((0, pad_y), (0, pad_x), (0, 0)), mode="edge")
        image = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        pts = round((stamp_ns - self._zero_ns) * 90_000 / 1e9)
        image.pts = self._last_pts = max(pts, self._last_pts + 1)
        image.time_base = TIME_BASE
        self._file.mux(self._video.encode(image))

    def sound(self, stamp_ns: int, samples: NDArray[Any], rate_hz: int) -> None:
        """Add sound, ``[n]`` or ``[n, channels]`` (int16, int32, uint8, float); first at stamp."""
        if self._audio is None or len(samples) == 0:
            return
        end_ns = stamp_ns + round(len(samples) * 1e9 / rate_hz)
        self._add_sound(self._line.place("sound", stamp_ns, end_ns), samples, rate_hz)

    def _add_sound(self, stamp_ns: int, samples: NDArray[Any], rate_hz: int) -> None:
        if self._zero_ns is None:
            self._early.append((stamp_ns, samples, rate_hz))
            return
        block = self._mixed(samples, rate_hz)
        place = round((stamp_ns - self._zero_ns) * self._rate / 1e9)
        tolerance = round(TOLERANCE_S * self._rate)
        if place > self._written + tolerance:
            silence = np.zeros((place - self._written, self._channels), np.float32)
            block = np.concatenate([silence, block])
        elif place < self._written - tolerance or (self._written == 0 and place < 0):
            block = block[self._written - place :]
        self._encode(block)

    def _mixed(self, samples: NDArray[Any], rate_hz: int) -> NDArray[np.float32]:
        """Float32 ``[n, channels]`` at the film's rate and number of channels."""
        block = to_float(samples.reshape(len(samples), -1)).astype(np.float32, copy=False)
        if block.shape[1] != self._channels:
            mono = block.mean(axis=1, keepdims=True)
            block = np.repeat(mono, self._channels, axis=1)
        if rate_hz != self._rate:
            import soxr

            block = np.asarray(soxr.resample(block, rate_hz, self._rate), np.float32)
        return np.asarray(np.clip(np.nan_to_num(block), -1.0, 1.0)).reshape(-1, self._channels)

    def _encode(self, block: NDArray[np.float32]) -> None:
        if len(block) == 0:
            return
        frame = self._av.AudioFrame.from_ndarray(
            np.ascontiguousarray(block.T), format="fltp", layout=self._layout
        )
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = self._written, Fraction(1, self._rate)
        self._written += len(block)
        self._file.mux(self._audio.encode(frame))

    def close(self) -> None:
        """Flush the encoders and write the index: only now the file can be played."""
        try:
            if self._zero_ns is not None:
                self._file.mux(self._video.encode(None))
                if self._audio is not None and self._written:
                    self._file.mux(self._audio.encode(None))
        finally:
            self._file.close()
            # Encoders keep threads: free them now, not when the interpreter ends.
            self._video = self._audio = self._file = None
