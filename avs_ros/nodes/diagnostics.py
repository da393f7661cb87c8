"""What nodes say on /diagnostics: of model, inputs and stream, or of their inputs alone."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rclpy.callback_groups import CallbackGroup

from avs_ros.conversions.messages import ERROR, OK, WARN, Message, Status, make_diagnostics
from avs_ros.conversions.topics import DIAGNOSTICS, Topic
from avs_ros.gate import gate_in_force, in_words
from avs_ros.nodes.declared_parameters import BaseNode
from avs_ros.nodes.message_types import ROS
from avs_ros.nodes.subscriptions import InputSubscription, MessageCounters
from avs_ros.streaming.pipeline import Pipeline, PipelineStats


@dataclass
class StreamState:
    """What the node knows when it writes its page (filled by the node, read here)."""

    state: str = "unconfigured"
    enabled: bool = True
    failure: str = ""
    model: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    malformed: Mapping[str, int] = field(default_factory=dict)
    messages: Mapping[str, str] = field(default_factory=dict)
    stats: PipelineStats | None = None
    counters: Mapping[str, int] = field(default_factory=dict)
    last_error: str = ""
    age_ms: Mapping[str, float] = field(default_factory=dict)

    def read(self, pipeline: Pipeline) -> None:
        """Take over what the pipeline knows: its model, counters and statistics."""
        segmenter = pipeline.segmenter
        in_force = gate_in_force(segmenter, pipeline.policy.gate)
        self.model = {
            "model": segmenter.name, "engine": segmenter.engine, "device": segmenter.device,
            **{
                f"gate {name}": f"{in_words(value)} ({source})"
                for name, (value, source) in in_force.items()
            },
        }
        self.stats, self.counters = pipeline.stats(), pipeline.counters()
        # After the counters: an error that is counted is told.
        if (error := pipeline.last_error) is not None:
            self.last_error = f"{type(error).__name__}: {error}"


_FOLLOW_PERIOD_S = 0.25


def gpu_memory() -> dict[str, str]:
    """Megabytes of GPU memory in use and at most, where a model's torch finds CUDA."""
    # While another thread still imports torch, its parts are not there yet.
    cuda: Any = getattr(sys.modules.get("torch"), "cuda", None)
    if not hasattr(cuda, "memory_allocated") or not cuda.is_available():
        return {"cuda": "not available"}
    mega = 1024.0 * 1024.0
    try:
        return {
            "cuda": cuda.get_device_name(),
            "gpu_memory_mb": f"{cuda.memory_allocated() / mega:.0f}",
            "gpu_memory_peak_mb": f"{cuda.max_memory_allocated() / mega:.0f}",
        }
    except RuntimeError as error:  # a GPU that failed must not take the diagnostics with it
        return {"cuda": str(error).splitlines()[0]}


def _rising(
    counters: Mapping[str, int], before: Mapping[str, int], *names: str
) -> list[str]:
    """Names (all without ``names``) whose counters rose since ``before``."""
    return [one for one in (names or counters) if counters.get(one, 0) > before.get(one, 0)]


def _number(value: float, digits: int = 1) -> str:
    return "unknown" if math.isnan(value) else f"{value:.{digits}f}"


