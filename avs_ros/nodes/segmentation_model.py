"""The segmentation node's model and pipeline as its parameters ask for them; nothing of ROS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from avs_ros.errors import ParameterError
from avs_ros.inference.segmenter import Segmenter
from avs_ros.nodes.declared_parameters import names
from avs_ros.postprocess import PostprocessConfig, Postprocessor
from avs_ros.streaming.pipeline import Pipeline
from avs_ros.streaming.synchronizer import Synchronizer
from avs_ros.streaming.worker import Worker


def create_segmenter(parameters: Mapping[str, Any]) -> Segmenter:
    """The segmenter that ``model``, ``engine`` and ``device`` ask for.

    Raises an :class:`~avs_ros.errors.AvsError` for a name, file or device that does not exist.
    """
    # torch comes in here, not when the node's module is imported.
    from avs_ros.inference import create_segmenter as create

    return create(
        model=parameters["model"], engine=parameters["engine"], device=parameters["device"]
    )


def warm_up(segmenter: Segmenter, width: int = 640, height: int = 480, steps: int = 2) -> None:
    """Run ``segmenter`` on black images and silence, so that the first real frame is not slow.

    What fails with the first frame (memory, kernels, a wrong checkpoint) fails here instead.
    """
    frame = np.zeros((height, width, 3), dtype=np.uint8)
    window = np.zeros(round(segmenter.window_s * segmenter.sample_rate), dtype=np.float32)
    segmenter.reset()
    for step in range(steps):
        segmenter.step(frame, window, (step + 1) * 100_000_000)
    segmenter.reset()


def postprocess_config(parameters: Mapping[str, Any]) -> PostprocessConfig:
    """The post-processing that the parameters ask for; raises :class:`ParameterError`."""
    return PostprocessConfig(
        threshold=parameters["threshold"],
        sounding_threshold=parameters["sounding_threshold"],
        hysteresis=parameters["hysteresis"],
        min_area=parameters["min_area"],
        silence_dbfs=parameters["silence_dbfs"],
        labels_keep=names(parameters["labels_keep"]),
        labels_ignore=names(parameters["labels_ignore"]),
        smoothing=parameters["smoothing"],
        max_instances=parameters["max_instances"],
    )


def make_pipeline(
    segmenter: Segmenter, parameters: Mapping[str, Any], on_error: Callable[[Exception], None]
) -> Pipeline:
    """The pipeline around ``segmenter``; raises :class:`ParameterError` for what does not fit."""
    window_s = parameters["audio_window"] or segmenter.window_s
    if window_s != segmenter.window_s:
        raise ParameterError(
            f"audio_window is {window_s} s, model {segmenter.name} hears {segmenter.window_s} s: "
            "set audio_window to that or to 0"
        )
    synchronizer = Synchronizer(
        window_s=window_s, offset_s=parameters["audio_offset"],
        deadline_s=parameters["deadline"], rate_hz=segmenter.sample_rate,
    )
    postprocessor = Postprocessor(postprocess_config(parameters))
    return Pipeline(segmenter, synchronizer, postprocessor, on_error)


def apply_parameters(pipeline: Pipeline, worker: Worker, parameters: Mapping[str, Any]) -> None:
    """Take over changed parameters; raises :class:`ParameterError` and then changes none."""
    pipeline.postprocessor.config = postprocess_config(parameters)
    worker.max_rate = parameters["max_rate"]
    pipeline.synchronizer.offset_s = parameters["audio_offset"]
    pipeline.synchronizer.deadline_s = parameters["deadline"]
