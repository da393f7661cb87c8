"""C3N one new frame at a time: the same numbers as a whole clip, at a fraction of the work.

``step``: one frame as a pure function of tensors, and with the memory of past frames
(``models/stream_memory.py``, no PyTorch in it).  ``traced_*``: backbones with hand-written
backward passes.  ``folded``: fusion modules with their linear parts multiplied out.
"""

from avs_ros.models.c3n.streaming.step import C3NStep, StepOutput, StreamingC3N
from avs_ros.models.stream_memory import StreamMemory

__all__ = ["C3NStep", "StepOutput", "StreamMemory", "StreamingC3N"]
