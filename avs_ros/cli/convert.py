"""``avs convert KIND SRC DST``: data sets, videos and bags to rosbag2 in this package's topics."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from avs_ros.errors import DatasetError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs convert``."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    words = {
        "avsbench": "every clip of an AVSBench set with its true masks: a bag each, in folder DST",
        "video": "a video file with sound",
        "bag": "camera and microphone of a robot's bag",
    }
    for name, line in words.items():
        kind = kinds.add_parser(name, help=line, description=line)
        kind.add_argument("source", type=Path, metavar="SRC")
        kind.add_argument(
            "target", type=Path, metavar="DST", help="file.mcap, or folder (avsbench)"
        )
        kind.add_argument(
            "--audio-type",
            default="AudioStamped",
            choices=("AudioStamped", "AudioDataStamped", "RawAudio", "AudioData"),
            help="message type of the sound (AudioStamped)",
        )
        kind.add_argument("--compressed", action="store_true", help="JPEG pictures")
        if name == "avsbench":
            kind.add_argument("--subset", choices=("s4", "ms3", "avss"))
            kind.add_argument("--split", choices=("train", "val", "test"), default="test")
            kind.add_argument("--size", type=int, default=224, help="side of the pictures, px")
        if name == "bag":
            kind.add_argument("--image", default="", metavar="TOPIC", help="picture topic")
            kind.add_argument("--audio", default="", metavar="TOPIC", help="sound topic")


def run(args: argparse.Namespace) -> int:
    """Convert; say what was written."""
    from rich.console import Console
    from rich.progress import track

    from avs_ros.evaluation import avsbench
    from avs_ros.evaluation.bag_making import convert_clips, convert_recording

    form: dict[str, Any] = {"audio_type": args.audio_type, "compressed": args.compressed}
    if args.kind == "avsbench":
        subset = args.subset or avsbench.detect_subset(args.source)
        clips = avsbench.read_clips(args.source, subset, args.split)
        bags = convert_clips(clips, args.target, size=args.size, **form)
        console = Console(stderr=True)
        count = sum(1 for _ in track(bags, "writing bags", len(clips), console=console))
        print(f"{count} bags in {args.target}")
        return 0
    from avs_ros.media.opening import open_recording

    target: Path = args.target if args.target.suffix == ".mcap" else Path(f"{args.target}.mcap")
    if target.exists() and target.samefile(args.source):
        raise DatasetError(f"{target} is the source itself; choose another target")
    topics = (args.image, args.audio) if args.kind == "bag" else ()
    source = open_recording(args.source, *topics)
    try:
        counts = convert_recording(source, target, **form)
    finally:
        source.close()
    print(f"{target}: {counts['frames']} pictures, {counts['sounds']} chunks of sound")
    return 0
