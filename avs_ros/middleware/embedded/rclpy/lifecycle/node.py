"""``LifecycleNode``: a node that is configured, activated, deactivated and cleaned up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from ..callback_groups import CallbackGroup
from ..node import Node
from ..qos import QoSProfile
from .managed_entity import ManagedEntity
from .publisher import LifecyclePublisher
from .services import LifecycleServices
from .state_machine import (
    ACTIVATE,
    CLEANUP,
    CONFIGURE,
    DEACTIVATE,
    SHUTDOWN,
    LifecycleState,
    LifecycleStateMachine,
    LifecycleTransition,
    RCLError,
    TransitionCallbackReturn,
)

Outcome = TransitionCallbackReturn


class LifecycleNodeMixin(ManagedEntity):
    """What makes a ``Node`` a managed one; only of use together with ``Node``."""

    def __init__(
        self,
        *,
        enable_communication_interface: bool = True,
        callback_group: CallbackGroup | None = None,
    ) -> None:
        """Start unconfigured.

        ``enable_communication_interface`` creates the services and ``~/transition_event``;
        ``callback_group`` is that of the services.
        """
        if not isinstance(self, Node):
            raise RuntimeError("LifecycleNodeMixin needs Node in the inheritance tree.")
        self._state_machine = LifecycleStateMachine()
        self._managed_entities: list[ManagedEntity] = []
        self._lifecycle_services = None
        if enable_communication_interface:
            self._lifecycle_services = LifecycleServices(
                self,
                self._state_machine,
                self._change_state,
                self.default_callback_group if callback_group is None else callback_group,
            )

    def trigger_configure(self) -> TransitionCallbackReturn:
        """Go from unconfigured to inactive; give what ``on_configure`` gave."""
        return self._change_state(CONFIGURE)

    def trigger_cleanup(self) -> TransitionCallbackReturn:
        """Go from inactive to unconfigured."""
        return self._change_state(CLEANUP)

    def trigger_activate(self) -> TransitionCallbackReturn:
        """Go from inactive to active."""
        return self._change_state(ACTIVATE)

    def trigger_deactivate(self) -> TransitionCallbackReturn:
        """Go from active to inactive."""
        return self._change_state(DEACTIVATE)

    def trigger_shutdown(self) -> TransitionCallbackReturn:
        """Go from any primary state to finalized; raises ``RCLError`` when finalized already."""
        number = SHUTDOWN.get(self._state_machine.state.label)
        if number is None:
            raise RCLError("Shutdown transition not possible")
        return self._change_state(number)

    def add_managed_entity(self, entity: ManagedEntity) -> None:
        """Let ``entity`` follow this node's transitions; raises ``TypeError`` for other things."""
        if not isinstance(entity, ManagedEntity):
            raise TypeError("Expected a rclpy.lifecycle.ManagedEntity instance.")
        if entity not in self._managed_entities:
            self._managed_entities.append(entity)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Configure the managed entities; give up at the first that does not succeed."""
        return self._ask_entities("on_configure", state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Clean up the managed entities."""
        return self._ask_entities("on_cleanup", state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Shut the managed entities down."""
        return self._ask_entities("on_shutdown", state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Activate the managed entities."""
        return self._ask_entities("on_activate", state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Deactivate the managed entities."""
        return self._ask_entities("on_deactivate", state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let the managed entities recover; ``SUCCESS`` leads to unconfigured."""
        return self._ask_entities("on_error", state)

    def _ask_entities(self, name: str, state: LifecycleState) -> TransitionCallbackReturn:
        for entity in self._managed_entities:
            outcome = getattr(entity, name)(state)
            if not isinstance(outcome, TransitionCallbackReturn):
                raise TypeError(
                    f"{name}() return value of class {type(entity)} should be "
                    f"`TransitionCallbackReturn`: {entity}"
                )
            if outcome is not Outcome.SUCCESS:
                return outcome
        return Outcome.SUCCESS

    def create_lifecycle_publisher(
        self, msg_type: type, topic: str, qos_profile: QoSProfile | int, **kwargs: Any
    ) -> LifecyclePublisher:
        """Create a publisher that follows this node's transitions; see ``create_publisher``."""
        if kwargs.pop("publisher_class", None):
            raise TypeError(
                "create_lifecycle_publisher() got an unexpected keyword argument "
                "'publisher_class'"
            )
        # Through the base class, because a managed node may override create_publisher.
        publisher = Node.create_publisher(
            cast(Node, self), msg_type, topic, qos_profile, publisher_class=LifecyclePublisher,
            **kwargs,
        )
        managed = cast(LifecyclePublisher, publisher)
        self._managed_entities.append(managed)
        return managed

    def destroy_lifecycle_publisher(self, publisher: LifecyclePublisher) -> bool:
        """Destroy a publisher and let it follow no more."""
        if publisher in self._managed_entities:
            self._managed_entities.remove(publisher)
        return bool(Node.destroy_publisher(cast(Node, self), publisher))

    def _follow(self, transition: LifecycleTransition) -> None:
        self._state_machine.follow(transition)
        if self._lifecycle_services is not None:
            self._lifecycle_services.publish(transition)

    def _run_callback(self, previous: LifecycleState) -> TransitionCallbackReturn:
        """Run the callback of the transition state that the node is in."""
        callbacks: dict[str, Callable[[LifecycleState], TransitionCallbackReturn]] = {
            "configuring": self.on_configure,
            "cleaningup": self.on_cleanup,
            "shuttingdown": self.on_shutdown,
            "activating": self.on_activate,
            "deactivating": self.on_deactivate,
            "errorprocessing": self.on_error,
        }
        label = self._state_machine.state.label
        callback = callbacks[label]
        try:
            outcome = callback(previous)
        except Exception as error:
            # rclpy swallows it; saying what happened costs nothing and changes nothing.
            Node.get_logger(cast(Node, self)).error(
                f"{label} failed: {type(error).__name__}: {error}"
            )
            return Outcome.ERROR
        if not isinstance(outcome, TransitionCallbackReturn):
            raise TypeError(
                f"{callback.__name__}() returned {outcome!r}, not a TransitionCallbackReturn"
            )
        return outcome

    def _change_state(self, transition_id: int) -> TransitionCallbackReturn:
        previous = self._state_machine.state
        try:
            self._follow(self._state_machine.transition_by_id(transition_id))
        except RCLError:
            Node.get_logger(cast(Node, self)).error(
                f"Unable to start transition {transition_id} from current state {previous}"
            )
            return Outcome.ERROR
        outcome = self._run_callback(previous)
        self._follow(self._state_machine.transition_by_label(outcome.to_label()))
        if outcome is Outcome.ERROR:
            recovery = self._run_callback(previous)
            self._follow(self._state_machine.transition_by_label(recovery.to_label()))
        return outcome


class LifecycleNode(LifecycleNodeMixin, Node):
    """A managed node: ``Node`` with states, transition callbacks and lifecycle services."""

    def __init__(
        self, node_name: str, *, enable_communication_interface: bool = True, **kwargs: Any
    ) -> None:
        """Take what ``Node`` and ``LifecycleNodeMixin`` take."""
        Node.__init__(self, node_name, **kwargs)
        LifecycleNodeMixin.__init__(
            self, enable_communication_interface=enable_communication_interface
        )
