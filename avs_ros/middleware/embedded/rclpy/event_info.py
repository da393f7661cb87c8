"""What events tell: how often something happened, and what."""

from __future__ import annotations

from dataclasses import dataclass

from .qos import QoSPolicyKind


@dataclass(frozen=True)
class CountedInfo:
    """How often it happened, in all and since the last report."""

    total_count: int
    total_count_change: int


@dataclass(frozen=True)
class QoSRequestedDeadlineMissedInfo(CountedInfo):
    """A topic was silent for longer than the requested deadline."""


@dataclass(frozen=True)
class QoSOfferedDeadlineMissedInfo(CountedInfo):
    """The publisher was silent for longer than the deadline it offers."""


@dataclass(frozen=True)
class QoSLivelinessLostInfo(CountedInfo):
    """The publisher did not assert its liveliness in time."""


@dataclass(frozen=True)
class QoSMessageLostInfo(CountedInfo):
    """Messages were lost on the way."""


@dataclass(frozen=True)
class QoSRequestedIncompatibleQoSInfo(CountedInfo):
    """A peer was found whose QoS does not fit; ``last_policy_kind`` names the policy."""

    last_policy_kind: QoSPolicyKind


QoSOfferedIncompatibleQoSInfo = QoSRequestedIncompatibleQoSInfo


@dataclass(frozen=True)
class QoSLivelinessChangedInfo:
    """Publishers came to life or were given up."""

    alive_count: int
    not_alive_count: int
    alive_count_change: int
    not_alive_count_change: int


@dataclass(frozen=True)
class MatchedInfo(CountedInfo):
    """Peers came or went: in all so far, and at present."""

    current_count: int
    current_count_change: int


@dataclass(frozen=True)
class QoSSubscriptionMatchedInfo(MatchedInfo):
    """Publishers came or went."""


@dataclass(frozen=True)
class QoSPublisherMatchedInfo(MatchedInfo):
    """Subscriptions came or went."""
