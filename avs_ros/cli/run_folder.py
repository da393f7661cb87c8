"""The folder that a run leaves: results, masks, video, bag, report.

``results.jsonl`` has one JSON object per processed frame: ``index`` (of the frame in its source),
``time`` (s from the source's first frame), ``sounding``, ``score`` (0..1), ``label``,
``audio_label``, ``point`` ([x, y] px or null), ``area`` (share of the frame), ``instances``
(``id`` (1..254), ``label``, ``score``, ``box`` [x0, y0, x1, y1] px) and ``ms`` ({stage:
milliseconds}).  The first line has ``metadata``, too: what computed the answers (see
``inference.registry.describe``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avs_ros.conversions.camera import CameraModel
from avs_ros.conversions.messages import make_header
from avs_ros.conversions.topics import ANSWER_TOPICS, Output
from avs_ros.errors import MediaError
from avs_ros.inference.segmenter import Segmenter
from avs_ros.media.bag_types import BAG
from avs_ros.media.bag_writer import AnswerBag
from avs_ros.media.film import choose_moments, thumbnails
from avs_ros.media.source import Sound, SourceInfo
from avs_ros.media.video_writer import VideoWriter
from avs_ros.postprocess import PostprocessConfig
from avs_ros.report.run_report import Moment, RunSummary, write_report
from avs_ros.segmentation import Bytes, Segmentation
from avs_ros.streaming import Pair
from avs_ros.streaming.pipeline import COUNTERS, processing_ms

TOTALS = ("frames_received", "frames_paired", "results")


class RunFolder:
    """Writes everything about one frame at a time; whole after :meth:`close`, however it ends."""

    def __init__(
        self,
        folder: Path,
        source: SourceInfo,
        segmenter: Segmenter,
        config: PostprocessConfig,
        metadata: Mapping[str, Any],
        camera: CameraModel | None = None,
        all_topics: bool = False,
    ) -> None:
        """Create ``folder``; older results of a run in it are replaced.

        ``metadata``: of the segmenter (``inference.registry.describe``).
        """
        self.folder, self._masks = folder, folder / "masks"
        self._source, self._segmenter, self._camera = source, segmenter, camera
        self._metadata = metadata
        self.summary = RunSummary("", "", threshold=config.gate.sounding_threshold)
        self._stages: dict[str, list[float]] = {}
        try:
            self._masks.mkdir(parents=True, exist_ok=True)
            for old in (folder / "report.html", *self._masks.glob("[0-9]*.png")):
                old.unlink(missing_ok=True)
            self._results = (folder / "results.jsonl").open("w", encoding="utf-8")
        except OSError as error:
            raise MediaError(f"{folder}: cannot be written ({error.strerror})") from error
        topics = [
            topic for topic in ANSWER_TOPICS
            if (topic.in_file == "always" or (topic.in_file == "large" and all_topics))
            and (topic.name != "~/attention" or camera is not None)
        ]
        with ExitStack() as files:
            files.callback(self._results.close)
            self._video = VideoWriter(
                folder / "overlay.mp4", source.width, source.height, source.fps or 25.0,
                source.audio_rate_hz, source.audio_channels, pixel_aspect=source.pixel_aspect,
            )
            files.callback(self._video.close)
            self._bag = AnswerBag(
                folder / "output.mcap", topics, segmenter.labels, config.threshold
            )
            files.callback(self._bag.close)
            self._files = files.pop_all()

    def sound(self, sound: Sound) -> None:
        """Keep the sound for the video."""
        self._video.sound(sound.stamp_ns, sound.samples, sound.rate_hz)

    def add(self, segmentation: Segmentation, pair: Pair, time_s: float) -> None:
        """Write one answer in every form; ``time_s`` counts from the source's first frame."""
        stamp_ns = segmentation.stamp_ns
        write_mask(self._masks / f"{pair.frame.index:06d}.png", segmentation.mask())
        line = to_record(segmentation, pair.frame.index, time_s)
        if not self.summary.times:
            line["metadata"] = self._metadata
        self._results.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._results.flush()
        answer = Output(
            segmentation, pair.image, make_header(BAG, stamp_ns, pair.frame.frame_id),
            self._camera, sync_error_ms=pair.sync_error_ms,
        )
        self._video.frame(stamp_ns, answer.overlay)
        self._bag.add(answer, stamp_ns)
        summary = self.summary
        summary.times.append(time_s)
        summary.scores.append(float(segmentation.score))
        summary.marked.append(segmentation.label if segmentation.instances else "")
        summary.heard.append(segmentation.audio_label)
        summary.levels_dbfs.append(float(segmentation.level_dbfs))
        summary.latencies_ms.append(processing_ms(segmentation))
        for stage, value in segmentation.ms.items():
            self._stages.setdefault(stage, []).append(float(value))

    def finish_bag(self, counters: dict[str, int]) -> None:
        """Put the run's counters on /diagnostics, at the last frame's stamp."""
        self._bag.finish("offline run", counters)

    def close(self) -> None:
        """Finish every file."""
        self._files.close()

    def write_report(self, counters: dict[str, int], notes: Sequence[str] = ()) -> None:
        """Write ``report.html`` about what was added (after :meth:`close`)."""
        summary, source, segmenter = self.summary, self._source, self._segmenter
        step = float(np.median(np.diff(summary.times))) if len(summary.times) > 1 else 0.04
        summary.end_s = summary.times[-1] + step
        summary.title = f"avs run: {source.name}"
        summary.subtitle = (
            f"{segmenter.name} on {segmenter.engine} ({segmenter.device}), "
            f"{source.width}x{source.height}"
        )
        summary.stages_ms = {name: float(np.mean(v)) for name, v in self._stages.items()}
        summary.counters = counter_descriptions(counters)
        summary.metadata = {
            "input": f"{source.name} ({source.kind})", **source.details,
            **{name: value for name, value in self._metadata.items() if name != "weights"},
            **{f"SHA-256 of {name}": digest for name, digest in self._metadata["weights"].items()},
            "frames per second": f"{1000 / max(float(np.mean(summary.latencies_ms)), 1e-6):.1f} "
            "(processing alone)",
        }
        summary.files = {
            "overlay.mp4": "the images with what was marked, and the sound",
            "output.mcap": "what the node would have published (ROS 2 bag)",
            "results.jsonl": "one line per frame", "masks": "one mask per frame, 0 or 255",
        }
        summary.notes = notes

        def caption(position: int) -> str:
            label = summary.marked[position].split(",")[0]
            says = f"{label} ({summary.scores[position]:.2f})" if label else "nothing marked"
            return f"{says}, hears {summary.heard[position] or '-'}"

        positions = choose_moments(summary.times, summary.scores, summary.marked)
        images = thumbnails(self.folder / "overlay.mp4", positions)
        summary.moments = [
            Moment(summary.times[position], image, caption(position))
            for position, image in zip(positions, images, strict=False)
        ]
        write_report(self.folder / "report.html", summary)