class DiagnosticsPage:
    """Turns a :class:`StreamState` into statuses; remembers counters to see what is new."""

    def __init__(self, node_name: str) -> None:
        """Write statuses whose names begin with ``node_name``."""
        self._node_name = node_name
        self._before: dict[str, int] = {}

    def write(self, state: StreamState) -> list[Status]:
        """Three statuses: ``model``, ``inputs``, ``stream``."""
        statuses = [self._model(state), self._inputs(state), self._stream(state)]
        self._before = {**state.counters, **state.malformed}
        return statuses

    def _model(self, state: StreamState) -> Status:
        values = {"state": state.state, "enabled": str(state.enabled).lower(), **state.model}
        if state.model:  # before, another thread may be in the middle of importing torch
            values.update(gpu_memory())
        values["last_error"] = state.last_error or state.failure
        level, message = OK, f"{state.model.get('model', 'no model')}, {state.state}"
        if state.failure and state.state == "unconfigured":
            level, message = ERROR, state.failure
        elif _rising(state.counters, self._before, "worker_errors", "callback_errors"):
            level, message = ERROR, state.last_error
        elif not state.enabled:
            message += ", disabled by ~/enable"
        return Status(f"{self._node_name}: model", level, message, values)

    def _inputs(self, state: StreamState) -> Status:
        values, stats = dict(state.inputs), state.stats
        if stats is not None:
            values["image_hz"] = _number(stats.frame_rate)
            values["audio_hz"] = _number(stats.audio_rate)
        values.update({f"qos {topic}": message for topic, message in state.problems.items()})
        values.update({f"refused {name}": str(n) for name, n in state.malformed.items()})
        level, message = OK, "images and sound are coming in"
        refused = _rising(state.malformed, self._before)
        active = state.state == "active" and state.enabled
        if state.problems:
            level, message = ERROR, next(iter(state.problems.values()))
        elif refused:
            level, message = WARN, state.messages.get(refused[0], refused[0])
        elif not active:
            message = f"not subscribed: {state.state if state.enabled else 'disabled'}"
        elif stats is not None and stats.frame_rate == 0.0:
            level, message = WARN, f"no images: {state.inputs.get('image', '')}"
        elif stats is not None and stats.audio_rate == 0.0:
            level, message = WARN, f"no sound: {state.inputs.get('audio', '')}"
        return Status(f"{self._node_name}: inputs", level, message, values)

    def _stream(self, state: StreamState) -> Status:
        values: dict[str, str] = {}
        stats = state.stats
        if stats is not None:
            values["output_hz"] = _number(stats.result_rate)
            if stats.hearing_rate:
                values["audio_encoder_hz"] = _number(stats.hearing_rate)
            for name, figures in (
                ("arrival_to_result_ms", stats.latency_ms),
                ("processing_ms", stats.processing_ms), ("latency_ms", state.age_ms),
            ):
                values.update((f"{name} {part}", _number(one)) for part, one in figures.items())
            for name, mean in stats.stages_ms.items():
                values[f"stage {name}_ms"] = _number(mean)
        last = stats and stats.last
        for key, name, digits in (
            ("audio_level_dbfs", "level_dbfs", 1), ("audio_coverage", "coverage", 2),
            ("sync_error_ms", "sync_error_ms", 1),
        ):
            values[key] = _number(getattr(last, name, math.nan), digits)
        values.update((name, str(number)) for name, number in state.counters.items())
        level, message = OK, "running" if state.state == "active" else state.state
        if _rising(state.counters, self._before, "frames_deadline"):
            level, message = WARN, (
                "sound comes later than the deadline allows (sync_error_ms says by how much): "
                "compare the stamps of camera and microphone, or raise deadline"
            )
        elif stats is not None:
            message += f", {_number(stats.result_rate)} Hz"
        return Status(f"{self._node_name}: stream", level, message, values)


class Listening:
    """The subscriptions of a node that only listens, followed, and one status about them."""

    def __init__(
        self, node: BaseNode, topics: Iterable[Topic], qos: str, counters: MessageCounters,
        callbacks: Mapping[str, Callable[[Message], None]],
        values: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """Subscribe to those of ``topics`` that have a callback.

        The status is called ``<node's name>: inputs``; ``values()``: what else is to be said.
        """
        self._name = f"{node.get_name()}: inputs"
        self._inputs = tuple(
            InputSubscription(
                node, topic.type_name, topic.name, callbacks[topic.name],
                qos=qos, depth=topic.depth, counters=counters,
            )
            for topic in topics if topic.name in callbacks
        )
        self._counters = counters
        self._values = values
        self._before: dict[str, int] = {}
        publish_diagnostics(node, self._write)
        node.steady_timer(_FOLLOW_PERIOD_S, self._follow)

    def _follow(self) -> None:
        for one in self._inputs:
            one.follow()

    def _write(self) -> list[Status]:
        """WARN while messages are refused, ERROR while a publisher cannot be heard."""
        counts = self._counters.counts()
        rising, self._before = _rising(counts, self._before), counts
        problems = [one.problem for one in self._inputs if one.problem]
        level, message = OK, "listening"
        if problems:
            level, message = ERROR, problems[0]
        elif rising:
            level, message = WARN, self._counters.messages().get(rising[0], rising[0])
        values = {one.topic: one.describe() for one in self._inputs} | dict(self._values())
        values |= {f"received {one.topic}": str(one.received) for one in self._inputs}
        values.update({f"refused {name}": str(count) for name, count in counts.items()})
        return [Status(self._name, level, message, values)]


def publish_diagnostics(
    node: BaseNode, write: Callable[[], Sequence[Status]], period_s: float = 1.0,
    group: CallbackGroup | None = None,
) -> None:
    """Publish what ``write()`` says every ``period_s`` seconds, whatever /clock does."""
    publisher = node.publisher(DIAGNOSTICS)

    def publish() -> None:
        publisher.publish(make_diagnostics(ROS, node.now_ns(), write()))

    node.steady_timer(period_s, publish, group)
