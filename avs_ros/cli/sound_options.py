"""Options for sound that does not say what it is."""

from __future__ import annotations

import argparse
from typing import Any

from avs_ros.conversions.audio import MAX_CHANNELS, AudioFormat
from avs_ros.errors import AvsError, ParameterError
from avs_ros.streaming.pcm import SAMPLE_FORMATS, canonical_format, check_rate


def add_sound_options(group: Any) -> None:
    """``--audio-rate``, ``--audio-channels`` and ``--audio-format``."""
    group.add_argument(
        "--audio-rate", type=int, metavar="HZ",
        help="rate of sound messages that do not carry it, whatever AudioInfo says (16000)",
    )
    group.add_argument(
        "--audio-channels", type=int, metavar="N", help="their channels (1)"
    )
    group.add_argument(
        "--audio-format", metavar="NAME",
        help=f"their sample format: {', '.join(SAMPLE_FORMATS)} (S16LE)",
    )


def audio_format(args: argparse.Namespace) -> AudioFormat | None:
    """What the options say; None where none was given.  Raises :class:`ParameterError`."""
    rate, channels, name = args.audio_rate, args.audio_channels, args.audio_format
    if rate is None and channels is None and name is None:
        return None
    usual = AudioFormat()
    rate = usual.rate if rate is None else rate
    channels = usual.channels if channels is None else channels
    if not 1 <= channels <= MAX_CHANNELS:
        raise ParameterError(f"--audio-channels is {channels}; must be 1 to {MAX_CHANNELS}")
    try:
        check_rate(rate)
        name = canonical_format(name or usual.sample_format)
    except AvsError as error:
        raise ParameterError(f"--audio-rate, --audio-format: {error}") from error
    return AudioFormat(name, channels, rate)
