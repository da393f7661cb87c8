"""What the synchroniser hands on: a frame and its sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.segmentation import Bytes

Float = NDArray[np.float32]
# An RGB picture uint8 [H, W, 3], or a function that makes it: frames that are dropped are then
# never decoded.
Frame = Bytes | Callable[[], Bytes]


@dataclass(frozen=True)
class Pair:
    """A frame and the sound that belongs to it.

    ``stamp_ns``: the frame's header stamp.  ``window``: float32 ``[n]`` mono, ending at
    ``stamp_ns`` + offset, zeros where nothing was heard.  ``coverage`` (0..1), ``complete``,
    ``level_dbfs``: as in :class:`AudioWindow`.  ``sync_error_ms``: 0 where sound reaches the
    window's end; else how far the newest sound ends before it (so two clocks that disagree show
    here); NaN while no sound was ever heard.  ``context``: what came with the frame (e.g. its
    header).  ``epoch``: rises at each reset and jump back; a new epoch is a new stream for a
    model with a memory.  ``arrival_ns``: when the frame came in, by the synchroniser's clock.
    """

    stamp_ns: int
    frame: Frame
    window: Float
    coverage: float
    complete: bool
    level_dbfs: float
    sync_error_ms: float
    context: Any = None
    epoch: int = 0
    arrival_ns: int = 0
