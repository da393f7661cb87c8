"""What comes in, frames and sound, and what belongs together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import ImageFormatError
from avs_ros.segmentation import Bytes, Float


@dataclass(frozen=True)
class Frame:
    """One image of a camera or a file.

    ``stamp_ns``: time of capture (ns).  ``index`` counts the source's images from 0.
    ``decode()`` -> uint8 ``[H, W, 3]`` RGB, computed on call, so that a frame which is dropped is
    never decoded.  ``frame_id``: the header's, "" for files.
    """

    stamp_ns: int
    index: int
    decode: Callable[[], Bytes]
    frame_id: str = ""

    @classmethod
    def of(cls, stamp_ns: int, rgb: Bytes, index: int = 0) -> Frame:
        """A frame whose image is decoded already: ``rgb`` uint8 ``[H, W, 3]``."""
        return cls(stamp_ns, index, lambda: rgb)


@dataclass(frozen=True)
class Sound:
    """A run of samples: ``stamp_ns`` is the time of the first one (ns).

    ``samples``: int8, int16, int32, uint8 or float (-1..1), ``[n]`` or ``[n, channels]``, at
    ``rate_hz``.
    """

    stamp_ns: int
    samples: NDArray[Any]
    rate_hz: int

    @property
    def end_ns(self) -> int:
        """Time just after the last sample (ns)."""
        return self.stamp_ns + round(len(self.samples) * 1e9 / self.rate_hz)


Event = Frame | Sound


@dataclass(frozen=True)
class Pair:
    """A frame and the sound that belongs to it.

    ``window``: float32 ``[n]`` mono, ending at the frame's stamp + offset, zeros where nothing was
    heard.  ``coverage`` (0..1), ``complete``, ``level_dbfs``: as in :class:`AudioWindow`.
    ``sync_error_ms``: 0 where sound reaches the window's end; else how far the newest sound ends
    before it (so two clocks that disagree show here); NaN while no sound was ever heard.
    ``epoch``: rises at each reset and jump back; a new epoch is a new stream for a model with a
    memory.  ``arrival_ns``: when the frame came in, by the synchronizer's clock.
    """

    frame: Frame
    window: Float
    coverage: float
    complete: bool
    level_dbfs: float
    sync_error_ms: float
    epoch: int = 0
    arrival_ns: int = 0

    @property
    def stamp_ns(self) -> int:
        """The frame's stamp (ns)."""
        return self.frame.stamp_ns

    @cached_property
    def image(self) -> Bytes:
        """The frame's image, uint8 ``[H, W, 3]`` RGB, decoded when first asked for.

        Raises what the frame's ``decode`` raises, :class:`ImageFormatError` for a wrong array.
        """
        image = self.frame.decode()
        shape = np.shape(image)
        if getattr(image, "dtype", None) != np.uint8 or shape[2:] != (3,) or 0 in shape:
            got = f"{getattr(image, 'dtype', type(image).__name__)} {shape}"
            raise ImageFormatError(f"frame is {got}; expected uint8 RGB [height, width, 3]")
        return image
