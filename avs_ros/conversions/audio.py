"""The three audio message families of ROS 2 <-> one chunk of samples.

======================================  ========================  =============================
type                                    family                    rate, channels, format
======================================  ========================  =============================
``audio_common_msgs/msg/AudioDataStamped``  ros-drivers           from ``AudioInfo`` or assumed
``audio_common_msgs/msg/AudioStamped``      mgonzs13              in each message
``foxglove_msgs/msg/RawAudio``              Foxglove              in each message
``audio_common_msgs/msg/AudioData``         ros-drivers, no stamp from ``AudioInfo`` or assumed
======================================  ========================  =============================

Two packages share the name ``audio_common_msgs``, so families are told apart by the outer type's
name or by the fields, never by importing both.  A chunk's stamp is the time of its first sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.conversions.messages import (
    NANOSECONDS,
    MalformedAudio,
    Message,
    MessageTypes,
    make_header,
    ns_to_stamp,
    stamp_to_ns,
)
from avs_ros.errors import AudioFormatError
from avs_ros.sound import STRAY_SHARE, check_scale
from avs_ros.streaming import pcm
from avs_ros.streaming.inputs import Sound
from avs_ros.streaming.pcm import AudioFormat

# Short name (as the `audio_type` parameter takes it) -> full type name.
AUDIO_TYPES = {
    "AudioDataStamped": "audio_common_msgs/msg/AudioDataStamped",
    "AudioStamped": "audio_common_msgs/msg/AudioStamped",
    "RawAudio": "foxglove_msgs/msg/RawAudio",
    "AudioData": "audio_common_msgs/msg/AudioData",
}
# These say nothing about their samples; an AudioInfo beside them does.
FORMATLESS = (AUDIO_TYPES["AudioDataStamped"], AUDIO_TYPES["AudioData"])
AUDIO_INFO = "audio_common_msgs/msg/AudioInfo"
MAX_CHANNELS = 64
# PortAudio's sample flags -> the field of mgonzs13's AudioData that holds the samples.
_PORTAUDIO = {
    1: ("float32_data", np.float32),
    2: ("int32_data", np.int32),
    8: ("int16_data", np.int16),
    16: ("int8_data", np.int8),
    32: ("uint8_data", np.uint8),
}


@contextmanager
def _refused_as(reason: str, hint: str = "") -> Iterator[None]:
    """Count what is raised inside under ``reason``."""
    try:
        yield
    except AudioFormatError as error:
        raise MalformedAudio(reason, f"{error}{hint}") from error


def check_format(form: AudioFormat) -> str:
    """The format's name out of ``SAMPLE_FORMATS``; raises :class:`MalformedAudio`."""
    with _refused_as("audio_rate"):
        pcm.check_rate(form.rate)
    if not 1 <= form.channels <= MAX_CHANNELS:
        message = f"{form.channels} channels: need 1 to {MAX_CHANNELS}"
        raise MalformedAudio("audio_channels", message)
    with _refused_as("audio_format"):
        return pcm.canonical_format(form.sample_format)


def _decode(data: Any, described: AudioFormat) -> NDArray[Any]:
    """PCM bytes -> ``[n, channels]`` samples as ``described``."""
    name = check_format(described)
    if len(data) == 0:
        raise MalformedAudio("audio_empty", "sound message without any samples")
    # A compressed stream (audio_capture's default is MP3) ends here sooner or later.
    with _refused_as("audio_truncated", "; a compressed stream needs format:=wave at its source"):
        return pcm.decode(data, name, described.channels)


def _from_audio_stamped(msg: Message) -> Sound:
    """mgonzs13: one of five arrays is filled, ``info.format`` says which."""
    info, arrays = msg.audio.info, msg.audio.audio_data
    if int(info.format) not in _PORTAUDIO:
        raise MalformedAudio(
            "audio_format",
            f"PortAudio sample format {info.format}: expected {', '.join(map(str, _PORTAUDIO))}",
        )
    field, dtype = _PORTAUDIO[int(info.format)]
    channels, rate = int(info.channels), int(info.rate)
    check_format(AudioFormat(channels=channels, rate=rate))
    flat = np.asarray(getattr(arrays, field), dtype=dtype)
    if flat.size == 0:
        raise MalformedAudio("audio_empty", f"sound message whose {field} holds no samples")
    if flat.size % channels:
        raise MalformedAudio(
            "audio_truncated", f"{flat.size} samples do not divide into {channels} channels"
        )
    samples = flat.reshape(-1, channels)
    return Sound(stamp_to_ns(msg.header.stamp), samples, rate)


def _from_raw_audio(msg: Message) -> Sound:
    """Foxglove: ``pcm-s16`` is the only format defined today."""
    described = AudioFormat(msg.format, int(msg.number_of_channels), int(msg.sample_rate))
    return Sound(stamp_to_ns(msg.timestamp), _decode(msg.data, described), described.rate)


