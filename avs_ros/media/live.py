"""A webcam and a microphone as a source, on the system clock.

When the model is slower than the camera, the newest image wins; no sound is ever left out.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import cv2
import numpy as np

from avs_ros.errors import MediaError
from avs_ros.media.microphone import MicrophoneRequest, OnSound, PortAudioMicrophone
from avs_ros.media.source import Frame, Sound, Source, SourceInfo
from avs_ros.segmentation import Bytes

STALL_S = 5.0


class Webcam:
    """A camera that OpenCV opens: a number, a device path, or an address."""

    def __init__(self, device: str = "0") -> None:
        """Open it and take one image; raises :class:`MediaError` when there is none."""
        self.name = f"camera {device}"
        index: Any = int(device) if device.isdecimal() else device
        # OpenCV's own complaint would stand beside our message.
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
                f"no image from camera {device}: is one plugged in, free, and allowed to you? "
                "Choose another with --camera (a number, a device path or an address)"
            )
        self.fps = float(self._capture.get(cv2.CAP_PROP_FPS) or 0.0)

    def read(self) -> tuple[int, Bytes] | None:
        """Wait for the next image: time of capture (ns), uint8 ``[H, W, 3]`` RGB; None: gone."""
        done, image = self._capture.read()
        stamp_ns = time.time_ns()
        if not done:
            return None
        return stamp_ns, np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    def close(self) -> None:
        """Free the device."""
        self._capture.release()


class LiveSource(Source):
    """Newest image, all sound.

    ``counters``: ``frames_skipped``, images nobody had time for; ``microphone_overflows``, how
    often the microphone lost samples.
    """

    def __init__(
        self, camera: Webcam, open_microphone: Callable[[OnSound], PortAudioMicrophone]
    ) -> None:
        """Begin to record from both; they are closed with the source.

        Raises :class:`MediaError`, and closes the camera, when one of them gives nothing.
        """
        super().__init__("frames_skipped", "microphone_overflows")
        self._camera = camera
        self._sounds: queue.SimpleQueue[Sound] = queue.SimpleQueue()
        self._newest: tuple[int, Bytes] | None = None
        self._index = -1
        self._arrived = threading.Condition()
        self._closed = False
        self._ended = False
        self._thread = threading.Thread(target=self._watch, name="camera", daemon=True)
        try:
            first = camera.read()
            if first is None:
                raise MediaError(f"{camera.name} gives no image")
            self._microphone = microphone = open_microphone(self._hear)
        except BaseException:
            camera.close()
            raise
        height, width = first[1].shape[:2]
        self.info = SourceInfo(
            "live", "camera and microphone", width, height, camera.fps or 30.0, 0, 0.0,
            microphone.rate_hz, microphone.channels,
            {"image": f"{camera.name}, {width}x{height}",
             "sound": f"{microphone.name}, {microphone.rate_hz} Hz"},
        )
        self._thread.start()

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
        """Sound as it comes and the newest image, until the camera ends or nobody asks."""
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
            self.counters["microphone_overflows"] = self._microphone.overflows
            if newest is not None:
                stamp_ns, image = newest
                yield Frame(stamp_ns, index, partial(np.asarray, image), "camera")
            elif ended:
                return
            if time.monotonic() - heard > STALL_S:
                raise MediaError(
                    f"{self._microphone.name} has given no sound for {STALL_S:.0f} s; "
                    "is it unplugged or muted by the system?"
                )

    def close(self) -> None:
        """Stop recording."""
        self._closed = True
        if self._thread.is_alive():
            self._thread.join(2.0)
        self._microphone.close()
        self._camera.close()


def open_live(camera: str = "0", microphone: str = "") -> LiveSource:
    """Webcam and microphone by name or number; raises :class:`MediaError` in one message."""
    # At the device's own rate, whatever that is: every model resamples.
    request = MicrophoneRequest(microphone, rate_hz=0)
    return LiveSource(Webcam(camera), lambda on_sound: PortAudioMicrophone(request, on_sound))
