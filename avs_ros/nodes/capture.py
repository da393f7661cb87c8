"""Sound from an input device through PortAudio, stamped with the time of its first sample.

PortAudio is loaded only when it is used; the node and its tests can take any other source that
keeps to :class:`Capture`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import AvsError, MissingDependencyError

NANOSECONDS = 1_000_000_000
# An ADC time further away than this is not one (some drivers give 0 or another clock's time).
_MAX_LATENCY_S = 5.0


class CaptureError(AvsError):
    """An input device that is not there, or does not record as asked."""


@dataclass(frozen=True)
class CaptureRequest:
    """What to record: device name (or part of it) or index ("" is the default), Hz (0 is the
    device's own), channels, s of sound per block.
    """

    device: str = ""
    rate: int = 16000
    channels: int = 1
    block_s: float = 0.032


@dataclass(frozen=True)
class Block:
    """int16 ``samples`` ``[n, channels]`` whose first one was taken at ``stamp_ns``.

    ``overflow``: samples before this block were lost.
    """

    stamp_ns: int
    samples: NDArray[np.int16]
    overflow: bool = False


class Capture(Protocol):
    """A source that is recording; it calls ``on_block`` from a thread of its own."""

    name: str
    rate: int
    channels: int

    @property
    def active(self) -> bool:
        """Whether blocks can still be expected."""
        ...

    def close(self) -> None:
        """Stop; no block comes afterwards."""
        ...


Now = Callable[[], int]
OnBlock = Callable[[Block], None]
OpenCapture = Callable[[CaptureRequest, Now, OnBlock], Capture]


def load_sounddevice() -> Any:
    """Import sounddevice; raises :class:`MissingDependencyError` naming what to install."""
    try:
        import sounddevice
    except ImportError as error:
        raise MissingDependencyError(
            "sounddevice", "the microphone", "pip install 'avs_ros[microphone]'"
        ) from error
    except OSError as error:
        # The Python module is there, the C library that it loads is not.
        raise MissingDependencyError(
            "PortAudio", "the microphone",
            "apt-get install libportaudio2 (macOS: brew install portaudio)",
        ) from error
    return sounddevice


def list_input_devices() -> str:
    """A table of the input devices, one per line, the default one marked with ``*``."""
    sounddevice = load_sounddevice()
    apis = sounddevice.query_hostapis()
    default = sounddevice.default.device[0]
    lines = [
        f"{'*' if index == default else ' '} {index:3d}  {device['name']}  "
        f"[{apis[device['hostapi']]['name']}, {device['max_input_channels']} channels, "
        f"{device['default_samplerate']:g} Hz]"
        for index, device in enumerate(sounddevice.query_devices())
        if device["max_input_channels"] > 0
    ]
    return "\n".join(lines) if lines else "No input device found."


def refresh_devices() -> None:
    """Let PortAudio look for devices again; it sees no change by itself.

    No stream may be open in this process.  Raises :class:`CaptureError` when it does not start.
    """
    sounddevice = load_sounddevice()
    # After an attempt that failed there is nothing to terminate.
    with contextlib.suppress(sounddevice.PortAudioError):
        sounddevice._terminate()
    try:
        sounddevice._initialize()
    except sounddevice.PortAudioError as error:
        raise CaptureError(f"PortAudio does not start: {error}") from error


def _find_device(sounddevice: Any, wanted: str) -> dict[str, Any]:
    try:
        key = int(wanted) if wanted.strip().lstrip("+").isdigit() else wanted or None
        return dict(sounddevice.query_devices(key, kind="input"))
    except (ValueError, sounddevice.PortAudioError) as error:
        what = f"no input device '{wanted}'" if wanted else "no default input device"
        if "Multiple" in str(error):
            what = f"'{wanted}' fits several input devices"
        there = "; ".join(
            f"{index}: {device['name']}"
            for index, device in enumerate(sounddevice.query_devices())
            if device["max_input_channels"] > 0
        )
        raise CaptureError(f"{what} (there are: {there or 'none'})") from error


def age_of_block(adc_time: float, current_time: float, length: float) -> float:
    """Seconds between the first sample of a block and ``current_time``.

    ``adc_time`` and ``current_time`` are on the stream's clock.  A block that is complete is at
    least as old as it is long (``length``, s); that stands in where a driver tells otherwise.
    """
    age = current_time - adc_time
    return age if adc_time > 0.0 and length <= age <= _MAX_LATENCY_S else length


class PortAudioCapture:
    """An open PortAudio stream."""

    def __init__(self, request: CaptureRequest, now_ns: Now, on_block: OnBlock) -> None:
        """Open and start the device.

        ``now_ns`` is the clock of the stamps.  Raises :class:`CaptureError` when there is no
        such device or it does not record as asked, :class:`MissingDependencyError` without
        PortAudio.
        """
        sounddevice = load_sounddevice()
        device = _find_device(sounddevice, request.device)
        self.name = str(device["name"])
        self.rate = request.rate or int(device["default_samplerate"])
        self.channels = request.channels
        if self.channels > device["max_input_channels"]:
            raise CaptureError(
                f"'{self.name}' records {device['max_input_channels']} channels at most, "
                f"not {self.channels}"
            )
        self._now_ns = now_ns
        self._on_block = on_block
        self._error = sounddevice.PortAudioError
        try:
            self._stream = sounddevice.RawInputStream(
                samplerate=self.rate,
                blocksize=max(1, round(self.rate * request.block_s)),
                device=device["index"],
                channels=self.channels,
                dtype="int16",
                callback=self._take,
            )
            self._stream.start()
        except self._error as error:
            raise CaptureError(
                f"'{self.name}' does not record {self.channels} channels at {self.rate} Hz "
                f"({error}); its own rate is {device['default_samplerate']:g} Hz (rate: 0)"
            ) from error

    def _take(self, data: Any, frames: int, times: Any, status: Any) -> None:
        # Both clocks are read here, together: time that passed since PortAudio called (waiting
        # for the interpreter's lock) must not move the stamp.
        stream_now = self._stream.time
        now_ns = self._now_ns()
        age = age_of_block(times.inputBufferAdcTime, stream_now, frames / self.rate)
        samples = np.frombuffer(bytes(data), np.int16).reshape(-1, self.channels)
        stamp_ns = now_ns - round(age * NANOSECONDS)
        self._on_block(Block(stamp_ns, samples, bool(status.input_overflow)))

    @property
    def active(self) -> bool:
        """Whether PortAudio still runs the stream."""
        try:
            return bool(self._stream.active)
        except self._error:
            return False

    def close(self) -> None:
        """Stop and close the stream; a device that is gone already is no error."""
        try:
            self._stream.abort(ignore_errors=True)
            self._stream.close(ignore_errors=True)
        except self._error:
            return