def counter_descriptions(counters: Mapping[str, int]) -> dict[str, int]:
    """What was counted, in words: the totals, and of the troubles only those that happened."""
    told = {
        COUNTERS.get(name, name.replace("_", " ")): count
        for name, count in counters.items() if count or name in TOTALS
    }
    quiet = sum(1 for name, count in counters.items() if not count and name not in TOTALS)
    return {**told, f"every other of {quiet} counters of drops and troubles": 0}


def to_record(segmentation: Segmentation, index: int, time_s: float) -> dict[str, Any]:
    """One line of ``results.jsonl`` as a dictionary."""
    point = segmentation.point
    return {
        "index": index,
        "time": round(time_s, 6),
        "sounding": bool(segmentation.sounding),
        "score": round(float(segmentation.score), 4),
        "label": segmentation.label,
        "audio_label": segmentation.audio_label,
        "point": None if point is None else [round(float(value), 2) for value in point],
        "area": round(float(segmentation.area), 6),
        "instances": [
            {
                "id": instance.index,
                "label": instance.label,
                "score": round(float(instance.score), 4),
                "box": [round(float(edge), 2) for edge in instance.box],
            }
            for instance in segmentation.instances
        ],
        "ms": {stage: round(float(value), 3) for stage, value in segmentation.ms.items()},
    }


def write_mask(path: Path, mask: Bytes) -> None:
    """Write a uint8 ``[H, W]`` image as PNG; raises :class:`MediaError` if the disk refuses."""
    _, data = cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise MediaError(f"{path}: cannot be written ({error})") from error
