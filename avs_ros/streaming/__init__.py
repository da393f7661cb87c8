"""Time: sound in a ring buffer, frames paired with it, and the pipeline that answers the pairs.

Nothing here knows ROS.  Header stamps (nanoseconds) decide what belongs together.
"""

from avs_ros.streaming.audio_buffer import AUDIO_COUNTERS, AudioBuffer, AudioWindow
from avs_ros.streaming.clock import Clock, MonotonicClock
from avs_ros.streaming.inputs import Event, Frame, Pair, Sound
from avs_ros.streaming.pipeline import PIPELINE_COUNTERS, Pipeline, PipelineStats
from avs_ros.streaming.synchronizer import FRAME_COUNTERS, Synchronizer
from avs_ros.streaming.worker import Worker

# counter -> what it counts, for everything that Pipeline.counters() returns
COUNTERS: dict[str, str] = {**FRAME_COUNTERS, **PIPELINE_COUNTERS, **AUDIO_COUNTERS}

__all__ = [
    "AUDIO_COUNTERS",
    "COUNTERS",
    "FRAME_COUNTERS",
    "PIPELINE_COUNTERS",
    "AudioBuffer",
    "AudioWindow",
    "Clock",
    "Event",
    "Frame",
    "MonotonicClock",
    "Pair",
    "Pipeline",
    "PipelineStats",
    "Sound",
    "Synchronizer",
    "Worker",
]
