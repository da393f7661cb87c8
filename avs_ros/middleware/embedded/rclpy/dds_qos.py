"""Quality of service: from rclpy's profiles to DDS policies and back."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from cyclonedds.core import Policy, Qos

from .duration import Duration, Infinite
from .qos import (
    DeadlineBestAvailable,
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)

_UNSPECIFIED = Duration()

_POLICY_IDS = {
    2: QoSPolicyKind.DURABILITY,
    4: QoSPolicyKind.DEADLINE,
    8: QoSPolicyKind.LIVELINESS,
    11: QoSPolicyKind.RELIABILITY,
    13: QoSPolicyKind.HISTORY,
    21: QoSPolicyKind.LIFESPAN,
}
"""Numbers of the DDS specification (section 2.3.3)."""


def policy_kind(policy_id: int) -> QoSPolicyKind:
    """Name the policy that DDS reports as incompatible by its number."""
    return _POLICY_IDS.get(policy_id, QoSPolicyKind.INVALID)


def _history(profile: QoSProfile) -> Any:
    if profile.history == HistoryPolicy.KEEP_ALL:
        return Policy.History.KeepAll
    return Policy.History.KeepLast(profile.depth or 1)


def to_dds(profile: QoSProfile, user_data: bytes, is_writer: bool) -> Qos:
    """Give the DDS policies of a profile whose values are all decided.

    As in ROS 2, "system default" means reliable and volatile, and a depth of 0 means 1.
    """
    history = _history(profile)
    policies: list[Any] = [
        history,
        Policy.DataRepresentation(use_cdrv0_representation=True),
        Policy.Userdata(user_data),
    ]
    if profile.reliability == ReliabilityPolicy.BEST_EFFORT:
        policies.append(Policy.Reliability.BestEffort)
    else:
        policies.append(Policy.Reliability.Reliable(Infinite.nanoseconds))
    if profile.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        policies.append(Policy.Durability.TransientLocal)
        if is_writer:
            # What latecomers get is a matter of this policy in DDS, not of the history.
            policies.append(Policy.DurabilityService(0, history, -1, -1, -1))
    else:
        policies.append(Policy.Durability.Volatile)
    if profile.deadline != _UNSPECIFIED:
        policies.append(Policy.Deadline(profile.deadline.nanoseconds))
    lease = profile.liveliness_lease_duration
    lease_ns = (Infinite if lease == _UNSPECIFIED else lease).nanoseconds
    if profile.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC:
        policies.append(Policy.Liveliness.ManualByTopic(lease_ns))
    else:
        policies.append(Policy.Liveliness.Automatic(lease_ns))
    if not is_writer:
        # Names inside a type object differ between implementations; the layout is what counts.
        policies.append(Policy.TypeConsistency.AllowTypeCoercion(ignore_member_names=True))
    else:
        policies.append(Policy.WriterDataLifecycle(autodispose=False))
        if profile.lifespan != _UNSPECIFIED:
            policies.append(Policy.Lifespan(profile.lifespan.nanoseconds))
    return Qos(*policies)


def from_dds(qos: Qos) -> QoSProfile:
    """Give the profile of an endpoint on the graph; history is only known of our own."""
    profile = QoSProfile(history=HistoryPolicy.UNKNOWN, depth=0)
    if Policy.History in qos:
        history = qos[Policy.History]
        if history is Policy.History.KeepAll:
            profile.history = HistoryPolicy.KEEP_ALL
        else:
            profile.history, profile.depth = HistoryPolicy.KEEP_LAST, history.depth
    if Policy.Reliability in qos:
        best_effort = qos[Policy.Reliability] is Policy.Reliability.BestEffort
        profile.reliability = (
            ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
        )
    else:
        profile.reliability = ReliabilityPolicy.UNKNOWN
    if Policy.Durability in qos:
        volatile = qos[Policy.Durability] is Policy.Durability.Volatile
        profile.durability = (
            DurabilityPolicy.VOLATILE if volatile else DurabilityPolicy.TRANSIENT_LOCAL
        )
    else:
        profile.durability = DurabilityPolicy.UNKNOWN
    profile.deadline = _duration(qos[Policy.Deadline].deadline if Policy.Deadline in qos else None)
    profile.lifespan = _duration(qos[Policy.Lifespan].lifespan if Policy.Lifespan in qos else None)
    profile.liveliness = LivelinessPolicy.AUTOMATIC
    lease_ns = None
    if Policy.Liveliness in qos:
        liveliness = qos[Policy.Liveliness]
        lease_ns = liveliness.lease_duration
        if isinstance(liveliness, Policy.Liveliness.ManualByTopic):
            profile.liveliness = LivelinessPolicy.MANUAL_BY_TOPIC
    profile.liveliness_lease_duration = _duration(lease_ns)
    return profile


def _duration(nanoseconds: int | None) -> Duration:
    return Infinite if nanoseconds is None else Duration(nanoseconds=nanoseconds)


def decide_best_available(
    profile: QoSProfile, others: Iterable[QoSProfile], is_writer: bool
) -> QoSProfile:
    """Replace every "best available" by what reaches all of ``others`` at the best service."""
    decided = copy.copy(profile)
    others = list(others)
    if decided.reliability == ReliabilityPolicy.BEST_AVAILABLE:
        reliable = is_writer or all(
            other.reliability != ReliabilityPolicy.BEST_EFFORT for other in others
        )
        decided.reliability = (
            ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        )
    if decided.durability == DurabilityPolicy.BEST_AVAILABLE:
        latched = is_writer or (bool(others) and all(
            other.durability == DurabilityPolicy.TRANSIENT_LOCAL for other in others
        ))
        decided.durability = (
            DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        )
    if decided.liveliness == LivelinessPolicy.BEST_AVAILABLE:
        decided.liveliness = LivelinessPolicy.AUTOMATIC
    for name in ("deadline", "liveliness_lease_duration"):
        if getattr(decided, name) == DeadlineBestAvailable:
            setattr(decided, name, _UNSPECIFIED)
    return decided
