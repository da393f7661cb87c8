"""Whatever ``avs run`` is given -> a source."""

from __future__ import annotations

from pathlib import Path

from avs_ros.errors import BagError, MediaError
from avs_ros.media.source import Source

BAG_SUFFIXES = (".mcap", ".db3")


def is_bag(path: Path) -> bool:
    """Whether ``path`` is taken for a rosbag2: a folder, or a storage file."""
    return path.is_dir() or path.suffix in BAG_SUFFIXES


def open_recording(
    path: Path, image: str = "", audio: str = "", stamps: str = "header"
) -> Source:
    """Open a video file or a rosbag2; raises :class:`MediaError` or :class:`BagError`.

    ``image``, ``audio`` and ``stamps`` are those of :class:`~avs_ros.media.bag.BagOptions`.
    """
    if not path.exists():
        raise MediaError(f"{path}: no such file or folder")
    if path.suffix == ".bag":
        raise BagError(f"{path}: a ROS 1 bag; convert it with `rosbags-convert` first")
    if is_bag(path):
        from avs_ros.media.bag import BagOptions, BagSource

        return BagSource(path, BagOptions(image, audio, stamps))
    if image or audio:
        raise MediaError(f"{path}: a video file has no topics; leave --image and --audio away")
    from avs_ros.media.video import VideoSource

    return VideoSource(path)
