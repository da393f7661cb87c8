"""A webcam and a microphone as a source, on the system clock.

When the model is slower than the camera, the newest picture wins; no sound is ever left out.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol

import cv2
import numpy as np

from avs_ros.errors import MediaError, MissingDependencyError
from avs_ros.media.source import Frame, Sound, SourceInfo
from avs_ros.segmentation import Bytes

STALL_S = 5.0
BLOCK_S = 0.032


class Camera(Protocol):
    """Gives pictures: uint8 ``[H, W, 3]`` RGB with the time of capture (ns)."""

    name: str
    fps: float

    def read(self) -> tuple[int, Bytes] | None:
        """Wait for the next picture; None when the device is gone."""
        ...

    def close(self) -> None:
        """Free the device."""
        ...


class Microphone(Protocol):
    """Calls back with sound until it is closed."""

    name: str
    rate_hz: int
    channels: int

    def start(self, on_sound: Callable[[Sound], None]) -> None:
        """Begin to record; ``on_sound`` is called from the device's own thread."""
        ...

    def close(self) -> None:
        """Free the device."""
        ...


class Webcam:
    """A camera that OpenCV opens: a number, a device path, or an address."""

    def __init__(self, device: str = "0") -> None:
        """Open it and take one picture; raises :class:`MediaError` when there is none."""
        self.name = f"camera {device}"
        index: Any = int(device) if device.isdecimal() else device
        # OpenCV's own complaint would stand beside our sentence.
        logging: Any = getattr(getattr(cv2, "utils", None), "logging", None)
        level = logging.getLogLevel() if logging is not None else None
        if logging is not None:
            logging.setLogLevel(0)
        try:
            self._capture = cv2.VideoCapture(index)
            done = self._capture.isOpened() and self._capture.read()[0]
        finally:
            if logging is not None:
                logging.setLogLevel(level)
        if not done:
            self._capture.release()
            raise MediaError(
                f"no picture from camera {device}: is one plugged in, free, and allowed to you? "
                "Choose another with --camera (a number, a device path or an address)"
            )
        self.fps = float(self._capture.get(cv2.CAP_PROP_FPS) or 0.0)

    def read(self) -> tuple[int, Bytes] | None:
        """Wait for the next picture."""
        done, picture = self._capture.read()
        stamp_ns = time.time_ns()
        if not done:
            return None
        return stamp_ns, np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)

    def close(self) -> None:
        """Free the device."""
        self._capture.release()


class PortAudioMicrophone:
    """A microphone through sounddevice, mono float32 at the device's own rate."""

    def __init__(self, device: str = "") -> None:
        """Find it; raises :class:`MediaError` when there is none."""
        try:
            import sounddevice
        except ImportError as error:
            raise MissingDependencyError(
                "sounddevice", "The microphone", "pip install 'avs_ros[microphone]'"
            ) from error
        except OSError as error:
            raise MissingDependencyError(
                "the PortAudio library", "The microphone", "apt-get install libportaudio2"
            ) from error
        chosen: Any = int(device) if device.isdecimal() else device or None
        try:
            found = sounddevice.query_devices(chosen, "input")
            self.rate_hz, self.channels = int(found["default_samplerate"]), 1
            self.name = str(found["name"])
            self._stream = sounddevice.InputStream(
                self.rate_hz, round(BLOCK_S * self.rate_hz), chosen, 1, "float32",
                callback=self._take,
            )
        except (sounddevice.PortAudioError, ValueError) as error:
            raise MediaError(
                f"no sound from microphone {device or '(default)'} ({error}); "
                "choose another with --microphone"
            ) from error
        self._on_sound: Callable[[Sound], None] = lambda sound: None

    def _take(self, data: Any, frames: int, at: Any, status: Any) -> None:
        """PortAudio says how long ago the block's first sample was converted."""
        ago_ns = round((at.currentTime - at.inputBufferAdcTime) * 1e9)
        if not 0 <= ago_ns < 2_000_000_000:  # some backends leave these times at zero
            ago_ns = round(frames * 1e9 / self.rate_hz)
        self._on_sound(Sound(time.time_ns() - ago_ns, data[:, 0].copy(), self.rate_hz))

    def start(self, on_sound: Callable[[Sound], None]) -> None:
        """Begin to record."""
        self._on_sound = on_sound
        self._stream.start()

    def close(self) -> None:
        """Free the device."""
        self._stream.close()


class LiveSource:
    """Newest picture, all sound.  ``counters["frames_skipped"]``: pictures nobody had time for."""

    def __init__(self, camera: Camera, microphone: Microphone) -> None:
        """Begin to record from both; they are closed with the source."""
        self.counters: dict[str, int] = {"frames_skipped": 0}
        self._camera, self._microphone = camera, microphone
        self._sounds: queue.SimpleQueue[Sound] = queue.SimpleQueue()
        self._newest: tuple[int, Bytes] | None = None
        self._index = -1
        self._arrived = threading.Condition()
        self._closed = False
        self._ended = False
        self._thread = threading.Thread(target=self._watch, name="camera", daemon=True)
        first = camera.read()
        if first is None:
            self._release()
            raise MediaError(f"{camera.name} gives no picture")
        height, width = first[1].shape[:2]
        self.info = SourceInfo(
            "live", "camera and microphone", width, height, camera.fps or 30.0, 0, 0.0,
            microphone.rate_hz, microphone.channels,
            {"picture": f"{camera.name}, {width}x{height}",
             "sound": f"{microphone.name}, {microphone.rate_hz} Hz"},
        )
        self._thread.start()
        microphone.start(self._hear)

    def _hear(self, sound: Sound) -> None:
        self._sounds.put(sound)
        with self._arrived:
            self._arrived.notify_all()

    def _watch(self) -> None:
        while not self._closed:
            taken = self._camera.read()
            with self._arrived:
                if taken is None:
                    self._ended = True
                else:
                    self.counters["frames_skipped"] += self._newest is not None
                    self._newest = taken
                    self._index += 1
                self._arrived.notify_all()
            if taken is None:
                return

    def events(self) -> Iterator[Frame | Sound]:
        """Sound as it comes and the newest picture, until the camera ends or nobody asks."""
        heard = time.monotonic()
        while True:
            with self._arrived:
                self._arrived.wait_for(
                    lambda: self._newest is not None or not self._sounds.empty() or self._ended,
                    timeout=STALL_S,
                )
                newest, self._newest, index = self._newest, None, self._index
                ended = self._ended
            while not self._sounds.empty():
                heard = time.monotonic()
                yield self._sounds.get()
            if newest is not None:
                stamp_ns, picture = newest
                yield Frame(stamp_ns, index, partial(np.asarray, picture), "camera")
            elif ended:
                return
            if time.monotonic() - heard > STALL_S:
                raise MediaError(
                    f"{self._microphone.name} has given no sound for {STALL_S:.0f} s; "
                    "is it unplugged or muted by the system?"
                )

    def _release(self) -> None:
        self._microphone.close()
        self._camera.close()

    def close(self) -> None:
        """Stop recording."""
        self._closed = True
        if self._thread.is_alive():
            self._thread.join(2.0)
        self._release()


def open_live(camera: str = "0", microphone: str = "") -> LiveSource:
    """Webcam and microphone by name or number; raises :class:`MediaError` in one sentence."""
    webcam = Webcam(camera)
    try:
        return LiveSource(webcam, PortAudioMicrophone(microphone))
    except BaseException:
        webcam.close()
        raise
