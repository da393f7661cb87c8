"""The live source with a camera and a microphone that a test plays."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import numpy as np
import pytest
from media_files import lamp, tone

from avs_ros.errors import MediaError
from avs_ros.media import live
from avs_ros.media.microphone import age_of_block
from avs_ros.media.source import Frame, Sound


class PlayedCamera:
    """Gives the images that the test puts into it; None unplugs it."""

    name = "played camera"
    fps = 10.0

    def __init__(self) -> None:
        self.images: queue.Queue[tuple[int, np.ndarray] | None] = queue.Queue()
        self.taken = threading.Semaphore(0)
        self.closed = False

    def read(self) -> tuple[int, np.ndarray] | None:
        try:
            return self.images.get(timeout=5)
        except queue.Empty:
            return None
        finally:
            self.taken.release()

    def close(self) -> None:
        self.closed = True


class PlayedMicrophone:
    """Hands on the sound that the test gives it."""

    name = "played microphone"
    rate_hz = 16000
    channels = 1
    overflows = 0
    active = True

    def __init__(self) -> None:
        self.say: Callable[[Sound], None] = lambda sound: None
        self.closed = False

    def open(self, on_sound: Callable[[Sound], None]) -> PlayedMicrophone:
        self.say = on_sound
        return self

    def close(self) -> None:
        self.closed = True


def sound(ns: int) -> Sound:
    return Sound(ns, tone(0.1), 16000)


def test_newest_image_all_sound() -> None:
    camera, microphone = PlayedCamera(), PlayedMicrophone()
    camera.images.put((0, lamp()))
    source = live.LiveSource(camera, microphone.open)
    assert (source.info.width, source.info.height, source.info.audio_rate_hz) == (96, 64, 16000)
    for i in range(1, 5):
        camera.images.put((i * 100, lamp()))
        microphone.say(sound(i * 100))
    for _ in range(6):  # the first image, these four, and the wait for another
        if _ < 5:
            assert camera.taken.acquire(timeout=5)
    events = source.events()
    first = [next(events) for _ in range(5)]
    assert [event.stamp_ns for event in first if isinstance(event, Sound)] == [100, 200, 300, 400]
    frames = [event for event in first if isinstance(event, Frame)]
    camera.images.put(None)
    frames += [event for event in events if isinstance(event, Frame)]
    assert frames[-1].stamp_ns == 400
    assert frames[-1].decode().shape == (64, 96, 3)
    assert len(frames) + source.counters["frames_skipped"] == 4
    source.close()
    assert camera.closed
    assert microphone.closed


def test_a_microphone_that_falls_silent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "STALL_S", 0.2)
    camera, microphone = PlayedCamera(), PlayedMicrophone()
    camera.images.put((0, lamp()))
    source = live.LiveSource(camera, microphone.open)
    with pytest.raises(MediaError, match="played microphone has given no sound"):
        for _ in source.events():
            pass
    camera.images.put(None)
    source.close()


def test_a_camera_without_an_image_is_refused() -> None:
    camera, microphone = PlayedCamera(), PlayedMicrophone()
    camera.images.put(None)
    with pytest.raises(MediaError, match="played camera gives no image"):
        live.LiveSource(camera, microphone.open)
    assert camera.closed


def test_a_camera_is_freed_where_there_is_no_microphone() -> None:
    def none(on_sound: Callable[[Sound], None]) -> PlayedMicrophone:
        raise MediaError("no default input device (there are: none)")

    camera = PlayedCamera()
    camera.images.put((0, lamp()))
    with pytest.raises(MediaError, match="no default input device"):
        live.LiveSource(camera, none)
    assert camera.closed


def test_lost_samples_of_the_microphone_are_counted() -> None:
    camera, microphone = PlayedCamera(), PlayedMicrophone()
    camera.images.put((0, lamp()))
    source = live.LiveSource(camera, microphone.open)
    microphone.overflows = 3
    microphone.say(sound(0))
    camera.images.put(None)
    assert [event.stamp_ns for event in source.events()] == [0]
    assert source.counters["microphone_overflows"] == 3
    source.close()


def test_a_piece_of_sound_is_at_least_as_old_as_it_is_long() -> None:
    assert age_of_block(100.0, 100.05, 0.032) == pytest.approx(0.05)
    for adc, now in ((0.0, 100.0), (100.0, 100.001), (100.1, 100.0), (10.0, 100.0)):
        assert age_of_block(adc, now, 0.032) == 0.032


def test_a_camera_that_does_not_exist() -> None:
    with pytest.raises(MediaError, match="no image from camera 97"):
        live.Webcam("97")
