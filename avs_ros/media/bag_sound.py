"""The format of a bag's sound where its messages do not say it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from avs_ros.conversions.audio import AudioFormat, read_audio_info
from avs_ros.conversions.messages import stamp_to_ns
from avs_ros.errors import AudioFormatError, AvsError
from avs_ros.streaming.sound_format import CHUNKS as CHUNKS
from avs_ros.streaming.sound_format import Format, FormatCheck


@dataclass(frozen=True)
class FoundFormat:
    """``form``, and what speaks against it, a message each."""

    form: AudioFormat
    doubts: list[str] = field(default_factory=list)


def find_format(
    topic: str, given: AudioFormat | None, info: Any | None,
    chunks: Iterator[tuple[int, Any]], by_header: bool,
) -> FoundFormat:
    """The format that was ``given``, else that of the ``AudioInfo`` ``info``, else the usual one.

    ``chunks``: time of recording and message of the first chunks, against which it is held;
    ``by_header``: their stamps count where they have any.  Raises :class:`AudioFormatError` for
    sound that is coded (MP3) or in a format that is not read.
    """
    try:
        form = given or (AudioFormat() if info is None else read_audio_info(info))
    except AvsError as error:
        raise AudioFormatError(f"{topic}: {error}") from error
    check = FormatCheck(Format(form.rate, form.channels, form.sample_format))
    for recorded_ns, msg in chunks:
        stamped = by_header and hasattr(msg, "header")
        stamp_ns = stamp_to_ns(msg.header.stamp) if stamped else recorded_ns
        check.add(stamp_ns, bytes(msg.audio.data if hasattr(msg, "audio") else msg.data))
    if codec := check.codec():
        raise AudioFormatError(
            f"{topic} holds {codec} frames, samples are needed: record with the capture node's "
            "format:=wave"
        )
    says = "as the options say" if given else "as its AudioInfo says" if info else ""
    finding = check.finding(topic, says)
    return FoundFormat(form, [finding] if finding else [])
