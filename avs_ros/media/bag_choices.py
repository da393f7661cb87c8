"""Which topics of a bag are camera and microphone, and what format its sound has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from avs_ros.conversions.audio import read_audio_info
from avs_ros.conversions.messages import stamp_to_ns
from avs_ros.errors import AudioFormatError, AvsError, BagError
from avs_ros.streaming.pcm import AudioFormat
from avs_ros.streaming.sound_format import FormatCheck

# Words in the names of image topics that are not what a camera sees.
NOT_A_CAMERA = ("depth", "mask", "overlay", "ground_truth", "label", "probability", "disparity",
                "infra", "heatmap", "cost")


def choose_topic(
    path: Path, connections: Sequence[Any], what: str, types: Sequence[str], topic: str
) -> tuple[list[Any], list[str]]:
    """Connections of the ``topic`` that was asked for, or ("") of the likeliest one.

    Beside them, the topics that could have been chosen instead.  ``what``: "image" or "sound",
    for the message of the :class:`BagError` that is raised where there is none; ``types``: the
    likeliest first.
    """
    fitting = [c for c in connections if c.msgtype in types]
    filled = [c for c in fitting if c.msgcount > 0]
    if topic:
        name = "/" + topic.lstrip("/")
        chosen = [c for c in fitting if c.topic == name]
        if not chosen:
            others = sorted({c.topic for c in fitting})
            kinds = {c.msgtype for c in connections if c.topic == name}
            says = f"is {kinds.pop()}, not {what}" if kinds else "is not in the bag"
            offer = f"; its {what} topics: {', '.join(others)}" if others else ""
            raise BagError(f"{path}: topic {name} {says}{offer}")
    elif filled:
        name = min(filled, key=lambda c: (
            any(word in c.topic for word in NOT_A_CAMERA), types.index(c.msgtype), -c.msgcount,
            c.topic,
        )).topic
        chosen = [c for c in filled if c.topic == name]
    else:
        has = ", ".join(sorted({c.topic for c in connections})) or "no topics"
        raise BagError(
            f"{path}: no {what} topic with messages (looked for {', '.join(types)}; the bag has "
            f"{has})"
        )
    return chosen, sorted({c.topic for c in filled} - {name})


def find_format(
    topic: str, given: AudioFormat | None, info: Any | None,
    chunks: Iterator[tuple[int, Any]], by_header: bool,
) -> tuple[AudioFormat, str]:
    """The format that was ``given``, else that of the ``AudioInfo`` ``info``, else the usual one.

    Beside it what speaks against it, "" for nothing.

    ``chunks``: time of recording and message of the first chunks, against which it is held;
    ``by_header``: their stamps count where they have any.  Raises :class:`AudioFormatError` for
    sound that is coded (MP3) or in a format that is not read.
    """
    try:
        form = given or (AudioFormat() if info is None else read_audio_info(info))
    except AvsError as error:
        raise AudioFormatError(f"{topic}: {error}") from error
    check = FormatCheck(form)
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
    return form, check.finding(topic, says)
