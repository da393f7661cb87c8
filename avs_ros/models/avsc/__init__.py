"""AVSC, the second model: potential sounding objects, attended to by what is heard."""

from __future__ import annotations

from avs_ros.models.avsc.association import attend, correlation_loss
from avs_ros.models.avsc.checkpoint import LoadedAVSC, load_avsc, save_avsc
from avs_ros.models.avsc.config import AVSCConfig, configuration
from avs_ros.models.avsc.matching import match
from avs_ros.models.avsc.network import AVSC
from avs_ros.models.avsc.objective import MODES, silent_aware_loss
from avs_ros.models.avsc.outputs import SegmenterOutput, Target

__all__ = [
    "AVSC",
    "MODES",
    "AVSCConfig",
    "LoadedAVSC",
    "SegmenterOutput",
    "Target",
    "attend",
    "configuration",
    "correlation_loss",
    "load_avsc",
    "match",
    "save_avsc",
    "silent_aware_loss",
]
