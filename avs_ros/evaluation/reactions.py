"""How soon a model follows when sound starts or stops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from avs_ros.evaluation.frame_scores import FrameScores

# A mask that overlaps the truth by more follows it; less may be chance.
FOLLOWS = 0.1


def reactions(recordings: Sequence[Sequence[FrameScores]]) -> dict[str, Any]:
    """``onset_ms``, ``onsets``, ``onsets_missed``, and the same for offsets.

    A change is at the first frame whose truth differs from the frame's before (answered or not).
    It is followed by the first answered frame, before the next change, that has the sounding thing
    marked, or nothing marked; the time is between the two stamps, plus the age of that answer
    where it is known.
    """
    found: dict[bool, list[float | None]] = {True: [], False: []}
    for part in recordings:
        rows = sorted(part, key=lambda row: row.stamp_ns)
        for index in range(1, len(rows)):
            sounds = rows[index].true_share > 0
            if sounds != (rows[index - 1].true_share > 0):
                found[sounds].append(_followed(rows[index:], sounds))
    out: dict[str, Any] = {}
    for sounds, name in ((True, "onset"), (False, "offset")):
        times = [time for time in found[sounds] if time is not None]
        out[f"{name}_ms"] = float(np.median(times)) if times else None
        out[f"{name}s"] = len(found[sounds])
        out[f"{name}s_missed"] = len(found[sounds]) - len(times)
    return out


def _followed(rows: Sequence[FrameScores], sounds: bool) -> float | None:
    """Milliseconds from the first of ``rows`` to the one that follows it; None: none does."""
    for row in rows:
        if (row.true_share > 0) != sounds:
            return None
        if not row.answered:
            continue
        marked = row.marked_share > 0
        if (marked and row.likeness > FOLLOWS) if sounds else not marked:
            return (row.stamp_ns - rows[0].stamp_ns) * 1e-6 + (row.latency_ms or 0.0)
    return None
