"""Quality of service: profiles, policies and what fits what."""

from __future__ import annotations

import warnings
from enum import Enum, IntEnum
from typing import Any

from .duration import Duration, Infinite


class QoSPolicyKind(IntEnum):
    """Names of the policies, as events report them."""

    INVALID = 1 << 0
    DURABILITY = 1 << 1
    DEADLINE = 1 << 2
    LIVELINESS = 1 << 3
    RELIABILITY = 1 << 4
    HISTORY = 1 << 5
    LIFESPAN = 1 << 6
    DEPTH = 1 << 7
    LIVELINESS_LEASE_DURATION = 1 << 8
    AVOID_ROS_NAMESPACE_CONVENTIONS = 1 << 9


def qos_policy_name_from_kind(policy_kind: QoSPolicyKind | int) -> str:
    """Give the policy's name, ``RELIABILITY`` for example."""
    return QoSPolicyKind(policy_kind).name


class InvalidQoSProfileException(Exception):
    """A profile that contradicts itself."""

    def __init__(self, *args: Any) -> None:
        super().__init__("Invalid QoSProfile", *args)


class QoSPolicyEnum(IntEnum):
    """Base of the policies' values; they are known by short lower-case keys too."""

    @classmethod
    def short_keys(cls) -> list[str]:
        """Give the keys one types: ``reliable``, ``best_effort``, ..."""
        return [key.lower() for key in cls.__members__]

    @classmethod
    def get_from_short_key(cls, name: str) -> int:
        """Give the value for a key in any case; raises ``KeyError`` for another word."""
        return cls[name.upper()].value

    @property
    def short_key(self) -> str:
        """The key of this value."""
        return self.name.lower()


class HistoryPolicy(QoSPolicyEnum):
    """How many samples are kept."""

    SYSTEM_DEFAULT = 0
    KEEP_LAST = 1
    KEEP_ALL = 2
    UNKNOWN = 3


class ReliabilityPolicy(QoSPolicyEnum):
    """Whether lost samples are sent again."""

    SYSTEM_DEFAULT = 0
    RELIABLE = 1
    BEST_EFFORT = 2
    UNKNOWN = 3
    BEST_AVAILABLE = 4


class DurabilityPolicy(QoSPolicyEnum):
    """Whether late subscribers get earlier samples."""

    SYSTEM_DEFAULT = 0
    TRANSIENT_LOCAL = 1
    VOLATILE = 2
    UNKNOWN = 3
    BEST_AVAILABLE = 4


class LivelinessPolicy(QoSPolicyEnum):
    """Who says that a publisher is alive."""

    SYSTEM_DEFAULT = 0
    AUTOMATIC = 1
    MANUAL_BY_TOPIC = 3
    UNKNOWN = 4
    BEST_AVAILABLE = 5


QoSHistoryPolicy = HistoryPolicy
QoSReliabilityPolicy = ReliabilityPolicy
QoSDurabilityPolicy = DurabilityPolicy
QoSLivelinessPolicy = LivelinessPolicy

_UNSPECIFIED = Duration()


class _Policy:
    """One policy of a profile: checked when it is set."""

    def __init__(self, kind: type, doc: str) -> None:
        self._kind = kind
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name, self._slot = name, "_" + name

    def __get__(self, profile: Any, owner: type | None = None) -> Any:
        return self if profile is None else getattr(profile, self._slot)

    def __set__(self, profile: Any, value: Any) -> None:
        is_enum = issubclass(self._kind, QoSPolicyEnum)
        if not isinstance(value, int if is_enum else self._kind):
            raise TypeError(
                f"QoS policy {self._name} takes {self._kind.__name__}, not {value!r}"
            )
        if self._name == "depth" and value == 0 and profile.history == HistoryPolicy.KEEP_LAST:
            warnings.warn(
                "A zero depth with KEEP_LAST doesn't make sense; no data could be stored. "
                "This will be interpreted as SYSTEM_DEFAULT",
                stacklevel=2,
            )
        setattr(profile, self._slot, self._kind(value) if is_enum else value)


