"""Changing parameters of a node: checks, callbacks, and the event that tells others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..interfaces import get_message
from .parameter import Parameter
from .parameter_descriptors import refusal
from .parameter_exceptions import (
    InvalidParameterValueException,
    ParameterImmutableException,
    ParameterNotDeclaredException,
)
from .qos import qos_profile_parameter_events

# Message classes are made at run time, so there is no static type for them.
Message = Any
PreSetCallback = Callable[[list[Parameter]], list[Parameter]]
OnSetCallback = Callable[[list[Parameter]], Message]
PostSetCallback = Callable[[list[Parameter]], None]


def make_descriptor() -> Message:
    """Make an empty ``rcl_interfaces/msg/ParameterDescriptor``."""
    return get_message("rcl_interfaces/msg/ParameterDescriptor")()


def make_result(reason: str = "") -> Message:
    """Make an ``rcl_interfaces/msg/SetParametersResult``; without a reason it is a success."""
    result: Message = get_message("rcl_interfaces/msg/SetParametersResult")()
    result.successful = not reason
    result.reason = reason
    return result


class ParameterSettingMixin:
    """The setters of ``rclpy.node.Node`` and their callbacks."""

    # What Node gives.
    get_name: Callable[[], str]
    get_namespace: Callable[[], str]
    get_clock: Callable[[], Any]
    create_publisher: Callable[..., Any]

    def _init_setting(self, allow_undeclared_parameters: bool) -> None:
        self._parameters: dict[str, Parameter] = {}
        self._descriptors: dict[str, Message] = {}
        self._allow_undeclared_parameters = allow_undeclared_parameters
        self._pre_set_parameters_callbacks: list[PreSetCallback] = []
        self._on_set_parameters_callbacks: list[OnSetCallback] = []
        self._post_set_parameters_callbacks: list[PostSetCallback] = []
        self._parameter_event_publisher = self.create_publisher(
            get_message("rcl_interfaces/msg/ParameterEvent"),
            "/parameter_events",
            qos_profile_parameter_events,
        )

    def set_parameters(self, parameter_list: list[Parameter]) -> list[Message]:
        """Set each parameter by itself and give one result for each.

        Raises ``ParameterNotDeclaredException`` at the first one that is not declared.
        """
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> Message:
        """Set all parameters or none and give one result.

        Raises ``ParameterNotDeclaredException`` when one is not declared.
        """
        if self._pre_set_parameters_callbacks:
            given = parameter_list
            parameter_list = []
            for callback in self._pre_set_parameters_callbacks:
                parameter_list.extend(callback(given))
            if not parameter_list:
                return make_result(
                    "parameter list cannot be empty, this might be due to "
                    "pre_set_parameters_callback modifying the original parameters list."
                )
        if not all(isinstance(parameter, Parameter) for parameter in parameter_list):
            raise TypeError(f"parameter must be instance of type '{Parameter!r}'")
        unknown = [one.name for one in parameter_list if one.name not in self._parameters]
        if unknown and not self._allow_undeclared_parameters:
            raise ParameterNotDeclaredException(unknown)
        return self._apply(parameter_list)

    def _apply(
        self,
        parameter_list: list[Parameter],
        descriptors: dict[str, Message] | None = None,
        keep_not_set: bool = False,
    ) -> Message:
        """Check and store parameters, and tell the callbacks and the event topic.

        ``descriptors``: this is a declaration (read-only parameters may be set);
        ``keep_not_set``: store a parameter without a value rather than forget it.
        """
        known = self._descriptors if descriptors is None else descriptors
        for parameter in parameter_list:
            if parameter.name not in known:
                continue
            reason = refusal(
                parameter,
                known[parameter.name],
                declared=parameter.name in self._parameters,
                check_read_only=descriptors is None,
            )
            if reason:
                return make_result(reason)
        for callback in self._on_set_parameters_callbacks:
            result = callback(parameter_list)
            if not result.successful:
                return result
        event: Message = get_message("rcl_interfaces/msg/ParameterEvent")()
        event.node = f"{self.get_namespace().rstrip('/')}/{self.get_name()}"
        new: list[Message] = []
        changed: list[Message] = []
        deleted: list[Message] = []
        for parameter in parameter_list:
            if parameter.type_ is Parameter.Type.NOT_SET and not keep_not_set:
                self._parameters.pop(parameter.name, None)
                self._descriptors.pop(parameter.name, None)
                deleted.append(parameter.to_parameter_msg())
                continue
            before = self._parameters.get(parameter.name)
            was_set = before is not None and before.type_ is not Parameter.Type.NOT_SET
            (changed if was_set else new).append(parameter.to_parameter_msg())
            self._keep(parameter, descriptors)
        event.new_parameters, event.changed_parameters = new, changed
        event.deleted_parameters = deleted
        event.stamp = self.get_clock().now().to_msg()
        self._parameter_event_publisher.publish(event)
        for callback in self._post_set_parameters_callbacks:
            callback(parameter_list)
        return make_result()

    def _keep(self, parameter: Parameter, descriptors: dict[str, Message] | None) -> None:
        if descriptors is not None:
            self._descriptors[parameter.name] = descriptors[parameter.name]
        elif parameter.name not in self._descriptors:
            # Undeclared but allowed: it may take any type from now on.
            descriptor = make_descriptor()
            descriptor.dynamic_typing = True
            self._descriptors[parameter.name] = descriptor
        self._parameters[parameter.name] = parameter

    def set_descriptor(
        self, name: str, descriptor: Message, alternative_value: Message | None = None
    ) -> Message:
        """Replace a descriptor; give the ``ParameterValue`` that holds afterwards.

        ``alternative_value`` (a ``ParameterValue``) is taken when the present one does not fit.
        Raises ``ParameterNotDeclaredException``, ``ParameterImmutableException``, or
        ``InvalidParameterValueException`` when neither value fits.
        """
        if name not in self._parameters:
            if self._allow_undeclared_parameters:
                return Parameter(name, Parameter.Type.NOT_SET).get_parameter_value()
            raise ParameterNotDeclaredException(name)
        if self._descriptors[name].read_only:
            raise ParameterImmutableException(name)
        candidates = [self._parameters[name]]
        if alternative_value is not None:
            message: Message = get_message("rcl_interfaces/msg/Parameter")()
            message.name, message.value = name, alternative_value
            candidates.append(Parameter.from_parameter_msg(message))
        reason = ""
        for candidate in candidates:
            reason = refusal(candidate, descriptor, declared=True, check_read_only=False)
            if not reason:
                self._parameters[name] = candidate
                self._descriptors[name] = descriptor
                return candidate.get_parameter_value()
        raise InvalidParameterValueException(name, candidates[-1].value, reason)

    def add_pre_set_parameters_callback(self, callback: PreSetCallback) -> None:
        """Call ``callback`` before the checks; the list that it gives back is set instead."""
        self._pre_set_parameters_callbacks.insert(0, callback)

    def add_on_set_parameters_callback(self, callback: OnSetCallback) -> None:
        """Ask ``callback`` (gives a ``SetParametersResult``) whether values may be set."""
        self._on_set_parameters_callbacks.insert(0, callback)

    def add_post_set_parameters_callback(self, callback: PostSetCallback) -> None:
        """Call ``callback`` after values were set."""
        self._post_set_parameters_callbacks.insert(0, callback)

    def remove_pre_set_parameters_callback(self, callback: PreSetCallback) -> None:
        """Undo ``add_pre_set_parameters_callback``; raises ``ValueError`` when unknown."""
        self._pre_set_parameters_callbacks.remove(callback)

    def remove_on_set_parameters_callback(self, callback: OnSetCallback) -> None:
        """Undo ``add_on_set_parameters_callback``; raises ``ValueError`` when unknown."""
        self._on_set_parameters_callbacks.remove(callback)

    def remove_post_set_parameters_callback(self, callback: PostSetCallback) -> None:
        """Undo ``add_post_set_parameters_callback``; raises ``ValueError`` when unknown."""
        self._post_set_parameters_callbacks.remove(callback)
