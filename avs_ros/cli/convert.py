"""``avs convert KIND SRC DST``: data sets, videos and bags to rosbag2 in this package's topics."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from avs_ros.cli.options import add_bag_topics, audio_format
from avs_ros.cli.progress import tracked
from avs_ros.errors import BagError, DatasetError, ParameterError
from avs_ros.evaluation import avsbench
from avs_ros.evaluation.bag_making import convert_annotated, convert_clips, convert_recording
from avs_ros.evaluation.boxes import BoxNote, read_boxes
from avs_ros.evaluation.truth import Truth, read_truth
from avs_ros.media.bag_types import STORAGES
from avs_ros.media.opening import open_recording

KINDS = {
    "avsbench": "every clip of an AVSBench set with its true masks: a bag each, in folder DST",
    "vggss": "every clip of a folder that VGG-SS annotates, with its true boxes: a bag each",
    "video": "a video file with sound",
    "bag": "camera and microphone of a robot's bag",
}
SETS = ("avsbench", "vggss")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs convert``."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for name, line in KINDS.items():
        kind = kinds.add_parser(name, help=line, description=line)
        kind.add_argument("source", type=Path, metavar="SRC")
        target = "folder of the bags" if name in SETS else (
            "file.mcap, or a folder with metadata.yaml"
        )
        kind.add_argument("target", type=Path, metavar="DST", help=target)
        kind.add_argument(
            "--storage", default="mcap", choices=STORAGES, help="form of the bag (mcap)"
        )
        kind.add_argument(
            "--audio-type",
            # What apt installs, and what the nodes take first.
            default="AudioDataStamped",
            choices=("AudioDataStamped", "AudioStamped", "RawAudio", "AudioData"),
            help="message type of the sound (AudioDataStamped)",
        )
        kind.add_argument("--compressed", action="store_true", help="JPEG images")
        if name == "avsbench":
            kind.add_argument("--subset", choices=("s4", "ms3", "avss"))
            kind.add_argument("--split", choices=("train", "val", "test"), default="test")
            kind.add_argument("--size", type=int, default=224, help="side of the images, px")
        else:
            kind.add_argument(
                "--boxes", type=Path, metavar="FILE", required=name == "vggss",
                help="true boxes: VGG-SS's vggss.json, or a .csv (file,class,x0,y0,x1,y1[,time])",
            )  # fmt: skip
        if name == "bag":
            add_bag_topics(kind, "masks or boxes to take along (default: those in ground_truth/)")
            kind.add_argument(
                "--stamps", choices=("header", "bag"), default="header",
                help="bag: go by the times of recording, for clocks that disagree (header)",
            )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Convert; say what was written."""
    form: dict[str, Any] = {
        "audio_type": args.audio_type, "compressed": args.compressed, "storage": args.storage,
    }  # fmt: skip
    if args.kind in SETS:
        return _convert_set(args, form)
    return _convert_one(args, form)


def _convert_set(args: argparse.Namespace, form: dict[str, Any]) -> int:
    if args.kind == "avsbench":
        if args.size < 1:
            raise ParameterError(f"--size is {args.size}; it must be at least 1 px")
        subset = args.subset or avsbench.detect_subset(args.source)
        clips = avsbench.read_clips(args.source, subset, args.split)
        bags = convert_clips(clips, args.target, size=args.size, **form)
        count = sum(1 for _ in tracked(bags, "writing bags", len(clips)))
        print(f"{count} bags in {args.target}")
        return 0
    notes = read_boxes(args.boxes)
    made = convert_annotated(args.source, notes, args.target, **form)
    count = sum(path is not None for path in tracked(made, "writing bags", len(notes)))
    if not count:
        raise DatasetError(
            f"{args.source} holds none of the {len(notes)} clips of {args.boxes}: their files "
            f"must be called {next(iter(notes))}.mp4 and so on"
        )
    missing = len(notes) - count
    print(f"{count} bags in {args.target}; {missing} annotated clips have no video here")
    return 0


def _convert_one(args: argparse.Namespace, form: dict[str, Any]) -> int:
    target: Path = args.target
    if target.exists() and args.source.exists() and target.samefile(args.source):
        raise DatasetError(f"{target} is the source itself; choose another target")
    chosen: tuple[Any, ...] = ()  # what a bag may need to be told
    if args.kind == "bag":
        chosen = args.image, args.audio, args.stamps, audio_format(args)
    with closing(open_recording(args.source, *chosen)) as source:
        notes = _notes(args)
        truths = _truths(args) if args.kind == "bag" else {}
        if notes and truths:
            raise DatasetError(
                f"{args.source} has a ground truth already; leave --boxes away, or take a bag "
                "without one"
            )
        counts = convert_recording(source, target, notes, truths=truths, **form)
    told = [f"{counts['frames']} images", f"{counts['sounds']} chunks of sound"]
    told += [f"{counts[name]} {description}" for name, description in
             (("masks", "true masks"), ("boxes", "true boxes"),
              ("refused", "images left out: they cannot be decoded")) if counts[name]]
    print(f"{target}: {', '.join(told)}")
    for message in source.doubts:
        print(f"note: {message}")
    return 0


def _notes(args: argparse.Namespace) -> Sequence[BoxNote]:
    """What ``--boxes`` says of the source."""
    if args.boxes is None:
        return ()
    known = read_boxes(args.boxes)
    if args.source.stem not in known:
        raise DatasetError(
            f"{args.boxes} has no entry for the file {args.source.stem!r}; it has "
            f"{', '.join(list(known)[:5])}{' …' if len(known) > 5 else ''}"
        )
    return known[args.source.stem]


def _truths(args: argparse.Namespace) -> dict[int, Truth]:
    """The truth that the bag carries already."""
    try:
        return read_truth(args.source, args.truth)
    except BagError:
        if args.truth:
            raise
        return {}