class QoSProfile:
    """A set of policies; durations of zero mean "not specified"."""

    __slots__ = [  # noqa: RUF023 - the order in which a profile is printed
        "_history",
        "_depth",
        "_reliability",
        "_durability",
        "_lifespan",
        "_deadline",
        "_liveliness",
        "_liveliness_lease_duration",
        "_avoid_ros_namespace_conventions",
    ]

    history = _Policy(HistoryPolicy, "How many samples are kept.")
    depth = _Policy(int, "Number of samples kept under KEEP_LAST.")
    reliability = _Policy(ReliabilityPolicy, "Whether losses are repaired.")
    durability = _Policy(DurabilityPolicy, "What late subscribers get.")
    lifespan = _Policy(Duration, "Age at which samples expire.")
    deadline = _Policy(Duration, "Longest time between samples.")
    liveliness = _Policy(LivelinessPolicy, "Who asserts liveliness.")
    liveliness_lease_duration = _Policy(Duration, "Time within which to assert liveliness.")
    avoid_ros_namespace_conventions = _Policy(bool, "Use the topic name as it is.")

    def __init__(self, **kwargs: Any) -> None:
        """Take policies by name; ``depth`` or ``history`` must be among them.

        Raises ``InvalidQoSProfileException`` without them, ``TypeError`` for a wrong name or type.
        """
        wrong = [key for key in kwargs if "_" + key not in self.__slots__]
        if wrong:
            raise TypeError(f"Invalid arguments passed to constructor: {wrong}")
        if "history" not in kwargs:
            if "depth" not in kwargs:
                raise InvalidQoSProfileException("History and/or depth settings are required.")
            kwargs["history"] = HistoryPolicy.KEEP_LAST
        self.history = kwargs["history"]
        if self.history == HistoryPolicy.KEEP_LAST and "depth" not in kwargs:
            raise InvalidQoSProfileException("History set to KEEP_LAST without a depth setting.")
        self.depth = kwargs.get("depth", 10)
        self.reliability = kwargs.get("reliability", ReliabilityPolicy.RELIABLE)
        self.durability = kwargs.get("durability", DurabilityPolicy.VOLATILE)
        self.lifespan = kwargs.get("lifespan", _UNSPECIFIED)
        self.deadline = kwargs.get("deadline", _UNSPECIFIED)
        self.liveliness = kwargs.get("liveliness", LivelinessPolicy.SYSTEM_DEFAULT)
        self.liveliness_lease_duration = kwargs.get("liveliness_lease_duration", _UNSPECIFIED)
        self.avoid_ros_namespace_conventions = kwargs.get(
            "avoid_ros_namespace_conventions", False
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QoSProfile):
            return False
        return all(getattr(self, slot) == getattr(other, slot) for slot in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        policies = ", ".join(f"{slot[1:]}={getattr(self, slot)}" for slot in self.__slots__)
        return f"{type(self).__name__}({policies})"


def _profile(
    history: HistoryPolicy,
    depth: int,
    reliability: ReliabilityPolicy,
    durability: DurabilityPolicy,
    liveliness: LivelinessPolicy = LivelinessPolicy.SYSTEM_DEFAULT,
    limit: Duration = _UNSPECIFIED,
) -> QoSProfile:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return QoSProfile(
            history=history, depth=depth, reliability=reliability, durability=durability,
            liveliness=liveliness, deadline=limit, liveliness_lease_duration=limit,
        )


_LAST, _RELIABLE = HistoryPolicy.KEEP_LAST, ReliabilityPolicy.RELIABLE
_VOLATILE = DurabilityPolicy.VOLATILE

DeadlineBestAvailable = Duration(nanoseconds=2**63 - 2)
LivelinessLeaseDurationeBestAvailable = DeadlineBestAvailable

# Values of rmw/qos_profiles.h.
qos_profile_unknown = _profile(
    HistoryPolicy.UNKNOWN, 0, ReliabilityPolicy.UNKNOWN, DurabilityPolicy.UNKNOWN,
    LivelinessPolicy.UNKNOWN,
)
qos_profile_default = _profile(_LAST, 10, _RELIABLE, _VOLATILE)
qos_profile_system_default = _profile(
    HistoryPolicy.SYSTEM_DEFAULT, 0, ReliabilityPolicy.SYSTEM_DEFAULT,
    DurabilityPolicy.SYSTEM_DEFAULT,
)
qos_profile_sensor_data = _profile(_LAST, 5, ReliabilityPolicy.BEST_EFFORT, _VOLATILE)
qos_profile_services_default = _profile(_LAST, 10, _RELIABLE, _VOLATILE)
qos_profile_parameters = _profile(_LAST, 1000, _RELIABLE, _VOLATILE)
qos_profile_parameter_events = _profile(_LAST, 1000, _RELIABLE, _VOLATILE)
qos_profile_action_status_default = _profile(
    _LAST, 1, _RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL
)
qos_profile_best_available = _profile(
    _LAST, 10, ReliabilityPolicy.BEST_AVAILABLE, DurabilityPolicy.BEST_AVAILABLE,
    LivelinessPolicy.BEST_AVAILABLE, DeadlineBestAvailable,
)


class QoSPresetProfiles(Enum):
    """The profiles by name."""

    UNKNOWN = qos_profile_unknown
    DEFAULT = qos_profile_default
    SYSTEM_DEFAULT = qos_profile_system_default
    SENSOR_DATA = qos_profile_sensor_data
    SERVICES_DEFAULT = qos_profile_services_default
    PARAMETERS = qos_profile_parameters
    PARAMETER_EVENTS = qos_profile_parameter_events
    ACTION_STATUS_DEFAULT = qos_profile_action_status_default
    BEST_AVAILABLE = qos_profile_best_available

    @classmethod
    def short_keys(cls) -> list[str]:
        """Give the keys one types: ``sensor_data``, ``system_default``, ..."""
        return [key.lower() for key in cls.__members__]

    @classmethod
    def get_from_short_key(cls, name: str) -> QoSProfile:
        """Give the profile for a key in any case; raises ``KeyError`` for another word."""
        return cls[name.upper()].value


class QoSCompatibility(IntEnum):
    """Verdict of ``qos_check_compatible``."""

    OK = 0
    WARNING = 1
    ERROR = 2


_UNDECIDED = ("SYSTEM_DEFAULT", "UNKNOWN")


def _limit(duration: Duration) -> Duration:
    return Infinite if duration == _UNSPECIFIED else duration


def qos_check_compatible(
    publisher_qos: QoSProfile, subscription_qos: QoSProfile
) -> tuple[QoSCompatibility, str]:
    """Say whether such a publisher reaches such a subscription, and why not."""
    errors, doubts = [], []
    pairs = (
        ("reliability", ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE),
        ("durability", DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL),
        ("liveliness", LivelinessPolicy.AUTOMATIC, LivelinessPolicy.MANUAL_BY_TOPIC),
    )
    for name, weak, strong in pairs:
        offered, requested = getattr(publisher_qos, name), getattr(subscription_qos, name)
        if offered == weak and requested == strong:
            errors.append(
                f"ERROR: {weak.name.replace('_', ' ').capitalize()} publisher and "
                f"{strong.name.replace('_', ' ').lower()} subscription;"
            )
        elif (offered.name in _UNDECIDED and requested == strong) or (
            requested.name in _UNDECIDED and offered == weak
        ):
            doubts.append(f"WARNING: {name} of one side is left to the system;")
    for name in ("deadline", "liveliness_lease_duration"):
        offered = _limit(getattr(publisher_qos, name))
        if offered > _limit(getattr(subscription_qos, name)):
            errors.append(f"ERROR: {name} of the publisher is longer than the subscription's;")
    if errors:
        return QoSCompatibility.ERROR, "".join(errors)
    if doubts:
        return QoSCompatibility.WARNING, "".join(doubts)
    return QoSCompatibility.OK, ""
