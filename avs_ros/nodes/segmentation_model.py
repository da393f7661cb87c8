"""The segmentation node's model and pipeline as its parameters ask for them; nothing of ROS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from avs_ros.inference.segmenter import Segmenter
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


def make_pipeline(
    segmenter: Segmenter, parameters: Mapping[str, Any], on_error: Callable[[Exception], None]
) -> Pipeline:
    """The pipeline around ``segmenter``; raises :class:`ParameterError` for what does not fit."""
    synchronizer = Synchronizer(
        window_s=segmenter.window_s, offset_s=parameters["audio_offset"],
        deadline_s=parameters["deadline"], rate_hz=segmenter.sample_rate,
    )
    postprocessor = Postprocessor(PostprocessConfig.of(parameters))
    return Pipeline(segmenter, synchronizer, postprocessor, on_error)


def apply_parameters(pipeline: Pipeline, worker: Worker, parameters: Mapping[str, Any]) -> None:
    """Take over changed parameters; raises :class:`ParameterError` and then changes none."""
    pipeline.policy = PostprocessConfig.of(parameters)
    worker.max_rate = parameters["max_rate"]
    pipeline.synchronizer.offset_s = parameters["audio_offset"]
    pipeline.synchronizer.deadline_s = parameters["deadline"]
