"""Sound from an input device through PortAudio, stamped with the time of its first sample.

PortAudio is loaded only when it is used.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from avs_ros.errors import MediaError, MissingDependencyError, optional
from avs_ros.sound import SAMPLE_RATE
from avs_ros.streaming.inputs import Sound

# An ADC time further away than this is not one (some drivers give 0 or another clock's time).
_MAX_LATENCY_S = 5.0


@dataclass(frozen=True)
class MicrophoneRequest:
    """What to record.

    ``device``: its name (or part of it) or number ("" is the default); ``rate_hz``: 0 is the
    device's own; ``block_s``: seconds of sound in each piece.
    """

    device: str = ""
    rate_hz: int = SAMPLE_RATE
    channels: int = 1
    block_s: float = 0.032


Now = Callable[[], int]
OnSound = Callable[[Sound], None]


def load_sounddevice() -> Any:
    """Import sounddevice; raises :class:`MissingDependencyError` naming what to install."""
    try:
        return optional("sounddevice", "the microphone")
    except OSError as error:
        # The Python module is there, the C library that it loads is not.
        raise MissingDependencyError(
            "PortAudio", "the microphone",
            "apt-get install libportaudio2 (macOS: brew install portaudio)",
        ) from error


def _input_devices(sounddevice: Any) -> list[tuple[int, dict[str, Any]]]:
    return [
        (index, device) for index, device in enumerate(sounddevice.query_devices())
        if device["max_input_channels"] > 0
    ]


def list_input_devices() -> str:
    """A table of the input devices, one per line, the default one marked with ``*``."""
    sounddevice = load_sounddevice()
    apis = sounddevice.query_hostapis()
    default = sounddevice.default.device[0]
    lines = [
        f"{'*' if index == default else ' '} {index:3d}  {device['name']}  "
        f"[{apis[device['hostapi']]['name']}, {device['max_input_channels']} channels, "
        f"{device['default_samplerate']:g} Hz]"
        for index, device in _input_devices(sounddevice)
    ]
    return "\n".join(lines) or "No input device found."


def _find_device(sounddevice: Any, wanted: str) -> dict[str, Any]:
    try:
        key = int(wanted) if wanted.strip().lstrip("+").isdigit() else wanted or None
        return dict(sounddevice.query_devices(key, kind="input"))
    except (ValueError, sounddevice.PortAudioError) as error:
        what = f"no input device '{wanted}'" if wanted else "no default input device"
        if "Multiple" in str(error):
            what = f"'{wanted}' fits several input devices"
        devices = _input_devices(sounddevice)
        there = "; ".join(f"{index}: {device['name']}" for index, device in devices)
        raise MediaError(f"{what} (there are: {there or 'none'})") from error


def age_of_block(adc_time: float, current_time: float, length: float) -> float:
    """Seconds between the first sample of a block and ``current_time``.

    ``adc_time`` and ``current_time`` are on the stream's clock.  A block that is complete is at
    least as old as it is long (``length``, s); that stands in where a driver tells otherwise.
    """
    age = current_time - adc_time
    return age if adc_time > 0.0 and length <= age <= _MAX_LATENCY_S else length


class PortAudioMicrophone:
    """An open PortAudio stream; hands out int16 ``[n, channels]`` from a thread of its own.

    ``overflows``: how often samples were lost, since this machine was too busy.
    """

    def __init__(
        self, request: MicrophoneRequest, on_sound: OnSound, now_ns: Now = time.time_ns
    ) -> None:
        """Open and start the device.

        ``now_ns`` is the clock of the stamps.  Raises :class:`MediaError` when there is no such
        device or it does not record as asked, :class:`MissingDependencyError` without PortAudio.
        """
        sounddevice = load_sounddevice()
        device = _find_device(sounddevice, request.device)
        self.name = str(device["name"])
        self.rate_hz = request.rate_hz or int(device["default_samplerate"])
        self.channels = request.channels
        self.overflows = 0
        if self.channels > device["max_input_channels"]:
            raise MediaError(
                f"'{self.name}' records {device['max_input_channels']} channels at most, "
                f"not {self.channels}"
            )
        self._now_ns = now_ns
        self._on_sound = on_sound
        self._error = sounddevice.PortAudioError
        try:
            self._stream = sounddevice.RawInputStream(
                samplerate=self.rate_hz,
                blocksize=max(1, round(self.rate_hz * request.block_s)),
                device=device["index"],
                channels=self.channels,
                dtype="int16",
                callback=self._take,
            )
            self._stream.start()
        except self._error as error:
            raise MediaError(
                f"'{self.name}' does not record {self.channels} channels at {self.rate_hz} Hz "
                f"({error}); its own rate is {device['default_samplerate']:g} Hz (rate: 0)"
            ) from error

    def _take(self, data: Any, frames: int, times: Any, status: Any) -> None:
        # Both clocks are read here, together: time that passed since PortAudio called (waiting
        # for the interpreter's lock) must not move the stamp.
        stream_now = self._stream.time
        now_ns = self._now_ns()
        age = age_of_block(times.inputBufferAdcTime, stream_now, frames / self.rate_hz)
        samples = np.frombuffer(bytes(data), np.int16).reshape(-1, self.channels)
        self.overflows += bool(status.input_overflow)
        self._on_sound(Sound(now_ns - round(age * 1e9), samples, self.rate_hz))

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


OpenMicrophone = Callable[[MicrophoneRequest, OnSound, Now], PortAudioMicrophone]


def open_port_audio(
    request: MicrophoneRequest, on_sound: OnSound, now_ns: Now
) -> PortAudioMicrophone:
    """Let PortAudio look for devices again (it sees no change by itself), then open one.

    No stream may be open in this process.  Raises :class:`MediaError` when PortAudio does not
    start, and what :class:`PortAudioMicrophone` raises.
    """
    sounddevice = load_sounddevice()
    # After an attempt that failed there is nothing to terminate.
    with contextlib.suppress(sounddevice.PortAudioError):
        sounddevice._terminate()
    try:
        sounddevice._initialize()
    except sounddevice.PortAudioError as error:
        raise MediaError(f"PortAudio does not start: {error}") from error
    return PortAudioMicrophone(request, on_sound, now_ns)
