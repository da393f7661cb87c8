"""``avs run``: every frame of a recording through the model, in order, the same each time."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import FrameType

from avs_ros.cli.options import add_bag_topics, add_policy, audio_format, policy_of
from avs_ros.cli.progress import frames
from avs_ros.cli.run_folder import RunFolder
from avs_ros.errors import MediaError, ParameterError
from avs_ros.inference import Segmenter, create_segmenter
from avs_ros.inference.registry import describe
from avs_ros.media.live import open_live
from avs_ros.media.opening import open_recording
from avs_ros.media.source import FrameSelection, Sound, Source, pick_channel
from avs_ros.postprocess import PostprocessConfig, Postprocessor
from avs_ros.streaming import Pipeline, Synchronizer
from avs_ros.streaming.findings import Findings
from avs_ros.streaming.inputs import Event


class Interruption:
    """While entered, the first SIGINT or SIGTERM only sets :attr:`status`; a second one raises.

    ``status``: 0, or the exit status that the signal asks for (130, 143).
    """

    def __init__(self) -> None:
        self.status = 0

    def _note(self, signum: int, _frame: FrameType | None) -> None:
        if self.status:
            raise KeyboardInterrupt
        self.status = 128 + signum

    def __enter__(self) -> Interruption:
        """Begin to listen."""
        self._previous = {
            signum: signal.signal(signum, self._note)
            for signum in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("input", metavar="INPUT",
                        help="video file, rosbag2 (folder, .mcap, .db3), or the word `live`")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR",
                        help="folder for the results (default: INPUT's name with _avs)")
    model = parser.add_argument_group("model")
    model.add_argument("--model", default="c3n_light", metavar="NAME|FILE",
                       help="model name (see `avs info`) or checkpoint file (%(default)s)")
    model.add_argument("--engine", default="auto",
                       help="inference engine; auto takes the fastest that passes its self-check")
    model.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    model.add_argument("--threads", type=int, metavar="N",
                       help="computing threads (default: as many as the engine takes); with "
                       "--engine torch, 1 gives the same masks whatever the number of cores")
    part = parser.add_argument_group("which frames")
    part.add_argument("--fps", type=float, metavar="N", help="process at most N frames a second")
    part.add_argument("--start", type=float, default=0.0, metavar="S",
                      help="seconds to leave out at the beginning")
    part.add_argument("--duration", type=float, metavar="S", help="stop after this many seconds")
    add_policy(parser)
    bag = parser.add_argument_group("bags")
    add_bag_topics(bag)
    bag.add_argument("--stamps", choices=("header", "bag"), default="header",
                     help="go by the messages' own stamps, or by the times of recording")
    live = parser.add_argument_group("live")
    live.add_argument("--camera", default="0", help="number, device path or address (%(default)s)")
    live.add_argument("--microphone", default="", help="number or part of the name")
    parser.add_argument("--audio-offset", type=float, default=0.0, metavar="S",
                        help="the second of sound ends this much after its frame (%(default)s)")
    parser.add_argument("--channel", type=int, metavar="N",
                        help="use this channel of the sound alone: 1, 2, … (the mean of all)")
    parser.add_argument("--all-topics", action="store_true",
                        help="also write the large topics (probability, raw overlay) to the bag")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    for name, value in (
        ("--fps", args.fps), ("--duration", args.duration), ("--threads", args.threads),
    ):
        if value is not None and not value > 0:
            raise ParameterError(f"{name} is {value:g}; must be above 0")
    if args.start < 0:
        raise ParameterError(f"--start is {args.start:g}; must be 0 or above")
    config = policy_of(args)
    with closing(_open(args)) as source:
        for message in source.doubts:
            print(f"note: {message}", flush=True)
        with closing(
            create_segmenter(args.model, args.engine, args.device, threads=args.threads)
        ) as segmenter:
            return _process(args, config, source, segmenter)


def _open(args: argparse.Namespace) -> Source:
    if args.input == "live":
        return open_live(args.camera, args.microphone)
    return open_recording(
        Path(args.input), args.image, args.audio, args.stamps, audio_format(args)
    )


def _process(
    args: argparse.Namespace, config: PostprocessConfig, source: Source, segmenter: Segmenter
) -> int:
    synchronizer = Synchronizer(
        segmenter.window_s, args.audio_offset, None, rate_hz=segmenter.sample_rate,
        max_waiting=None,
    )
    pipeline = Pipeline(segmenter, synchronizer, Postprocessor(config))
    selection = FrameSelection(args.fps, args.start, args.duration)
    stem = "live" if args.input == "live" else Path(args.input).resolve().stem
    folder = RunFolder(
        args.output or Path(f"{stem}_avs"), source.info, segmenter, config,
        describe(segmenter, args.model, args.threads), source.camera, args.all_topics,
    )
    findings = Findings(config.gate.silence_dbfs, segmenter.sample_rate)
    began = time.monotonic()
    with Interruption() as interruption, frames(source.info, args) as advance, closing(folder):
        events = pick_channel(source.events(), args.channel)
        events = _heard(selection.of(events), folder, findings, interruption)
        for segmentation, pair in pipeline.run(events):
            if interruption.status:
                break
            time_s = (pair.stamp_ns - (selection.zero_ns or 0)) * 1e-9
            folder.add(segmentation, pair, time_s)
            findings.pair(pair)
            advance(segmentation)
        counters = {**pipeline.counters(), **source.counters}
        folder.finish_bag(counters)
    status = interruption.status
    if not folder.summary.times:
        if status:
            return status
        if pipeline.last_error is not None:
            raise MediaError(f"{args.input}: no frame can be decoded: {pipeline.last_error}")
        raise MediaError(f"{args.input}: no frame in the part that was asked for")
    source.tell(findings)
    findings.counters = counters
    found = findings.explain()
    notes = ["Interrupted: this is what was done until then."] if status else []
    notes += [f"Note: {message}." for message in (*source.doubts, *found)]
    folder.write_report(counters, notes)
    _tell(folder, time.monotonic() - began, status)
    for message in found:
        print(f"note: {message}")
    return status


def _heard(
    events: Iterator[Event], folder: RunFolder, findings: Findings, interruption: Interruption
) -> Iterator[Event]:
    """``events`` until the interruption; their sound is kept for the video on its way."""
    for event in events:
        if interruption.status:
            return
        if isinstance(event, Sound):
            folder.sound(event)
            findings.sound(event)
        yield event


def _tell(folder: RunFolder, seconds: float, status: int) -> None:
    summary = folder.summary
    marked = sum(1 for label in summary.marked if label)
    frames = len(summary.times)
    if status:
        print(f"avs run: interrupted after {frames} frames; the files are whole", file=sys.stderr)
    print(f"{frames} frames in {seconds:.1f} s ({frames / max(seconds, 1e-9):.1f} per second), "
          f"something marked in {marked} of them")
    for name in ("overlay.mp4", "output.mcap", "results.jsonl", "masks", "report.html"):
        print(f"  {folder.folder / name}")
