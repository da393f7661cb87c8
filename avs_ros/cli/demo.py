"""``avs demo``: a scene that the project makes itself, through the real node, over DDS.

Three processes on a DDS domain of their own: the player (camera and microphone), the segmentation
node, and a recorder.  What the recorder kept becomes a film, and a report.  Where ROS 2 is not
installed, the same scene goes through the same pipeline in this process.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from avs_ros.cli.progress import Step, steps
from avs_ros.cli.recorded_play import RecordedPlay
from avs_ros.conversions.audio import AUDIO_TYPES, make_audio
from avs_ros.conversions.camera import CAMERA_INFO
from avs_ros.conversions.image_writing import rgb_to_compressed
from avs_ros.conversions.messages import make_header
from avs_ros.conversions.topics import ANSWER_TOPICS, COMPRESSED, DIAGNOSTICS, LABEL_INFO, Output
from avs_ros.errors import ParameterError
from avs_ros.evaluation.run_files import make_folder
from avs_ros.inference import create_segmenter
from avs_ros.media.bag_types import BAG
from avs_ros.media.bag_writer import NODE, AnswerBag, full_name
from avs_ros.media.recorded_run import read_run
from avs_ros.media.source import Sound
from avs_ros.media.video import VideoSource
from avs_ros.postprocess import PostprocessConfig, Postprocessor
from avs_ros.ros_installation import HOW_TO_GET_ROS, ros_lacks
from avs_ros.streaming import Pipeline
from avs_ros.streaming.inputs import Event
from avs_ros.streaming.pipeline import processing_ms

IMAGE, AUDIO, AUDIO_TYPE = "/image/compressed", "/audio", "RawAudio"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("-o", "--output", type=Path, default=Path("avs_demo"), metavar="DIR",
                        help="folder for the results (%(default)s)")
    parser.add_argument("--duration", type=float, default=20.0, metavar="S",
                        help="play only the first seconds of the scene (%(default)s)")
    parser.add_argument("--model", default="c3n_light", metavar="NAME|FILE")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--domain", type=int, metavar="N", help="DDS domain (default: a free one)")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from avs_ros.cli.demo_result import render
    from avs_ros.media.scene import FPS, SECONDS, write_scene

    if not 2.0 <= args.duration <= SECONDS:
        raise ParameterError(f"--duration is {args.duration:g}; must be from 2 to {SECONDS:g}")
    folder = make_folder(args.output.resolve())
    for stale in ("overlay.mp4", "output.mcap", "report.html", "image.jpg"):
        (folder / stale).unlink(missing_ok=True)
    if lacks := ros_lacks():
        print(
            f"avs demo: ROS 2 cannot be used here ({lacks}), so the scene goes through the same "
            f"pipeline in this process; for the real node over DDS, {HOW_TO_GET_ROS}",
            file=sys.stderr,
        )
    scene, frames = folder / "scene.mp4", round(args.duration * FPS)
    with steps() as step:
        with step("making the scene"):
            write_scene(scene, args.duration)
        (_play_here if lacks else _play)(args, scene, folder, step, frames)
        with step("rendering the film", frames) as advance:
            recorded = read_run(folder / "output.mcap", NODE, IMAGE, AUDIO)
            render(recorded, folder, args.duration, advance, over_dds=not lacks)
    scene.unlink()
    print("video   ", folder / "overlay.mp4")
    print("bag     ", folder / "output.mcap")
    print("report  ", folder / "report.html")
    return 0


def _play(args: argparse.Namespace, scene: Path, folder: Path, step: Step, frames: int) -> None:
    """Start the three processes, wait until everything was played and answered, end them."""
    logs = folder / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    with RecordedPlay(logs, args.domain, IMAGE) as play:
        with step("starting the node"):
            # Of the node's own topics all but the large ones.
            answers = [topic for topic in ANSWER_TOPICS if topic.in_file != "large"]
            topics = {
                IMAGE: COMPRESSED, "/camera_info": CAMERA_INFO,
                **{full_name(one): one.type_name for one in (*answers, DIAGNOSTICS)},
            }
            play.start(
                folder / "output.mcap", topics,
                {
                    "model": args.model, "engine": args.engine, "device": args.device,
                    "image_transport": "compressed",
                },
                sound=AUDIO, latched=[full_name(LABEL_INFO)],
            )
        with step("playing", frames) as advance:
            play.play({"input": scene, "image_type": "CompressedImage"}, advance)
        with step("waiting for the last answers"):
            play.settle()


def _play_here(
    args: argparse.Namespace, scene: Path, folder: Path, step: Step, frames: int
) -> None:
    """The same without ROS 2: the bag becomes what a recorder would have kept.

    An answer is recorded when it would have been ready: at the frame's stamp plus the time spent
    on it.
    """
    with step("loading the model"):
        segmenter = create_segmenter(args.model, args.engine, args.device)
    config = PostprocessConfig()
    pipeline = Pipeline(segmenter, postprocessor=Postprocessor(config))
    topics = [topic for topic in ANSWER_TOPICS if topic.in_file == "always"]
    recording = folder / "output.mcap"
    with closing(segmenter), step("segmenting", frames) as advance, AnswerBag(
        recording, topics, segmenter.labels, config.threshold
    ) as bag:
        bag.declare(IMAGE, COMPRESSED)
        bag.declare(AUDIO, AUDIO_TYPES[AUDIO_TYPE])

        def kept(events: Iterator[Event]) -> Iterator[Event]:
            for event in events:
                if isinstance(event, Sound):
                    message = make_audio(
                        BAG, AUDIO_TYPE, event.stamp_ns, event.samples, event.rate_hz
                    )
                    bag.write(AUDIO, message, event.end_ns)
                yield event

        for segmentation, pair in pipeline.run(kept(VideoSource(scene).events())):
            header = make_header(BAG, pair.stamp_ns, pair.frame.frame_id)
            bag.write(IMAGE, rgb_to_compressed(BAG, header, pair.image), pair.stamp_ns)
            answer = Output(segmentation, pair.image, header, sync_error_ms=pair.sync_error_ms)
            bag.add(answer, pair.stamp_ns + round(processing_ms(segmentation) * 1e6))
            advance(1)
        bag.finish("in one process", {
            "model": segmenter.name, "engine": segmenter.engine, "device": segmenter.device,
            **pipeline.counters(),
        })
