"""Bags through the real segmentation node over DDS: one node, player and recorder for each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from avs_ros.cli.recorded_play import NODE, SEGMENTATION_NODE, RecordedPlay
from avs_ros.conversions.audio import AudioFormat
from avs_ros.evaluation.label_sets import LabelSets
from avs_ros.evaluation.live import CAMERA_INFO, LiveRun, topics_of
from avs_ros.evaluation.score_sheet import ScoreSheet
from avs_ros.evaluation.truth import read_truth


@dataclass(frozen=True)
class LiveOptions:
    """``rate``: speed of the playback; ``domain``: None takes a free one; ``probability``: also
    record the probability map (M_F needs it; it costs the node time); ``names``: which labels are
    right.  Topics: "" finds them.  ``audio_format``: of sound that does not say it itself.
    """

    model: str = "c3n_light"
    engine: str = "auto"
    device: str = "auto"
    rate: float = 1.0
    image: str = ""
    audio: str = ""
    truth: str = ""
    probability: bool = False
    batch_frames: int = 5
    domain: int | None = None
    names: LabelSets | None = None
    audio_format: AudioFormat | None = None


def replay_live(
    bags: Mapping[str, Path],
    options: LiveOptions,
    node_code: str = SEGMENTATION_NODE,
    advance: Callable[[], None] = lambda: None,
) -> LiveRun:
    """Play every bag; a fresh node each time, so that bags cannot influence each other.

    ``bags``: name -> path; ``node_code``: the Python that runs the node; ``advance`` is called
    after each bag.
    """
    live = LiveRun(ScoreSheet(options.batch_frames, options.names))
    for name, bag in bags.items():
        truths = read_truth(bag, options.truth)
        with tempfile.TemporaryDirectory(prefix="avs_live_") as folder:
            recording = Path(folder) / "answers.mcap"
            _play(bag, recording, options, node_code)
            live.read(recording, name, NODE, truths, options.rate)
        advance()
    return live


def _play(bag: Path, recording: Path, options: LiveOptions, node_code: str) -> None:
    with RecordedPlay(recording.parent / "logs", options.domain, CAMERA_INFO) as play:
        play.start(
            recording,
            topics_of(NODE, options.probability),
            {
                "model": options.model, "engine": options.engine, "device": options.device,
                "image_transport": "raw", "image_qos": "reliable", "audio_qos": "reliable",
                # The node's clock is the bag's: latencies then are true at any speed.
                "use_sim_time": True,
            },
            node_code=node_code,
        )
        topics = {"image_topic": options.image, "audio_topic": options.audio}
        form = options.audio_format
        play.play({
            **({} if form is None else {
                "audio_rate": form.rate, "audio_channels": form.channels,
                "audio_format": form.sample_format,
            }),
            **{name: topic for name, topic in topics.items() if topic},
            "input": bag.resolve(), "image_type": "Image", "start_stamp": "recorded",
            "rate": float(options.rate), "clock_rate": 500.0,
            "wait_for_subscribers": 60.0, "exit_when_done": True,
        })
        play.settle()
    play.check_answered()
