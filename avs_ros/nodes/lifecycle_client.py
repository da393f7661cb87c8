"""Another node's lifecycle, driven from outside through its services."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.node import Node

from avs_ros.errors import RosError

# Primary states that the transitions lead to; a node in any other is on its way.
_GOALS = {
    "configure": "inactive", "activate": "active", "deactivate": "inactive",
    "cleanup": "unconfigured", "shutdown": "finalized",
}  # fmt: skip
_ANSWER_S = 2.0


class LifecycleClient:
    """The state of a lifecycle node, and its transitions.

    An answer may be lost: a server that has not yet discovered its client's reader drops it
    (Fast DDS waits 100 ms for it: https://github.com/ros2/rmw_fastrtps/pull/467).  So both ask
    again; before a transition is asked for a second time, the state tells whether the first
    request was heard.  An executor of the caller's has to spin ``node`` in another thread.
    """

    def __init__(self, node: Node, name: str) -> None:
        """``name``: of the lifecycle node, with its namespace (``/segmentation_node``)."""
        self._name = name
        self._changes = node.create_client(ChangeState, f"{name}/change_state")
        self._states = node.create_client(GetState, f"{name}/get_state")

    def wait_for_node(self, timeout_s: float) -> None:
        """Until the node is on the graph; raises RosError where it does not come."""
        end = time.monotonic() + timeout_s
        for client in (self._changes, self._states):
            if not client.wait_for_service(timeout_sec=max(0.0, end - time.monotonic())):
                raise RosError(f"{self._name} does not appear on the graph")

    def state(self, timeout_s: float) -> str:
        """The label of its state; raises RosError where it does not answer in ``timeout_s``."""
        end = time.monotonic() + timeout_s
        asked: list[Any] = []
        patience_s = _ANSWER_S
        while time.monotonic() < end:
            asked.append(self._states.call_async(GetState.Request()))
            if _comes(lambda: any(one.done() for one in asked), patience_s, end):
                return str(next(one for one in asked if one.done()).result().current_state.label)
            patience_s *= 2.0  # its services stand still while a transition loads a model
        raise RosError(f"waited in vain for the state of {self._name}")

    def change(self, label: str, timeout_s: float) -> bool:
        """Whether it goes through the transition; raises RosError where it does not answer."""
        end = time.monotonic() + timeout_s
        before = self.state(timeout_s)
        request = ChangeState.Request(transition=Transition(label=label))
        asked = [self._changes.call_async(request)]
        while not _comes(lambda: any(one.done() for one in asked), _ANSWER_S, end):
            now = self.state(max(0.0, end - time.monotonic()))
            if any(one.done() for one in asked) or now not in _GOALS.values():
                continue
            if now != before:
                return now == _GOALS[label]
            asked.append(self._changes.call_async(request))
        if any(one.done() and one.result().success for one in asked):
            return True
        # The second of two requests is refused where the first one has been heard.
        return len(asked) > 1 and before != _GOALS[label] == self.state(_ANSWER_S)


def _comes(condition: Callable[[], bool], seconds: float, end: float) -> bool:
    """Whether it comes true within ``seconds``, and before ``end`` on the monotonic clock."""
    end = min(end, time.monotonic() + seconds)
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
