"""Managed nodes of the embedded runtime: every transition, errors, managed entities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("cyclonedds", reason="the embedded runtime needs cyclonedds")

from avs_ros.middleware.embedded import rclpy
from avs_ros.middleware.embedded.interfaces import get_message
from avs_ros.middleware.embedded.rclpy import lifecycle
from avs_ros.middleware.embedded.rclpy.lifecycle import (
    LifecycleNode,
    LifecycleState,
    ManagedEntity,
    SimpleManagedEntity,
    TransitionCallbackReturn,
)
from avs_ros.middleware.embedded.rclpy.lifecycle.state_machine import (
    STATES,
    TRANSITIONS,
    LifecycleStateMachine,
    RCLError,
)

SUCCESS, FAILURE, ERROR = TransitionCallbackReturn


class Recorder(LifecycleNode):
    """Answers each callback as told and remembers which were called from which state."""

    def __init__(self, **options: Any) -> None:
        self.answers: dict[str, Any] = {}
        self.calls: list[tuple[str, str]] = []
        super().__init__("managed", **options)

    def answer(self, name: str, state: LifecycleState) -> TransitionCallbackReturn:
        self.calls.append((name, state.label))
        answer = self.answers.get(name, SUCCESS)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.answer("configure", state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.answer("cleanup", state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        super().on_activate(state)
        return self.answer("activate", state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        super().on_deactivate(state)
        return self.answer("deactivate", state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.answer("shutdown", state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.answer("error", state)

    @property
    def label(self) -> str:
        return self._state_machine.current_state[1]


@pytest.fixture
def node() -> Iterator[Recorder]:
    rclpy.init(args=[])
    one = Recorder(enable_communication_interface=False)
    yield one
    one.destroy_node()
    rclpy.try_shutdown()


def test_numbers_and_labels_are_those_of_lifecycle_msgs() -> None:
    state = get_message("lifecycle_msgs/msg/State")
    transition = get_message("lifecycle_msgs/msg/Transition")
    for label, number in STATES:
        kind = "PRIMARY_STATE" if number < 10 else "TRANSITION_STATE"
        assert getattr(state, f"{kind}_{label.upper()}") == number
    assert [int(one) for one in TransitionCallbackReturn] == [
        transition.TRANSITION_CALLBACK_SUCCESS, transition.TRANSITION_CALLBACK_FAILURE,
        transition.TRANSITION_CALLBACK_ERROR]
    public = {
        (t.label if t.label != "shutdown" else f"{t.start.label}_shutdown"): t.id
        for t in TRANSITIONS if t.id < 10}
    assert public == {
        name.lower(): getattr(transition, f"TRANSITION_{name}")
        for name in ("CONFIGURE", "CLEANUP", "ACTIVATE", "DEACTIVATE", "UNCONFIGURED_SHUTDOWN",
                     "INACTIVE_SHUTDOWN", "ACTIVE_SHUTDOWN")}
    verbs = {"configuring": "CONFIGURE", "cleaningup": "CLEANUP", "activating": "ACTIVATE",
             "deactivating": "DEACTIVATE", "shuttingdown": "SHUTDOWN", "errorprocessing": "ERROR"}
    for one in TRANSITIONS:
        if one.id >= 10:
            outcome = one.label.removeprefix("transition_").upper()
            name = f"TRANSITION_ON_{verbs[one.start.label]}_{outcome}"
            assert getattr(transition, name) == one.id


def test_the_usual_round(node: Recorder) -> None:
    assert node.label == "unconfigured"
    assert node.trigger_configure() is SUCCESS and node.label == "inactive"
    assert node.trigger_activate() is SUCCESS and node.label == "active"
    assert node.trigger_deactivate() is SUCCESS and node.label == "inactive"
    assert node.trigger_cleanup() is SUCCESS and node.label == "unconfigured"
    assert node.trigger_shutdown() is SUCCESS and node.label == "finalized"
    assert node.calls == [
        ("configure", "unconfigured"), ("activate", "inactive"), ("deactivate", "active"),
        ("cleanup", "inactive"), ("shutdown", "unconfigured")]
    with pytest.raises(RCLError, match="not possible"):
        node.trigger_shutdown()


@pytest.mark.parametrize(("way", "verb", "stays"), [
    ([], "configure", "unconfigured"), (["configure"], "cleanup", "inactive"),
    (["configure"], "activate", "inactive"), (["configure", "activate"], "deactivate", "active"),
])
def test_a_failure_leaves_the_node_where_it_was(
    node: Recorder, way: list[str], verb: str, stays: str
) -> None:
    for step in way:
        getattr(node, f"trigger_{step}")()
    node.answers[verb] = FAILURE
    assert getattr(node, f"trigger_{verb}")() is FAILURE
    assert node.label == stays
    assert "error" not in [name for name, _ in node.calls]


@pytest.mark.parametrize("start", ["unconfigured", "inactive", "active"])
def test_shutdown_finalizes_from_everywhere_even_if_it_fails(node: Recorder, start: str) -> None:
    for step in {"unconfigured": [], "inactive": ["configure"],
                 "active": ["configure", "activate"]}[start]:
        getattr(node, f"trigger_{step}")()
    node.answers["shutdown"] = FAILURE
    assert node.trigger_shutdown() is FAILURE
    assert node.label == "finalized" and node.calls[-1] == ("shutdown", start)


@pytest.mark.parametrize(("recovery", "ends"), [
    (SUCCESS, "unconfigured"), (FAILURE, "finalized"), (ERROR, "finalized"),
    (RuntimeError("again"), "finalized"),
])
@pytest.mark.parametrize("trouble", [ERROR, ValueError("broken weights")])
def test_errors_are_processed(
    node: Recorder, trouble: Any, recovery: Any, ends: str, capsys: pytest.CaptureFixture[str]
) -> None:
    node.trigger_configure()
    node.answers.update(activate=trouble, error=recovery)
    assert node.trigger_activate() is ERROR
    assert node.label == ends
    assert node.calls[-1] == ("error", "inactive")
    if isinstance(trouble, Exception):
        assert "broken weights" in capsys.readouterr().err


def test_a_transition_that_does_not_start_here_changes_nothing(
    node: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in ("activate", "deactivate", "cleanup"):
        assert getattr(node, f"trigger_{verb}")() is ERROR
    assert node.label == "unconfigured" and node.calls == []
    assert "Unable to start transition 3 from current state" in capsys.readouterr().err


def test_a_callback_must_answer(node: Recorder) -> None:
    node.answers["configure"] = None
    with pytest.raises(TypeError, match="on_configure"):
        node.trigger_configure()


def test_managed_entities_follow_until_one_gives_up() -> None:
    rclpy.init(args=[])

    class Part(ManagedEntity):
        def __init__(self, answer: Any = SUCCESS) -> None:
            self.answer, self.calls = answer, 0

        def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
            self.calls += 1
            return self.answer

    node = LifecycleNode("parts", enable_communication_interface=False)
    first, second, third = Part(), Part(FAILURE), Part()
    for part in (first, second, third):
        node.add_managed_entity(part)
    with pytest.raises(TypeError):
        node.add_managed_entity("no entity")  # type: ignore[arg-type]
    assert node.trigger_configure() is FAILURE
    assert (first.calls, second.calls, third.calls) == (1, 1, 0)
    second.answer = None
    assert node.trigger_configure() is ERROR
    assert node._state_machine.current_state == (1, "unconfigured")
    node.destroy_node()
    rclpy.try_shutdown()


def test_simple_entities_work_only_while_enabled() -> None:
    calls: list[Any] = []

    class Lamp(SimpleManagedEntity):
        @SimpleManagedEntity.when_enabled
        def shine(self, colour: str) -> None:
            calls.append(colour)

        @SimpleManagedEntity.when_enabled(when_not_enabled=lambda: calls.append("off"))
        def blink(self) -> None:
            calls.append("blink")

    lamp, state = Lamp(), LifecycleState("inactive", 2)
    lamp.shine("red")
    lamp.blink()
    lamp.on_activate(state)
    assert lamp.is_activated
    lamp.shine("green")
    lamp.blink()
    lamp.on_deactivate(state)
    lamp.shine("blue")
    assert calls == ["off", "green", "blink"]


def test_short_names_and_machine_errors() -> None:
    assert lifecycle.Node is LifecycleNode and lifecycle.State is LifecycleState
    machine = LifecycleStateMachine()
    with pytest.raises(RCLError, match="No transition matching fly"):
        machine.transition_by_label("fly")
    with pytest.raises(TypeError, match="publisher_class"):
        LifecycleNode.create_lifecycle_publisher(
            None, str, "x", 1, publisher_class=object)  # type: ignore[arg-type]
