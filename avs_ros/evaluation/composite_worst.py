"""The worst answers of each kind, as images with a few words."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from avs_ros.evaluation.composite import KINDS
from avs_ros.evaluation.composite_benchmark import ScoredCase, Shown
from avs_ros.evaluation.composite_scores import badness
from avs_ros.media.film import jpeg
from avs_ros.segmentation import Bytes

HEIGHT = 150
MARKED, TRUE = (255, 120, 30), (40, 200, 120)


class WorstPredictions:
    """Looks at every answer once and keeps the images of few."""

    def __init__(self, most: int) -> None:
        """Keep ``most`` of each kind."""
        self._most = most
        self._kept: dict[str, list[tuple[float, bytes, str]]] = {kind: [] for kind in KINDS}

    def keep(self, answer: ScoredCase) -> ScoredCase:
        """The answer without its images, which are kept here if it is among the worst."""
        worst = self._kept[answer.case.kind]
        bad = badness(answer)
        if bad > 0 and answer.shown and (len(worst) < self._most or bad > worst[-1][0]):
            worst.append((bad, jpeg(_triptych(answer.shown), 900), _description(answer)))
            worst.sort(key=lambda kept: -kept[0])
            del worst[self._most :]
        return replace(answer, shown=None)

    def images(self) -> dict[str, list[tuple[bytes, str]]]:
        """Kind -> (JPEG, words), the worst first; kinds without a mistake are left out."""
        return {
            kind: [(image, description) for _, image, description in kept]
            for kind, kept in self._kept.items()
            if kept
        }


def _description(answer: ScoredCase) -> str:
    case = answer.case
    sound = " and ".join(one.sound for one in case.recordings) or "silence"
    sound += {0: "", 1: " sounds"}.get(len(case.recordings), " sound")
    silent = f", {case.other} does not" if case.other and case.also is None else ""
    iou = "" if answer.iou is None else f", IoU {answer.iou:.2f}"
    return (
        f"{sound}{silent}: marked {', '.join(answer.labels) or 'nothing'} "
        f"({answer.marked:.0%}{iou}); {case.name}"
    )


def _triptych(shown: Shown) -> Bytes:
    """Image, image with the answer, image with the truth, side by side."""
    width = max(1, round(HEIGHT * shown.rgb.shape[1] / shown.rgb.shape[0]))
    small = cv2.resize(shown.rgb, (width, HEIGHT), interpolation=cv2.INTER_AREA)
    panels = [small]
    for mask, colour in ((shown.marked, MARKED), (shown.true, TRUE)):
        size = (width, HEIGHT)
        on = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        panel = small.copy()
        panel[on] = (0.5 * panel[on] + 0.5 * np.array(colour)).astype(np.uint8)
        panels.append(panel)
    return np.asarray(np.hstack(panels), np.uint8)
