"""Samples -> the audio message families of ROS 2 (see :mod:`.audio_reading`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.conversions.audio_reading import AUDIO_TYPES
from avs_ros.conversions.header import NANOSECONDS, ns_to_stamp
from avs_ros.conversions.message_types import Message, MessageTypes
from avs_ros.errors import AudioFormatError, MessageTypeError

_PORTAUDIO_INT16 = 8  # PortAudio's flag for 16-bit samples


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


def _stamped(types: MessageTypes, name: str, stamp_ns: int, frame_id: str) -> Message:
    msg = types(name)()
    msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(int(stamp_ns), NANOSECONDS)
    msg.header.frame_id = frame_id
    return msg


def _of_ros_drivers(types: MessageTypes, name: str, field: str) -> Message:
    """An empty message; raises :class:`MessageTypeError` where the other package is installed."""
    msg = types(name)()
    if not hasattr(msg, field):
        raise MessageTypeError(
            f"the audio_common_msgs installed here is not the one of ros-drivers (its "
            f"{name.rpartition('/')[2]} has no field {field}): use audio_type AudioStamped"
        )
    return msg


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
    pcm = to_int16(samples)
    channels = 1 if pcm.ndim == 1 else pcm.shape[1]
    octets = pcm.astype("<i2", copy=False).reshape(-1).view(np.uint8)
    if name == AUDIO_TYPES["RawAudio"]:
        return types(name)(
            timestamp=ns_to_stamp(types, stamp_ns), data=types.array(octets), format="pcm-s16",
            sample_rate=rate, number_of_channels=channels,
        )
    if name == AUDIO_TYPES["AudioStamped"]:
        msg = _stamped(types, name, stamp_ns, frame_id)
        info = msg.audio.info
        info.format, info.channels, info.rate = _PORTAUDIO_INT16, channels, rate
        info.chunk = pcm.shape[0]
        msg.audio.audio_data.int16_data = types.array(pcm)
        return msg
    if name == AUDIO_TYPES["AudioDataStamped"]:
        msg = _stamped(types, name, stamp_ns, frame_id)
        msg.audio.data = types.array(octets)
        return msg
    if name == AUDIO_TYPES["AudioData"]:
        msg = _of_ros_drivers(types, name, "data")
        msg.data = types.array(octets)
        return msg
    raise AudioFormatError(f"audio type {audio_type!r}: expected one of {', '.join(AUDIO_TYPES)}")


def make_audio_info(types: MessageTypes, rate: int, channels: int) -> Message:
    """``audio_common_msgs/AudioInfo`` of ros-drivers for 16-bit uncompressed sound."""
    msg = _of_ros_drivers(types, "audio_common_msgs/msg/AudioInfo", "sample_format")
    msg.channels, msg.sample_rate, msg.bitrate = channels, rate, rate * channels * 16
    msg.sample_format, msg.coding_format = "S16LE", "WAVE"
    return msg
