"""Whatever ``avs run`` is given -> a source."""

from __future__ import annotations

from pathlib import Path

from avs_ros.errors import MediaError
from avs_ros.media.bag_files import is_bag, refuse_unreadable
from avs_ros.media.source import Source
from avs_ros.streaming.pcm import AudioFormat


def open_recording(
    path: Path, image: str = "", audio: str = "", stamps: str = "header",
    audio_format: AudioFormat | None = None,
) -> Source:
    """Open a video file or a rosbag2; raises :class:`MediaError` or :class:`BagError`.

    ``image``, ``audio``, ``stamps`` and ``audio_format`` are those of
    :class:`~avs_ros.media.bag.BagOptions`.
    """
    if not path.exists():
        raise MediaError(f"{path}: no such file or folder")
    refuse_unreadable(path)
    if is_bag(path):
        from avs_ros.media.bag import BagOptions, BagSource

        return BagSource(path, BagOptions(image, audio, stamps, audio_format))
    for given, says, options in (
        (image or audio, "has no topics", "--image and --audio"),
        (stamps != "header", "has one clock", "--stamps"),
        (audio_format, "says the format of its sound",
         "--audio-rate, --audio-channels and --audio-format"),
    ):
        if given:
            raise MediaError(f"{path}: a video file {says}; leave {options} away")
    from avs_ros.media.video import VideoSource

    return VideoSource(path)
