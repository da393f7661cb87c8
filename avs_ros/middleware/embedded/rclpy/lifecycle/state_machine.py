"""The state machine of managed nodes: four primary states, six that transitions pass through.

Facts from the ROS 2 design article "Managed nodes"; the numbers are those of
``lifecycle_msgs/msg/State`` and ``lifecycle_msgs/msg/Transition``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from avs_ros.errors import MiddlewareError


class RCLError(MiddlewareError, RuntimeError):
    """A transition that does not start in the present state."""


class TransitionCallbackReturn(IntEnum):
    """What a transition callback gives back."""

    SUCCESS = 97
    FAILURE = 98
    ERROR = 99

    def to_label(self) -> str:
        """Give the label of the transition that this outcome triggers."""
        return f"transition_{self.name.lower()}"


class LifecycleState(NamedTuple):
    """A state's name and number."""

    label: str
    state_id: int


class LifecycleTransition(NamedTuple):
    """An edge of the graph."""

    id: int
    label: str
    start: LifecycleState
    goal: LifecycleState


STATES = tuple(
    LifecycleState(label, number)
    for label, number in (
        ("unknown", 0),
        ("unconfigured", 1),
        ("inactive", 2),
        ("active", 3),
        ("finalized", 4),
        ("configuring", 10),
        ("cleaningup", 11),
        ("shuttingdown", 12),
        ("activating", 13),
        ("deactivating", 14),
        ("errorprocessing", 15),
    )
)
_BY_LABEL = {state.label: state for state in STATES}

CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4
SHUTDOWN = {"unconfigured": 5, "inactive": 6, "active": 7}

# number, label, start, goal
TRANSITIONS = tuple(
    LifecycleTransition(number, label, _BY_LABEL[start], _BY_LABEL[goal])
    for number, label, start, goal in (
        (CONFIGURE, "configure", "unconfigured", "configuring"),
        (10, "transition_success", "configuring", "inactive"),
        (11, "transition_failure", "configuring", "unconfigured"),
        (12, "transition_error", "configuring", "errorprocessing"),
        (CLEANUP, "cleanup", "inactive", "cleaningup"),
        (20, "transition_success", "cleaningup", "unconfigured"),
        (21, "transition_failure", "cleaningup", "inactive"),
        (22, "transition_error", "cleaningup", "errorprocessing"),
        (ACTIVATE, "activate", "inactive", "activating"),
        (30, "transition_success", "activating", "active"),
        (31, "transition_failure", "activating", "inactive"),
        (32, "transition_error", "activating", "errorprocessing"),
        (DEACTIVATE, "deactivate", "active", "deactivating"),
        (40, "transition_success", "deactivating", "inactive"),
        (41, "transition_failure", "deactivating", "active"),
        (42, "transition_error", "deactivating", "errorprocessing"),
        (SHUTDOWN["unconfigured"], "shutdown", "unconfigured", "shuttingdown"),
        (SHUTDOWN["inactive"], "shutdown", "inactive", "shuttingdown"),
        (SHUTDOWN["active"], "shutdown", "active", "shuttingdown"),
        (50, "transition_success", "shuttingdown", "finalized"),
        (51, "transition_failure", "shuttingdown", "finalized"),
        (52, "transition_error", "shuttingdown", "errorprocessing"),
        (60, "transition_success", "errorprocessing", "unconfigured"),
        (61, "transition_failure", "errorprocessing", "finalized"),
        (62, "transition_error", "errorprocessing", "finalized"),
    )
)


class LifecycleStateMachine:
    """The present state and the moves out of it."""

    def __init__(self) -> None:
        self.state = _BY_LABEL["unconfigured"]

    @property
    def current_state(self) -> tuple[int, str]:
        """Number and label of the present state, in rclpy's order."""
        return self.state.state_id, self.state.label

    def available_transitions(self) -> list[LifecycleTransition]:
        """Give the edges that leave the present state."""
        return [one for one in TRANSITIONS if one.start == self.state]

    def transition_by_label(self, label: str) -> LifecycleTransition:
        """Find an edge out of the present state; raises ``RCLError`` when there is none."""
        for one in self.available_transitions():
            if one.label == label:
                return one
        raise RCLError(f"No transition matching {label} found for {self._here()}")

    def transition_by_id(self, number: int) -> LifecycleTransition:
        """Find an edge out of the present state; raises ``RCLError`` when there is none."""
        for one in self.available_transitions():
            if one.id == number:
                return one
        raise RCLError(f"No transition matching {number} found for {self._here()}")

    def follow(self, transition: LifecycleTransition) -> None:
        """Go to the edge's goal."""
        self.state = transition.goal

    def _here(self) -> str:
        return f"current state {self.state.label}"
