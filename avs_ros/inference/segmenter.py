"""The one protocol behind which every model and engine stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from avs_ros.segmentation import Bytes, Float, Prediction


@runtime_checkable
class Segmenter(Protocol):
    """Frame and the second of sound that ends at it -> the sounding object, and where.

    Attributes: ``name`` (model name), ``engine`` and ``device`` (in words), ``sample_rate`` (Hz
    of the windows it wants), ``window_s`` (seconds of sound per frame), ``labels`` (visual
    vocabulary; ``Prediction.label_index`` points into it).  A segmenter belongs to one stream:
    it keeps that stream's past, and :meth:`reset` forgets it.

    One that decides the sounding object by itself has four attributes more: ``gate`` (GateConfig,
    may be set at any time; see :func:`avs_ros.gate.apply_gate`), ``gate_options`` (names of the
    options that have an effect, with post-processing behind it; default: post-processing's own),
    ``calibration`` (what its weight file says of them) and ``categories`` (names that may have
    thresholds of their own; default: ``labels``).

    One whose audio encoder runs at a period of its own has ``audio_runs``, how often it did.
    """

    name: str
    engine: str
    device: str
    sample_rate: int
    window_s: float

    @property
    def labels(self) -> Sequence[str]:
        """Visual vocabulary, by row."""
        ...

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """Segment one frame.

        ``frame``: uint8 ``[H, W, 3]`` RGB.  ``window``: float32 ``[window_s * sample_rate]`` mono,
        -1..1, ending at ``stamp_ns`` (the frame's header stamp, nanoseconds).  Stamps rise from
        step to step; a step back in time must be announced with :meth:`reset`.
        """
        ...

    def reset(self) -> None:
        """Forget the past frames (new clip, bag loop, jump in time)."""
        ...

    def close(self) -> None:
        """Free the device's memory; the segmenter cannot be used afterwards."""
        ...
