"""Deterministic replay of a bag: every frame with a truth, no clock, the same numbers twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.evaluation.fitting import fitted
from avs_ros.evaluation.frame_scores import WorstFrame
from avs_ros.evaluation.label_sets import LabelSets
from avs_ros.evaluation.score_sheet import ScoredFrame, ScoreSheet
from avs_ros.evaluation.truth import Truth, read_truth
from avs_ros.inference.segmenter import Segmenter
from avs_ros.media.bag import BagOptions, BagSource
from avs_ros.media.source import Frame
from avs_ros.postprocess import PostprocessConfig, Postprocessor
from avs_ros.segmentation import Bytes, Segmentation
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
        self._worst: list[tuple[float, str, Bytes]] = []

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
            self._keep(likeness, answer, pair.image, truth, name)
            yield answer.stamp_ns

    def _keep(
        self, iou: float, answer: Segmentation, rgb: Bytes, truth: Truth, name: str
    ) -> None:
        if len(self._worst) == KEPT_WORST and iou >= self._worst[-1][0]:
            return
        description = (
            f"{name}: IoU {iou:.2f}, marked {answer.label or 'nothing'}, true "
            f"{', '.join(truth.labels) or ('something' if truth.sounds else 'nothing')}, "
            f"{answer.level_dbfs:.0f} dB"
        )
        self._worst.append((iou, description, _triptych(rgb, answer, truth.shown(rgb.shape))))
        self._worst.sort(key=lambda kept: kept[0])
        del self._worst[KEPT_WORST:]

    def worst(self) -> list[WorstFrame]:
        """The worst frames as JPEG, the worst first."""
        out = []
        for iou, description, image in self._worst:
            done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
            if done:
                out.append(WorstFrame(data.tobytes(), description, iou))
        return out


def _triptych(
    rgb: Bytes, answer: Segmentation, truth: NDArray[np.bool_], height: int = 150
) -> Bytes:
    """Image, image with the answer, image with the truth, side by side."""
    width = max(1, round(height * rgb.shape[1] / rgb.shape[0]))
    small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    panels = [small]
    true = truth.astype(np.uint8)
    for mask, colour in ((answer.mask(), (255, 120, 30)), (true, (40, 200, 120))):
        shown = small.copy()
        on = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) > 0
        shown[on] = (0.5 * shown[on] + 0.5 * np.array(colour)).astype(np.uint8)
        panels.append(shown)
    return np.asarray(np.hstack(panels), dtype=np.uint8)
