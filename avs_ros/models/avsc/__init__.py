"""AVSC, the second model: potential sounding objects, attended to by what is heard."""

from __future__ import annotations

from avs_ros.models.avsc.config import AVSCConfig, configuration
from avs_ros.models.avsc.network import AVSC, attend, load_avsc, save_avsc
from avs_ros.models.avsc.objective import MODES, Target, correlation_loss, match, silent_aware_loss
from avs_ros.models.avsc.segmenter import SegmenterOutput

__all__ = [
    "AVSC",
    "MODES",
    "AVSCConfig",
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
