"""Time: sound in a ring buffer, frames paired with it, and the pipeline that answers the pairs.

Nothing here knows ROS.  Header stamps (nanoseconds) decide what belongs together.
"""

from avs_ros.streaming.inputs import Event, Frame, Pair, Sound
from avs_ros.streaming.pipeline import Pipeline
from avs_ros.streaming.synchronizer import Synchronizer
from avs_ros.streaming.worker import Worker

__all__ = ["Event", "Frame", "Pair", "Pipeline", "Sound", "Synchronizer", "Worker"]
