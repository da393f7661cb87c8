"""The demo's scene through the pipeline in this process: what is done where ROS 2 is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from avs_ros.cli.recorded_play import LABEL_INFO, NODE, recorded_answers
from avs_ros.conversions.audio import AUDIO_TYPES, make_audio
from avs_ros.conversions.detections import make_label_info
from avs_ros.conversions.image_writing import rgb_to_compressed
from avs_ros.conversions.messages import OK, make_diagnostics, make_header, make_status
from avs_ros.conversions.topics import DIAGNOSTICS, Output, messages
from avs_ros.inference.segmenter import Segmenter
from avs_ros.media.bag_types import BAG
from avs_ros.media.bag_writer import BagWriter
from avs_ros.media.source import Sound
from avs_ros.media.video import VideoSource
from avs_ros.postprocess import PostprocessConfig, Postprocessor
from avs_ros.streaming import Pipeline
from avs_ros.streaming.inputs import Event
from avs_ros.streaming.pipeline import processing_ms

AUDIO_TYPE = "RawAudio"


def play_here(
    scene: Path,
    recording: Path,
    segmenter: Segmenter,
    image: str,
    audio: str,
    advance: Callable[[int], None] = lambda images: None,
) -> None:
    """Segment the video ``scene``; ``recording`` (mcap) becomes what a recorder would have kept.

    ``image``, ``audio``: topics of the frames (JPEG) and of the sound.  An answer is recorded when
    it would have been ready: at the frame's stamp plus the time spent on it.
    """
    config = PostprocessConfig()
    pipeline = Pipeline(segmenter, postprocessor=Postprocessor(config))
    source = VideoSource(scene)
    with BagWriter(recording) as bag:
        for name, type_name in recorded_answers().items():
            bag.declare(name, type_name, name == LABEL_INFO)
        bag.declare(image, "sensor_msgs/msg/CompressedImage")
        bag.declare(audio, AUDIO_TYPES[AUDIO_TYPE])

        def kept(events: Iterator[Event]) -> Iterator[Event]:
            for event in events:
                if isinstance(event, Sound):
                    message = make_audio(
                        BAG, AUDIO_TYPE, event.stamp_ns, event.samples, event.rate_hz
                    )
                    bag.write(audio, message, event.end_ns)
                yield event

        stamp_ns = 0
        for segmentation, pair in pipeline.run(kept(source.events())):
            header = make_header(BAG, pair.stamp_ns, pair.frame.frame_id)
            if not bag.counts[LABEL_INFO]:
                info = make_label_info(BAG, header, segmenter.labels, config.threshold)
                bag.write(LABEL_INFO, info, pair.stamp_ns)
            bag.write(image, rgb_to_compressed(BAG, header, pair.image), pair.stamp_ns)
            answer = Output(segmentation, pair.image, header, sync_error_ms=pair.sync_error_ms)
            stamp_ns = pair.stamp_ns + round(processing_ms(segmentation) * 1e6)
            for topic, message in messages(BAG, answer, lambda one: one.in_file == "always"):
                bag.write(topic.name.replace("~", NODE), message, stamp_ns)
            advance(1)
        values = {
            "model": segmenter.name, "engine": segmenter.engine, "device": segmenter.device,
            **{name: str(count) for name, count in pipeline.counters().items()},
        }
        status = make_status(BAG, "segmentation_node: stream", OK, "in one process", values)
        page = make_diagnostics(BAG, make_header(BAG, stamp_ns), [status])
        bag.write(DIAGNOSTICS.name, page, stamp_ns)