def read_audio(
    msg: Message, assumed: AudioFormat | None = None, received_ns: int = 0
) -> Sound:
    """Any message of the families above -> :class:`Sound`, samples ``[n, channels]``.

    ``assumed``: rate, channels and sample format where the message carries none.
    ``received_ns``: the node's time at reception, used (minus the chunk's length) for the
    unstamped ``AudioData`` only.  Raises :class:`MalformedAudio` with reason ``audio_type``,
    ``audio_format``, ``audio_truncated``, ``audio_rate``, ``audio_channels``, ``audio_empty``,
    ``audio_scale`` or ``audio_stamp_zero``.  NaN samples pass: the audio buffer mends and counts
    them.
    """
    assumed = assumed or AudioFormat()
    if hasattr(msg, "number_of_channels"):
        chunk = _from_raw_audio(msg)
    elif hasattr(msg, "audio") and hasattr(msg.audio, "audio_data"):
        chunk = _from_audio_stamped(msg)
    elif hasattr(msg, "audio"):
        samples = _decode(msg.audio.data, assumed)
        chunk = Sound(stamp_to_ns(msg.header.stamp), samples, assumed.rate)
    elif hasattr(msg, "data"):
        samples = _decode(msg.data, assumed)
        if received_ns == 0:
            raise MalformedAudio(
                "audio_stamp_zero", "sound without stamps before the first /clock message"
            )
        length_ns = samples.shape[0] * NANOSECONDS // assumed.rate
        chunk = Sound(received_ns - length_ns, samples, assumed.rate)
    else:
        raise MalformedAudio(
            "audio_type",
            f"{type(msg).__name__} holds no sound this node reads: publish one of "
            f"{', '.join(AUDIO_TYPES.values())} (AudioData of the ros-drivers package)",
        )
    if chunk.stamp_ns == 0:
        raise MalformedAudio(
            "audio_stamp_zero",
            "sound with stamp 0 cannot be paired with an image: the publisher must set the stamp",
        )
    if chunk.samples.dtype.kind == "f":
        with _refused_as("audio_scale"):
            check_scale(chunk.samples, STRAY_SHARE)
    return chunk


def read_audio_info(msg: Message) -> AudioFormat:
    """``audio_common_msgs/AudioInfo`` of ros-drivers -> the stream's format.

    Raises :class:`MalformedAudio` with reason ``audio_coded`` for a compressed stream (MP3 is
    what audio_capture sends by default), ``audio_format`` for an unknown sample format,
    ``audio_rate`` / ``audio_channels``, or ``audio_type`` for the other package's AudioInfo.
    """
    if not hasattr(msg, "sample_format"):
        raise MalformedAudio(
            "audio_type",
            "this AudioInfo is not of the ros-drivers package but of another one of the same "
            "name (mgonzs13's): publish its AudioStamped, which carries the format itself",
        )
    coding = str(getattr(msg, "coding_format", "")).lower()
    if coding not in ("", "wave", "wav", "raw", "pcm"):
        raise MalformedAudio(
            "audio_coded",
            f"the sound is coded as {coding}, samples are needed: start the capture node with "
            "format:=wave",
        )
    found = AudioFormat(str(msg.sample_format) or "S16LE", int(msg.channels), int(msg.sample_rate))
    check_format(found)
    return found


def to_int16(samples: NDArray[Any]) -> NDArray[np.int16]:
    """PCM samples of any type (floats: -1..1, clipped), ``[n]`` or ``[n, channels]`` -> int16.

    Integers keep their upper 16 bits; raises :class:`AudioFormatError` for another type.
    """
    if samples.dtype == np.int16:
        return np.ascontiguousarray(samples)
    if samples.dtype == np.int32:
        return np.ascontiguousarray(samples >> 16, np.int16)
    if samples.dtype == np.uint8:
        return np.ascontiguousarray((samples.astype(np.int16) - 128) << 8)
    if samples.dtype.kind != "f":
        raise AudioFormatError(f"samples are {samples.dtype}: expected int16, int32, uint8, float")
    return np.ascontiguousarray(np.clip(np.rint(samples * 32768.0), -32768, 32767), np.int16)


def make_audio(
    types: MessageTypes, audio_type: str, stamp_ns: int, samples: NDArray[Any], rate: int,
    frame_id: str = "",
) -> Message:
    """One chunk as a message of ``audio_type`` (short or full name), 16-bit samples.

    ``samples``: ``[n]`` or ``[n, channels]``, int16 or float32 -1..1; ``stamp_ns``: time of the
    first.  ``AudioDataStamped`` and ``AudioData`` carry no rate: send :func:`make_audio_info`
    beside them.  Raises :class:`AudioFormatError` for another type.
    """
    name = AUDIO_TYPES.get(audio_type, audio_type)
    short = to_int16(samples)
    channels = 1 if short.ndim == 1 else short.shape[1]
    octets = short.astype("<i2", copy=False).reshape(-1).view(np.uint8)
    if name == AUDIO_TYPES["RawAudio"]:
        return types(name)(
            timestamp=ns_to_stamp(types, stamp_ns), data=types.array(octets), format="pcm-s16",
            sample_rate=rate, number_of_channels=channels,
        )
    if name == AUDIO_TYPES["AudioData"]:
        return types(name)(data=types.array(octets))
    if name not in AUDIO_TYPES.values():
        raise AudioFormatError(
            f"audio type {audio_type!r}: expected one of {', '.join(AUDIO_TYPES)}"
        )
    msg = types(name)(header=make_header(types, stamp_ns, frame_id))
    if name == AUDIO_TYPES["AudioDataStamped"]:
        msg.audio.data = types.array(octets)
        return msg
    info = msg.audio.info
    info.format, info.channels, info.rate = 8, channels, rate  # PortAudio's flag for int16
    info.chunk = short.shape[0]
    msg.audio.audio_data.int16_data = types.array(short)
    return msg


def make_audio_info(types: MessageTypes, rate: int, channels: int) -> Message:
    """``audio_common_msgs/AudioInfo`` of ros-drivers for 16-bit uncompressed sound."""
    return types(AUDIO_INFO)(
        channels=channels, sample_rate=rate, bitrate=rate * channels * 16, sample_format="S16LE",
        coding_format="WAVE",
    )
