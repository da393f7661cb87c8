"""Bags through the real segmentation node over DDS: one node, player and recorder for each."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

from avs_ros.cli.options import audio_format
from avs_ros.cli.progress import tracked
from avs_ros.cli.recorded_play import RecordedPlay
from avs_ros.evaluation.label_sets import LabelSets
from avs_ros.evaluation.live import CAMERA_INFO, LiveRun, topics_of
from avs_ros.evaluation.score_sheet import ScoreSheet
from avs_ros.evaluation.truth import read_truth
from avs_ros.media.bag_writer import NODE


def replay_live(
    args: argparse.Namespace, bags: Mapping[str, Path], names: LabelSets | None
) -> LiveRun:
    """Play every bag; a fresh node each time, so that bags cannot influence each other.

    ``args``: those of ``avs evaluate bag``; ``bags``: name -> path; ``names``: which labels are
    right.
    """
    live = LiveRun(ScoreSheet(args.batch_frames, names))
    for name, bag in tracked(bags.items(), "playing live", len(bags)):
        truths = read_truth(bag, args.truth)
        with tempfile.TemporaryDirectory(prefix="avs_live_") as folder:
            recording = Path(folder) / "answers.mcap"
            _play(args, bag, recording)
            live.read(recording, name, NODE, truths, args.rate)
    return live


def _play(args: argparse.Namespace, bag: Path, recording: Path) -> None:
    with RecordedPlay(recording.parent / "logs", args.domain, CAMERA_INFO) as play:
        play.start(
            recording,
            topics_of(NODE, args.probability),
            {
                "model": args.model, "engine": args.engine or "auto", "device": args.device,
                "image_transport": "raw", "image_qos": "reliable", "audio_qos": "reliable",
                # The node's clock is the bag's: latencies then are true at any speed.
                "use_sim_time": True,
            },
        )
        chosen: dict[str, object] = {"image_topic": args.image, "audio_topic": args.audio}
        if form := audio_format(args):
            chosen |= {
                "audio_rate": form.rate, "audio_channels": form.channels,
                "audio_format": form.sample_format,
            }
        play.play({
            **{name: value for name, value in chosen.items() if value},
            "input": bag.resolve(), "image_type": "Image", "start_stamp": "recorded",
            "rate": float(args.rate), "clock_rate": 500.0,
            "wait_for_subscribers": 60.0, "exit_when_done": True,
        })
        play.settle()
