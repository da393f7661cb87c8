"""Deterministic replay of a bag: every frame with a truth, no clock, the same numbers twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from avs_ros.evaluation.frame_scores import ScoredFrame, fitted
from avs_ros.evaluation.label_sets import LabelSets
from avs_ros.evaluation.score_sheet import ScoreSheet
from avs_ros.evaluation.truth import Truth, read_truth
from avs_ros.evaluation.worst import WorstFrames
from avs_ros.inference.segmenter import Segmenter
from avs_ros.media.bag import BagOptions, BagSource
from avs_ros.media.source import Frame
from avs_ros.postprocess import PostprocessConfig, Postprocessor
from avs_ros.streaming.inputs import Event
from avs_ros.streaming.pipeline import Pipeline, Result

KEPT_WORST = 10


@dataclass
class ReplayOptions:
    """``truth``: topic of the true masks or boxes ("" finds it); ``every_frame``: also run frames
    without a truth (slower; needed where the model's memory matters at camera rate); ``names``:
    which labels are right.
    """

    bag: BagOptions = field(default_factory=BagOptions)
    truth: str = ""
    every_frame: bool = True
    names: LabelSets | None = None
    postprocess: PostprocessConfig = field(default_factory=PostprocessConfig)


class Replay:
    """Scores bags one after the other on one segmenter; keeps images of the worst frames."""

    def __init__(
        self, segmenter: Segmenter, options: ReplayOptions | None = None, batch_frames: int = 5
    ) -> None:
        """``batch_frames``: see :class:`ScoreSheet`."""
        self.segmenter = segmenter
        self.options = options or ReplayOptions()
        self.sheet = ScoreSheet(batch_frames, self.options.names)
        self.worst = WorstFrames(KEPT_WORST)

    def run(self, path: Path, name: str = "") -> int:
        """Score one bag, called ``name`` ("": as its file); returns the count of scored frames."""
        name = name or path.stem
        truths = read_truth(path, self.options.truth)
        source = BagSource(path, self.options.bag)
        self.sheet.begin(name)
        pipeline = Pipeline(
            self.segmenter, postprocessor=Postprocessor(self.options.postprocess)
        )
        with closing(source):
            results = pipeline.run(self._wanted(source.events(), truths))
            scored = set(self._score(results, truths, name))
        for stamp_ns in sorted(set(truths) - scored):
            truth = truths[stamp_ns]
            shape = (source.info.height, source.info.width)
            self.sheet.add_missed(stamp_ns, truth.mask, truth.labels, truth.boxes, shape)
        return len(scored)

    def _wanted(self, events: Iterator[Event], truths: dict[int, Truth]) -> Iterator[Event]:
        for event in events:
            if (
                self.options.every_frame
                or not isinstance(event, Frame)
                or event.stamp_ns in truths
            ):
                yield event

    def _score(
        self, results: Iterator[Result], truths: dict[int, Truth], name: str
    ) -> Iterator[int]:
        """Stamps of the answers that have a truth, once they are scored."""
        for answer, pair in results:
            truth = truths.get(answer.stamp_ns)
            if truth is None:
                continue
            frame = ScoredFrame(
                answer.stamp_ns,
                answer.mask(),
                truth.mask,
                probability=answer.probability(),
                labels=tuple(dict.fromkeys(one.label for one in answer.instances)),
                true_labels=truth.labels,
                boxes=[one.box for one in answer.instances],
                point=answer.point,
                sync_error_ms=pair.sync_error_ms,
                true_boxes=truth.boxes,
                heard=answer.audio_label,
            )
            likeness = self.sheet.add(fitted(frame))
            description = (
                f"{name}: IoU {likeness:.2f}, marked {answer.label or 'nothing'}, true "
                f"{', '.join(truth.labels) or ('something' if truth.sounds else 'nothing')}, "
                f"{answer.level_dbfs:.0f} dB"
            )
            true = truth.shown(pair.image.shape)
            self.worst.keep(1.0 - likeness, description, pair.image, answer.mask(), true)
            yield answer.stamp_ns
