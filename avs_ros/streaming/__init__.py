"""Time: sound in a ring buffer, frames paired with it, and the worker that serves the pairs.

Nothing here knows ROS.  Header stamps (nanoseconds) decide what belongs together.
"""

from avs_ros.streaming.audio_buffer import AUDIO_COUNTERS, AudioBuffer, AudioWindow
from avs_ros.streaming.clock import Clock, MonotonicClock
from avs_ros.streaming.pair import Frame, Pair
from avs_ros.streaming.pipeline import PIPELINE_COUNTERS, Pipeline, PipelineStats
from avs_ros.streaming.sequential import AudioEvent, FrameEvent, SequentialRunner
from avs_ros.streaming.synchronizer import FRAME_COUNTERS, Synchronizer

# counter -> what it counts, for everything that Pipeline.counters() returns
COUNTERS: dict[str, str] = {**FRAME_COUNTERS, **PIPELINE_COUNTERS, **AUDIO_COUNTERS}

__all__ = [
    "AUDIO_COUNTERS",
    "COUNTERS",
    "FRAME_COUNTERS",
    "PIPELINE_COUNTERS",
    "AudioBuffer",
    "AudioEvent",
    "AudioWindow",
    "Clock",
    "Frame",
    "FrameEvent",
    "MonotonicClock",
    "Pair",
    "Pipeline",
    "PipelineStats",
    "SequentialRunner",
    "Synchronizer",
]
