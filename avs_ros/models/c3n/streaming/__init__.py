"""C3N one new frame at a time: the same numbers as a whole clip, at a fraction of the work.

``step``: one frame as a pure function of tensors.  ``memory``: the states of past frames.
``stream``: both together, in PyTorch.  ``traced_*``: backbones with hand-written backward
passes.  ``folded_*``: fusion modules with their linear parts multiplied out.
"""

from avs_ros.models.c3n.streaming.memory import StreamMemory
from avs_ros.models.c3n.streaming.step import C3NStep, StepOutput
from avs_ros.models.c3n.streaming.stream import StreamingC3N

__all__ = ["C3NStep", "StepOutput", "StreamMemory", "StreamingC3N"]
