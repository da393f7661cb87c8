"""A ring of float32 samples addressed by a count that never wraps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]


class SampleRing:
    """The last ``capacity`` samples written; sample number ``i`` keeps its number."""

    def __init__(self, capacity: int) -> None:
        """Make room for ``capacity`` samples (at least 1)."""
        self._data: Float = np.zeros(capacity, dtype=np.float32)
        self.end = 0

    @property
    def start(self) -> int:
        """Number of the oldest sample still held."""
        return max(0, self.end - self._data.size)

    def write(self, samples: Float) -> None:
        """Append ``samples`` ``[n]``; the oldest give way."""
        size = self._data.size
        kept = samples[-size:]
        first = (self.end + samples.size - kept.size) % size
        head = min(kept.size, size - first)
        self._data[first : first + head] = kept[:head]
        self._data[: kept.size - head] = kept[head:]
        self.end += samples.size

    def read(self, start: int, end: int) -> Float:
        """Copy of samples ``start`` .. ``end`` (exclusive), all of which must be held."""
        if not self.start <= start <= end <= self.end:
            raise IndexError(f"samples {start}..{end} asked for, {self.start}..{self.end} held")
        size = self._data.size
        first = start % size
        head = min(end - start, size - first)
        return np.concatenate([self._data[first : first + head], self._data[: end - start - head]])
