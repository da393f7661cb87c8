"""QoS that the user may override by parameters ``qos_overrides.<topic>.<entity>.<policy>``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any

from . import qos as qos_module
from .duration import Duration
from .parameter import Parameter
from .parameter_exceptions import ParameterAlreadyDeclaredException
from .parameter_setting import make_descriptor
from .qos import QoSPolicyKind, QoSProfile

if TYPE_CHECKING:
    from .node import Node

# Gives an rcl_interfaces/msg/SetParametersResult.
QosCallbackType = Callable[[QoSProfile], Any]

_ENUMS = ("HISTORY", "RELIABILITY", "DURABILITY", "LIVELINESS")
_DURATIONS = ("DEADLINE", "LIFESPAN", "LIVELINESS_LEASE_DURATION")


class InvalidQosOverridesError(Exception):
    """The validation callback refused the QoS that came out of the overrides."""


class QoSOverridingOptions:
    """Which policies of one publisher or subscription may be overridden."""

    def __init__(
        self,
        policy_kinds: Iterable[QoSPolicyKind],
        *,
        callback: QosCallbackType | None = None,
        entity_id: str | None = None,
    ) -> None:
        """Choose policies, a ``callback`` that checks the outcome, and an ``entity_id``.

        The id tells several publishers or subscriptions of one topic apart.
        """
        self._policy_kinds = policy_kinds
        self._callback = callback
        self._entity_id = entity_id

    @property
    def policy_kinds(self) -> Iterable[QoSPolicyKind]:
        """Policies that get a parameter."""
        return self._policy_kinds

    @property
    def callback(self) -> QosCallbackType | None:
        """Check of the outcome."""
        return self._callback

    @property
    def entity_id(self) -> str | None:
        """Suffix of the parameters' names."""
        return self._entity_id

    @classmethod
    def with_default_policies(
        cls, *, callback: QosCallbackType | None = None, entity_id: str | None = None
    ) -> QoSOverridingOptions:
        """Allow history, depth and reliability."""
        return cls(
            (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY),
            callback=callback,
            entity_id=entity_id,
        )


def declare_qos_parameters(
    entity_type: str,
    node: Node,
    topic_name: str,
    qos: QoSProfile,
    options: QoSOverridingOptions,
) -> None:
    """Declare the parameters of one entity and put their values into ``qos``.

    ``entity_type`` is ``"publisher"`` or ``"subscription"``; ``topic_name`` is the resolved name.
    Raises ``RuntimeError`` for a value that no policy has, ``InvalidQosOverridesError`` when the
    callback refuses the outcome.
    """
    suffix = "" if options.entity_id is None else f"_{options.entity_id}"
    prefix = f"qos_overrides.{topic_name}.{entity_type}{suffix}"
    for policy in options.policy_kinds:
        # A reader has no say in how long samples live.
        if entity_type == "subscription" and policy.name == "LIFESPAN":
            continue
        field = policy.name.lower()
        descriptor = make_descriptor()
        descriptor.description = (
            f"{field} for {entity_type} `{topic_name}` with id `{options.entity_id}`"
        )
        descriptor.read_only = True
        name = f"{prefix}.{field}"
        try:
            parameter = node.declare_parameter(name, _to_parameter(qos, field), descriptor)
        except ParameterAlreadyDeclaredException:
            parameter = node.get_parameter(name)
        setattr(qos, field, _from_parameter(policy, parameter))
    if options.callback is not None:
        result = options.callback(qos)
        if not result.successful:
            raise InvalidQosOverridesError(
                f"Provided QoS overrides for {entity_type} `{topic_name}` with id "
                f"`{options.entity_id}`, are not valid: {result.reason}"
            )


def _to_parameter(qos: QoSProfile, field: str) -> Any:
    value = getattr(qos, field)
    if isinstance(value, Enum):
        if value.name == "UNKNOWN":
            raise ValueError("User provided QoS profile is invalid")
        return value.name.lower()
    return value.nanoseconds if isinstance(value, Duration) else value


def _from_parameter(policy: QoSPolicyKind, parameter: Parameter) -> Any:
    if policy.name in _ENUMS:
        policies = getattr(qos_module, f"{policy.name.capitalize()}Policy")
        try:
            return policies[parameter.value.upper()]
        except KeyError:
            raise RuntimeError(
                f"Unexpected QoS override for policy `{policy.name.lower()}`: "
                f"`{parameter.value}`"
            ) from None
    return Duration(nanoseconds=parameter.value) if policy.name in _DURATIONS else parameter.value
