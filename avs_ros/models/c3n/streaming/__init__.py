"""C3N one new frame at a time: the same numbers as a whole clip, at a fraction of the work.

``step``: one frame as a pure function of tensors; ``models/stream_memory.py`` keeps the past that
it takes, its fusion modules with their linear parts multiplied out.  ``traced_*``: backbones with
hand-written backward passes.
"""

from avs_ros.models.c3n.streaming.step import C3NStep, StepOutput

__all__ = ["C3NStep", "StepOutput"]
