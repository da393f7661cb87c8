"""The lifecycle node: camera and microphone topics -> pipeline -> answers as topics."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from avs_ros.errors import AvsError
from avs_ros.inference.segmenter import Segmenter
from avs_ros.messages import Message
from avs_ros.middleware import MIDDLEWARE, get_service, rclpy
from avs_ros.nodes.declared_parameters import DeclaredParameters
from avs_ros.nodes.diagnostics import StreamState
from avs_ros.nodes.diagnostics_publisher import DiagnosticsPublisher
from avs_ros.nodes.entry_point import run_node
from avs_ros.nodes.message_counters import MessageCounters
from avs_ros.nodes.parameters import SEGMENTATION
from avs_ros.nodes.segmentation_inputs import SensorInputs
from avs_ros.nodes.segmentation_outputs import Answer, SegmentationOutputs
from avs_ros.nodes.segmentation_stream import SegmentationStream, create_segmenter, warm_up
from avs_ros.segmentation import Segmentation
from avs_ros.streaming.synchronizer import Pair

_WATCH_PERIOD_S = 0.25
_JUMP_BACK_S = 0.5

CreateSegmenter = Callable[[Mapping[str, Any]], Segmenter]
_RETURN = rclpy.lifecycle.TransitionCallbackReturn


class SegmentationNode(rclpy.lifecycle.LifecycleNode):  # type: ignore[misc, name-defined]
    """Which pixels are making the sound, and what they are.

    =========== ==================================================================
    configure   loads, checks and warms the model, creates the publishers
    activate    subscribes to camera and microphone, starts the worker
    deactivate  unsubscribes and stops the worker; the model stays in memory
    cleanup     takes the publishers off the graph and frees the model's memory
    =========== ==================================================================
    """

    def __init__(
        self, node_name: str = "segmentation_node", *,
        create_segmenter: CreateSegmenter = create_segmenter, **options: Any,
    ) -> None:
        """Declare parameters and services; configure and activate follow by themselves.

        (They do not where the parameter ``autostart`` is false.)  ``create_segmenter``:
        parameters -> segmenter, for models from elsewhere (tests use one that needs no weights);
        ``options`` go to ``rclpy.node.Node``.  Raises :class:`ParameterError` for a start value
        out of range.
        """
        super().__init__(node_name, **options)
        try:
            self._set_up(create_segmenter)
        except BaseException:
            # A node that could not be made must not stay on the graph.
            super().destroy_node()
            raise

    def _set_up(self, create_segmenter: CreateSegmenter) -> None:
        self._create_segmenter = create_segmenter
        self._segmenter: Segmenter | None = None
        self._outputs: SegmentationOutputs | None = None
        self._stream: SegmentationStream | None = None
        self._state = "unconfigured"
        self._enabled = True
        # Transitions and ~/enable come in different threads.
        self._switch = threading.Lock()
        self._failure = ""
        self._malformed = MessageCounters()
        self._settings = DeclaredParameters(
            self, SEGMENTATION, self._apply_settings, lambda: self._segmenter is not None
        )
        self._inputs = SensorInputs(
            self, self._settings, self._push_frame, self._push_audio, self._malformed
        )
        group = rclpy.callback_groups.MutuallyExclusiveCallbackGroup
        self._start_group, self._timer_group = group(), group()
        self.create_service(get_service("std_srvs/srv/SetBool"), "~/enable", self._on_enable)
        self.create_service(get_service("std_srvs/srv/Trigger"), "~/reset", self._on_reset)
        # A steady clock: with use_sim_time and no /clock yet, ROS time stands still.
        self._steady = rclpy.clock.Clock(clock_type=rclpy.clock.ClockType.STEADY_TIME)
        self._diagnostics = DiagnosticsPublisher(
            self, self._settings["diagnostics_period"], self._stream_state, self._timer_group,
            self._steady,
        )
        self.create_timer(
            _WATCH_PERIOD_S, self._inputs.watch, callback_group=self._timer_group,
            clock=self._steady,
        )
        self._jump = self.get_clock().create_jump_callback(
            rclpy.clock.JumpThreshold(
                min_forward=None, min_backward=rclpy.duration.Duration(seconds=-_JUMP_BACK_S),
                on_clock_change=True,
            ),
            post_callback=self._on_time_jump,
        )
        if self._settings["autostart"]:
            self._autostart = self.create_timer(
                0.01, self._start, callback_group=self._start_group, clock=self._steady
            )

    def _start(self) -> None:
        """Configure and activate, once, on the executor: services answer meanwhile."""
        self.destroy_timer(self._autostart)
        try:
            if self._state == "unconfigured" and self.trigger_configure() == _RETURN.SUCCESS:
                self.trigger_activate()
        except Exception:
            if self.context.ok():
                raise
            # Interrupted while the model was loading: no transition can be published any more.

    def on_configure(self, state: Any) -> Any:
        """Load, check and warm the model; FAILURE (and one sentence in the log) if it cannot."""
        segmenter: Segmenter | None = None
        try:
            segmenter = self._create_segmenter(self._settings)
            warm_up(segmenter)
            self._stream = SegmentationStream(
                segmenter, self._settings, self._publish_answer, self._on_stream_error
            )
        except Exception as error:  # out of memory, a driver's error: the node must survive it
            sentence = str(error)
            if not isinstance(error, AvsError):
                sentence = f"the model failed: {type(error).__name__}: {error}"
            self._failure = sentence
            self.get_logger().error(f"cannot configure: {sentence}")
            if segmenter is not None:
                segmenter.close()
            return _RETURN.FAILURE
        self._segmenter, self._failure = segmenter, ""
        self._outputs = SegmentationOutputs(self, self._settings, segmenter.labels)
        self.get_logger().info(
            f"model {segmenter.name} on {segmenter.device} ({segmenter.engine}), {MIDDLEWARE}"
        )
        return self._entered("inactive", super().on_configure(state))

    def on_activate(self, state: Any) -> Any:
        """Subscribe and start the worker."""
        if self._outputs is None or self._stream is None:
            return _RETURN.ERROR
        try:
            self._stream.start()
        except AvsError as error:
            self.get_logger().error(str(error))
            return _RETURN.FAILURE
        result = super().on_activate(state)
        self._outputs.publish_label_info(self._settings["threshold"], self._now_ns())
        with self._switch:
            self._state = "active"
            if self._enabled:
                self._inputs.open()
        return result

    def on_deactivate(self, state: Any) -> Any:
        """Unsubscribe and stop the worker; the model stays loaded."""
        self._stop()
        return self._entered("inactive", super().on_deactivate(state))

    def on_cleanup(self, state: Any) -> Any:
        """Free the model and take the publishers off the graph."""
        result = super().on_cleanup(state)
        self._release()
        return self._entered("unconfigured", result)

    def on_shutdown(self, state: Any) -> Any:
        """Stop and free everything, from any state."""
        result = super().on_shutdown(state)
        self._release()
        return self._entered("finalized", result)

    def on_error(self, state: Any) -> Any:
        """Recover: free everything and go back to unconfigured."""
        self.get_logger().error("a transition failed: back to unconfigured")
        self._release()
        return self._entered("unconfigured", _RETURN.SUCCESS)

    def destroy_node(self) -> None:
        """Stop the worker before the node's publishers go."""
        self._release()
        self._jump.unregister()
        super().destroy_node()

    def _entered(self, state: str, result: Any) -> Any:
        if result == _RETURN.SUCCESS:
            self._state = state
        return result

    def _stop(self) -> None:
        with self._switch:
            if self._state == "active":
                self._state = "inactive"
            self._inputs.close()
        if self._stream is not None and not self._stream.stop():
            self.get_logger().warning("the model is still busy with its last frame")

    def _release(self) -> None:
        self._stop()
        stream, self._stream, self._segmenter = self._stream, None, None
        if stream is not None:
            stream.close()
        if self._outputs is not None:
            self._outputs.destroy()
            self._outputs = None

    def _push_frame(self, stamp_ns: int, decode: Callable[[], Any], header: Message) -> None:
        stream = self._stream
        if stream is not None:
            stream.push_frame(stamp_ns, decode, header)

    def _push_audio(self, stamp_ns: int, samples: Any, rate_hz: float) -> None:
        stream = self._stream
        if stream is not None:
            stream.push_audio(stamp_ns, samples, rate_hz)

    def _publish_answer(self, segmentation: Segmentation, pair: Pair) -> None:
        """Called in the pipeline's thread with each answer."""
        outputs = self._outputs
        stream = self._stream
        if outputs is None or stream is None:
            return
        latency_ms = (self._now_ns() - pair.stamp_ns) * 1e-6
        stream.note_age(latency_ms)
        processing_ms = segmentation.ms["step"] + segmentation.ms["postprocess"]
        outputs.publish(
            Answer(
                segmentation, pair.frame, pair.context, self._inputs.camera_info,  # type: ignore[arg-type]
                latency_ms, processing_ms, pair.sync_error_ms,
            )
        )

    def _on_stream_error(self, error: Exception) -> None:
        self.get_logger().error(
            f"frame lost: {type(error).__name__}: {error}", throttle_duration_sec=5.0
        )

    def _on_time_jump(self, jump: Any) -> None:
        self._reset_stream()

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _apply_settings(self, values: Mapping[str, Any]) -> None:
        """Take over changed parameters; raises to refuse them."""
        if self._stream is not None:
            self._stream.apply(values)
        changed = values["threshold"] != self._settings["threshold"]
        if changed and self._state == "active" and self._outputs is not None:
            self._outputs.publish_label_info(values["threshold"], self._now_ns())

    def _on_enable(self, request: Any, response: Any) -> Any:
        """Stop or resume listening; the model stays loaded."""
        with self._switch:
            self._enabled = bool(request.data)
            if self._state == "active" and self._enabled:
                self._inputs.open()
            elif not self._enabled:
                self._inputs.close()
                self._reset_stream()
        response.success = True
        response.message = (
            f"{'enabled' if self._enabled else 'disabled'}, the node is {self._state}"
        )
        return response

    def _on_reset(self, request: Any, response: Any) -> Any:
        """Forget the past: frames, sound, the model's memory."""
        response.success = self._reset_stream()
        response.message = (
            "the stream starts anew" if response.success
            else f"nothing to reset: the node is {self._state}"
        )
        return response

    def _reset_stream(self) -> bool:
        if self._stream is None:
            return False
        self._stream.reset()
        return True

    def _stream_state(self) -> StreamState:
        state = StreamState(
            state=self._state, enabled=self._enabled, failure=self._failure,
            malformed=self._malformed.counts(), sentences=self._malformed.sentences(),
            inputs=self._inputs.describe(), problems=dict(self._inputs.problems),
        )
        if (segmenter := self._segmenter) is not None:
            state.model = {
                "model": segmenter.name, "engine": segmenter.engine, "device": segmenter.device,
                "middleware": MIDDLEWARE,
            }
        if (stream := self._stream) is not None:
            stream.report(state)
        return state


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is interrupted; returns the exit status."""
    return run_node(SegmentationNode, args)
