"""The segmentation node's model and pipeline as its parameters ask for them; nothing of ROS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from avs_ros.inference.segmenter import Segmenter
from avs_ros.postprocess import PostprocessConfig, Postprocessor
from avs_ros.segmentation import Segmentation
from avs_ros.streaming.inputs import Pair
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


def warm_up(segmenter: Segmenter) -> None:
    """Run ``segmenter`` on black images and silence, so that the first real frame is not slow.

    What fails with the first frame (memory, kernels, a wrong checkpoint) fails here instead.
    """
    frame = np.zeros((480, 640, 3), dtype=np.uint8)
    window = np.zeros(round(segmenter.window_s * segmenter.sample_rate), dtype=np.float32)
    segmenter.reset()
    for stamp_ns in (100_000_000, 200_000_000):
        segmenter.step(frame, window, stamp_ns)
    segmenter.reset()


def make_worker(
    segmenter: Segmenter, parameters: Mapping[str, Any],
    on_result: Callable[[Segmentation, Pair], None], on_error: Callable[[Exception], None],
) -> Worker:
    """The pipeline around ``segmenter`` and the worker that serves it.

    Raises :class:`ParameterError` for what does not fit.
    """
    synchronizer = Synchronizer(
        window_s=segmenter.window_s, offset_s=parameters["audio_offset"],
        deadline_s=parameters["deadline"], rate_hz=segmenter.sample_rate,
    )
    postprocessor = Postprocessor(PostprocessConfig.of(parameters))
    pipeline = Pipeline(segmenter, synchronizer, postprocessor, on_error)
    return Worker(pipeline, on_result, parameters["max_rate"])


def apply_parameters(worker: Worker, parameters: Mapping[str, Any]) -> None:
    """Take over changed parameters; raises :class:`ParameterError` and then changes none."""
    worker.pipeline.policy = PostprocessConfig.of(parameters)
    worker.max_rate = parameters["max_rate"]
    worker.pipeline.synchronizer.offset_s = parameters["audio_offset"]
    worker.pipeline.synchronizer.deadline_s = parameters["deadline"]
