"""How others see and steer a managed node: five services and the topic ``~/transition_event``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...interfaces import get_message, get_service
from ..callback_groups import CallbackGroup
from ..logging import get_logger
from ..node import Node
from ..qos import QoSProfile, qos_profile_services_default
from .state_machine import (
    STATES,
    TRANSITIONS,
    LifecycleState,
    LifecycleStateMachine,
    LifecycleTransition,
    RCLError,
    TransitionCallbackReturn,
)

# Requests and responses are made at run time, so there is no static type for them.
Message = Any
_EVENT_DEPTH = 10


class LifecycleServices:
    """The communication interface of one managed node."""

    def __init__(
        self,
        node: Node,
        machine: LifecycleStateMachine,
        change_state: Callable[[int], TransitionCallbackReturn],
        callback_group: CallbackGroup | None,
    ) -> None:
        """Create the services; ``change_state`` runs a transition given by its number."""
        self._machine = machine
        self._change_state = change_state
        self._event_type = get_message("lifecycle_msgs/msg/TransitionEvent")
        # Through the base class, because a managed node may override create_publisher.
        self._events = Node.create_publisher(
            node, self._event_type, "~/transition_event", QoSProfile(depth=_EVENT_DEPTH)
        )
        for service, name, callback in (
            ("ChangeState", "change_state", self._on_change_state),
            ("GetState", "get_state", self._on_get_state),
            ("GetAvailableStates", "get_available_states", self._on_get_states),
            ("GetAvailableTransitions", "get_available_transitions", self._on_get_transitions),
            ("GetAvailableTransitions", "get_transition_graph", self._on_get_graph),
        ):
            node.create_service(
                get_service(f"lifecycle_msgs/srv/{service}"),
                f"~/{name}",
                callback,
                qos_profile=qos_profile_services_default,
                callback_group=callback_group,
            )

    def publish(self, transition: LifecycleTransition) -> None:
        """Tell that an edge was followed."""
        event: Message = self._event_type()
        event.start_state = _state(transition.start)
        event.goal_state = _state(transition.goal)
        self._events.publish(event)

    def _on_change_state(self, request: Message, response: Message) -> Message:
        number = int(request.transition.id)
        if request.transition.label:
            try:
                number = self._machine.transition_by_label(request.transition.label).id
            except RCLError as error:
                get_logger("rcl_lifecycle").warning(str(error))
                response.success = False
                return response
        response.success = self._change_state(number) is TransitionCallbackReturn.SUCCESS
        return response

    def _on_get_state(self, request: Message, response: Message) -> Message:
        response.current_state = _state(self._machine.state)
        return response

    def _on_get_states(self, request: Message, response: Message) -> Message:
        response.available_states = [_state(state) for state in STATES]
        return response

    def _on_get_transitions(self, request: Message, response: Message) -> Message:
        response.available_transitions = _descriptions(self._machine.available_transitions())
        return response

    def _on_get_graph(self, request: Message, response: Message) -> Message:
        response.available_transitions = _descriptions(TRANSITIONS)
        return response


def _state(state: LifecycleState) -> Message:
    message: Message = get_message("lifecycle_msgs/msg/State")()
    message.id, message.label = state.state_id, state.label
    return message


def _descriptions(transitions: Iterable[LifecycleTransition]) -> list[Message]:
    messages = []
    for transition in transitions:
        message: Message = get_message("lifecycle_msgs/msg/TransitionDescription")()
        message.transition.id, message.transition.label = transition.id, transition.label
        message.start_state = _state(transition.start)
        message.goal_state = _state(transition.goal)
        messages.append(message)
    return messages
