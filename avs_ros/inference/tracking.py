"""Instances that keep their number, their name and their outline from frame to frame.

ByteTrack (Y. Zhang et al., *ByteTrack: Multi-Object Tracking by Associating Every Detection Box*,
ECCV 2022) of the library ``supervision`` says which box of a frame is which of the frame before.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from avs_ros.errors import MissingDependencyError
from avs_ros.inference.instance_masks import OUTSIDE
from avs_ros.inference.potential_objects import PotentialObject
from avs_ros.segmentation import Float

MOST_TRACKS = 254
# A thing that is not seen keeps its number for so long; frames further apart share no thing.
LOST_S = 2.5
# A new thing must be as likely as this; one that is known goes on with less.
NEW = 0.2
# ByteTrack is given scores of its own: what is likely enough to begin a track is above, what may
# only go on with one is below.  A track says by its score which thing it was given, so no two are
# alike.  Boxes are matched from this overlap (IoU) times score on.
BEGINS, GOES_ON, APART, LEAST_OVERLAP = 1.0, 0.24, 0.004, 0.2
# Time constant of a thing's names and outline, s.
MEMORY_S = 0.15
# A past that counts for less than this is none.
FAINT = 0.05
# Boxes are in shares of the image; the tracker's noise is made for pixels.
PIXELS = 1000.0


@dataclass
class Tracked:
    """A thing with a past.

    ``index``: 1..254; ``likely`` ``[K]``: smoothed; ``outline``: smoothed log-odds
    ``[SIDE, SIDE]`` (None: never asked for) of the thing in ``outline_box`` at ``outline_ns``.
    """

    index: int
    box: Float
    likely: Float
    outline: Float | None = None
    outline_box: Float | None = None
    outline_ns: int = 0

    def outlined(self, mask: Float, stamp_ns: int) -> Float:
        """Log-odds ``[SIDE, SIDE]`` of its pixels, with what they were a moment ago.

        ``mask``: this frame's, within ``box``; the past moves with the box.
        """
        keep = math.exp(-max(stamp_ns - self.outline_ns, 0) * 1e-9 / MEMORY_S)
        if self.outline is not None and self.outline_box is not None and keep > FAINT:
            past = moved(self.outline, self.outline_box, self.box)
            past = np.where(past > OUTSIDE + 1, past, mask)
            mask = np.where(mask > OUTSIDE, keep * past + (1 - keep) * mask, OUTSIDE)
        self.outline = mask = np.asarray(mask, np.float32)
        self.outline_box, self.outline_ns = self.box, stamp_ns
        return mask


class InstanceTracker:
    """Potential objects of one stream's frames -> the same with a past.

    Raises MissingDependencyError where ``supervision`` is not installed.
    """

    def __init__(self) -> None:
        try:
            from supervision import ByteTrack
        except ImportError as error:
            raise MissingDependencyError(
                "supervision", "instances that keep their number (avsc_light)",
                "pip install 'supervision>=0.28,<0.31'",
            ) from error  # fmt: skip
        with warnings.catch_warnings():
            # It says at each start that it will move to another package.
            warnings.filterwarnings("ignore", message=".*ByteTrack", category=FutureWarning)
            self._tracker: Any = ByteTrack(
                track_activation_threshold=0.5 * (BEGINS + GOES_ON) - 0.1,
                minimum_matching_threshold=1.0 - LEAST_OVERLAP,
            )
        self.reset()

    def reset(self) -> None:
        """Forget everything; numbers begin anew."""
        self._tracker.reset()
        self._known: dict[int, Tracked] = {}
        self._last_index = 0
        self._last_ns: int | None = None

    def __call__(self, stamp_ns: int, objects: Sequence[PotentialObject]) -> list[Tracked | None]:
        """The objects of the frame at ``stamp_ns``; None for one that is nothing known, and too
        unlikely to be something new.
        """
        elapsed_s = 0.0 if self._last_ns is None else (stamp_ns - self._last_ns) * 1e-9
        if not 0.0 <= elapsed_s <= LOST_S:
            self.reset()
            elapsed_s = 0.0
        self._last_ns = stamp_ns
        if elapsed_s > 0:
            self._tracker.max_time_lost = round(LOST_S / elapsed_s)
        boxes = np.array([one.box for one in objects], np.float32).reshape(-1, 4)
        rank = APART * np.arange(len(objects))
        begins = np.array([one.score >= NEW for one in objects], bool)
        scores = np.where(begins, BEGINS, GOES_ON) - rank
        tracker = self._tracker
        tracker.update_with_tensors(np.column_stack([boxes * PIXELS, scores]).astype(np.float32))
        # ByteTrack's own answer leaves out what it sees for the first time.
        tracks = [one for one in tracker.tracked_tracks if one.frame_id == tracker.frame_id]
        alive = {one.internal_track_id for one in tracker.tracked_tracks + tracker.lost_tracks}
        self._known = {key: one for key, one in self._known.items() if key in alive}
        keep = math.exp(-elapsed_s / MEMORY_S)
        out: list[Tracked | None] = [None] * len(objects)
        for track in tracks:
            place = int(np.abs(scores - track.score).argmin())
            one = objects[place]
            known = self._known.get(track.internal_track_id)
            if known is None:
                known = Tracked(self._free_index(), one.box, one.likely)
                self._known[track.internal_track_id] = known
            else:
                known.likely = keep * known.likely + (1 - keep) * one.likely
            known.box, out[place] = one.box, known
        return out

    def _free_index(self) -> int:
        """The next number, 1 again after 254; those in use are passed over."""
        used = {one.index for one in self._known.values()}
        for _ in range(MOST_TRACKS):
            self._last_index = self._last_index % MOST_TRACKS + 1
            if self._last_index not in used:
                break
        return self._last_index


def moved(mask: Float, before: Float, now: Float) -> Float:
    """A mask ``[SIDE, SIDE]`` of what was in one box, in another box; ``OUTSIDE`` beyond."""
    side = mask.shape[0]
    scale = (before[2:] - before[:2]) / np.maximum(now[2:] - now[:2], 1e-6)
    # Cell centres: a place x of now was at scale (x - x0) + x0', in cells less a half.
    shift = (before[:2] - scale * now[:2]) * side + 0.5 * scale - 0.5
    matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]], np.float64)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    out = cv2.warpAffine(mask, matrix, (side, side), flags=how, borderValue=OUTSIDE)
    return np.asarray(out, np.float32)
