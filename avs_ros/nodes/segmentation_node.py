"""The lifecycle node: camera and microphone topics -> pipeline -> answers as topics."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from avs_ros.errors import AvsError
from avs_ros.inference.segmenter import Segmenter
from avs_ros.nodes.declared_parameters import BaseNode
from avs_ros.nodes.diagnostics import DiagnosticsPage, StreamState, publish_diagnostics
from avs_ros.nodes.entry_point import run_node
from avs_ros.nodes.segmentation_inputs import SensorInputs
from avs_ros.nodes.segmentation_model import (
    apply_parameters,
    create_segmenter,
    make_worker,
    warm_up,
)
from avs_ros.nodes.segmentation_outputs import SegmentationOutputs
from avs_ros.nodes.subscriptions import MessageCounters
from avs_ros.segmentation import Segmentation
from avs_ros.streaming.inputs import Pair
from avs_ros.streaming.timing import RollingPercentiles
from avs_ros.streaming.worker import Worker

_WATCH_PERIOD_S = 0.25

CreateSegmenter = Callable[[Mapping[str, Any]], Segmenter]
Transition = Callable[["SegmentationNode", LifecycleState], TransitionCallbackReturn]


def _logged(transition: Transition) -> Transition:
    """Log what a transition dies of: rclpy keeps only that it has failed."""

    @functools.wraps(transition)
    def logged(self: SegmentationNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(self, state)
        except Exception as error:
            self.get_logger().error(
                f"{transition.__name__} failed: {type(error).__name__}: {error}"
            )
            raise

    return logged


class SegmentationNode(BaseNode, LifecycleNode):
    """Which pixels are making the sound, and what they are.

    =========== ==================================================================
    configure   loads, checks and warms the model, creates the publishers
    activate    subscribes to camera and microphone, starts the worker
    deactivate  unsubscribes and stops the worker; the model stays in memory
    cleanup     takes the publishers off the graph and frees the model's memory
    =========== ==================================================================

    A frame's way: ``SensorInputs`` (callback) -> ``Pipeline.push`` -> ``Synchronizer`` ->
    ``Worker`` (its thread) -> ``Pipeline.step`` (decode, segment, post-process) ->
    ``SegmentationOutputs`` (conversions, publishers).
    """

    TABLE = "segmentation_node"

    def __init__(
        self, node_name: str = "", *,
        create_segmenter: CreateSegmenter = create_segmenter, **options: Any,
    ) -> None:
        """Declare parameters and services; configure and activate follow by themselves.

        (They do not where the parameter ``autostart`` is false.)  ``create_segmenter``:
        parameters -> segmenter, for models from elsewhere (tests use one that needs no weights);
        ``options`` go to ``rclpy.node.Node``.  Raises :class:`ParameterError` for a start value
        out of range.
        """
        self._create_segmenter = create_segmenter
        super().__init__(node_name, **options)

    def _set_up(self) -> None:
        self._worker: Worker | None = None
        self._outputs: SegmentationOutputs | None = None
        self._state = "unconfigured"
        self._enabled = True
        # Transitions and ~/enable come in different threads.
        self._switch = threading.Lock()
        self._failure = ""
        self._malformed = MessageCounters(self.get_logger())
        self._age = RollingPercentiles()
        self._inputs = SensorInputs(self, self._settings, self._malformed)
        self._start_group = MutuallyExclusiveCallbackGroup()
        timers = MutuallyExclusiveCallbackGroup()
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_service(Trigger, "~/reset", self._on_reset)
        page = DiagnosticsPage(self.get_name())
        publish_diagnostics(
            self, lambda: page.write(self._stream_state()), self._settings["diagnostics_period"],
            timers,
        )
        self.steady_timer(_WATCH_PERIOD_S, self._inputs.watch, timers)
        if self._settings["autostart"]:
            self._autostart = self.steady_timer(0.01, self._start, self._start_group)

    def _start(self) -> None:
        """Configure and activate, once, on the executor: services answer meanwhile."""
        self.destroy_timer(self._autostart)
        try:
            done = TransitionCallbackReturn.SUCCESS
            if self._state == "unconfigured" and self.trigger_configure() == done:
                self.trigger_activate()
        except Exception:
            if self.context.ok():
                raise
            # Interrupted while the model was loading: no transition can be published any more.

    @_logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load, check and warm the model; FAILURE (and one message in the log) if it cannot."""
        segmenter: Segmenter | None = None
        try:
            segmenter = self._create_segmenter(self._settings)
            warm_up(segmenter)
            worker = make_worker(
                segmenter, self._settings, self._publish, self._on_stream_error
            )
        except Exception as error:  # out of memory, a driver's error: the node must survive it
            reason = str(error)
            if not isinstance(error, AvsError):
                reason = f"the model failed: {type(error).__name__}: {error}"
            self._failure = reason
            self.get_logger().error(f"cannot configure: {reason}")
            if segmenter is not None:
                segmenter.close()
            return TransitionCallbackReturn.FAILURE
        self._worker, self._failure = worker, ""
        self._outputs = SegmentationOutputs(self, self._settings, segmenter.labels)
        self.get_logger().info(
            f"model {segmenter.name} on {segmenter.device} ({segmenter.engine})"
        )
        return self._entered("inactive", super().on_configure(state))

    @_logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker."""
        if self._outputs is None or self._worker is None:
            return TransitionCallbackReturn.ERROR
        try:
            self._worker.start()
        except AvsError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        result = super().on_activate(state)
        self._outputs.publish_label_info(self._settings["threshold"], self.now_ns())
        with self._switch:
            self._state = "active"
            if self._enabled:
                self._inputs.open(self._worker.pipeline.push)
        return result

    @_logged
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and stop the worker; the model stays loaded."""
        self._stop()
        return self._entered("inactive", super().on_deactivate(state))

    @_logged
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model and take the publishers off the graph."""
        result = super().on_cleanup(state)
        self._release()
        return self._entered("unconfigured", result)

    @_logged
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free everything, from any state."""
        result = super().on_shutdown(state)
        self._release()
        return self._entered("finalized", result)

    @_logged
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Recover: free everything and go back to unconfigured."""
        self.get_logger().error("a transition failed: back to unconfigured")
        self._release()
        return self._entered("unconfigured", TransitionCallbackReturn.SUCCESS)

    def destroy_node(self) -> None:
        """Stop the worker before the node's publishers go."""
        self._release()
        super().destroy_node()
        # rclpy leaves it: the node would stay on the graph, and its services would be found, until
        # the last reference to this object goes.
        self._state_machine.destroy_when_not_in_use()

    def _entered(self, state: str, result: TransitionCallbackReturn) -> TransitionCallbackReturn:
        if result == TransitionCallbackReturn.SUCCESS:
            self._state = state
        return result

    def _stop(self) -> None:
        with self._switch:
            if self._state == "active":
                self._state = "inactive"
            self._inputs.close()
        if self._worker is not None and not self._worker.stop():
            self.get_logger().warning("the model is still busy with its last frame")

    def _release(self) -> None:
        self._stop()
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()
        if self._outputs is not None:
            self._outputs.destroy()
            self._outputs = None

    def _publish(self, segmentation: Segmentation, pair: Pair) -> None:
        """Called in the worker's thread with each answer."""
        latency_ms = (self.now_ns() - pair.stamp_ns) * 1e-6
        self._age.add(latency_ms)
        if (outputs := self._outputs) is not None:
            outputs.publish(segmentation, pair, self._inputs.calibration, latency_ms)

    def _on_stream_error(self, error: Exception) -> None:
        self.get_logger().error(
            f"frame lost: {type(error).__name__}: {error}", throttle_duration_sec=5.0
        )

    @property
    def configured(self) -> bool:
        """Whether the model is loaded."""
        return self._worker is not None

    def apply_settings(self, values: Mapping[str, Any]) -> None:
        """Take over changed parameters; raises to refuse them."""
        if self._worker is not None:
            apply_parameters(self._worker, values)
        changed = values["threshold"] != self._settings["threshold"]
        if changed and self._state == "active" and self._outputs is not None:
            self._outputs.publish_label_info(values["threshold"], self.now_ns())

    def _on_enable(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        """Stop or resume listening; the model stays loaded."""
        with self._switch:
            self._enabled = bool(request.data)
            if self._state == "active" and self._enabled and self._worker is not None:
                self._inputs.open(self._worker.pipeline.push)
            elif not self._enabled:
                self._inputs.close()
                if self._worker is not None:
                    self._worker.pipeline.reset()
        response.success = True
        response.message = (
            f"{'enabled' if self._enabled else 'disabled'}, the node is {self._state}"
        )
        return response

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Forget the past: frames, sound, the model's memory."""
        response.success = (worker := self._worker) is not None
        response.message = f"nothing to reset: the node is {self._state}"
        if worker is not None:
            worker.pipeline.reset()
            response.message = "the stream starts anew"
        return response

    def _stream_state(self) -> StreamState:
        state = StreamState(
            state=self._state, enabled=self._enabled, failure=self._failure,
            malformed=self._malformed.counts(), messages=self._malformed.messages(),
            inputs=self._inputs.describe(), problems=dict(self._inputs.problems),
        )
        if (worker := self._worker) is not None:
            state.read(worker.pipeline)
            state.age_ms = self._age.percentiles()
        return state


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is interrupted; returns the exit status."""
    return run_node(SegmentationNode, args)
