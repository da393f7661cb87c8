"""Public weight files: where they are, how they are fetched, checked and converted.

``convert`` and ``verify`` load networks and are imported from their own modules.
"""

from avs_ros.weights.download import download
from avs_ros.weights.sources import (
    SOURCES,
    PublicFile,
    WeightSource,
    cache_folder,
    cached_paths,
    find_source,
)

__all__ = [
    "SOURCES",
    "PublicFile",
    "WeightSource",
    "cache_folder",
    "cached_paths",
    "download",
    "find_source",
]
