"""Quality of service: profiles, what DDS makes of them, and the events of mismatches."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cyclonedds.core import Policy
from ros_session import Program, RosSession

from avs_ros.middleware.embedded.interfaces import get_message
from avs_ros.middleware.embedded.rclpy.dds_qos import from_dds, policy_kind, to_dds
from avs_ros.middleware.embedded.rclpy.duration import Duration, Infinite
from avs_ros.middleware.embedded.rclpy.event_handler import (
    EventHandler,
    PublisherEventCallbacks,
    QoSSubscriptionEventType,
    SubscriptionEventCallbacks,
    UnsupportedEventTypeError,
)
from avs_ros.middleware.embedded.rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    InvalidQoSProfileException,
    LivelinessPolicy,
    QoSCompatibility,
    QoSPolicyKind,
    QoSPresetProfiles,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
    qos_policy_name_from_kind,
    qos_profile_best_available,
    qos_profile_default,
    qos_profile_sensor_data,
    qos_profile_services_default,
    qos_profile_system_default,
)

String = get_message("std_msgs/msg/String")
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=5)
LATCHED = QoSProfile(depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def ros() -> Iterator[RosSession]:
    session = RosSession()
    yield session
    session.close()


def test_profiles_have_the_values_of_rmw() -> None:
    sensor = qos_profile_sensor_data
    assert (sensor.history, sensor.depth) == (HistoryPolicy.KEEP_LAST, 5)
    assert sensor.reliability == ReliabilityPolicy.BEST_EFFORT
    assert sensor.durability == DurabilityPolicy.VOLATILE
    assert qos_profile_services_default == qos_profile_default == QoSProfile(depth=10)
    assert qos_profile_system_default.reliability == ReliabilityPolicy.SYSTEM_DEFAULT
    assert QoSPresetProfiles.PARAMETERS.value.depth == 1000


def test_profiles_and_policies_by_their_short_names() -> None:
    assert QoSPresetProfiles.get_from_short_key("sensor_data") is qos_profile_sensor_data
    assert "system_default" in QoSPresetProfiles.short_keys()
    assert ReliabilityPolicy.get_from_short_key("Best_Effort") == ReliabilityPolicy.BEST_EFFORT
    assert DurabilityPolicy.TRANSIENT_LOCAL.short_key == "transient_local"
    assert "keep_last" in HistoryPolicy.short_keys()
    with pytest.raises(KeyError):
        QoSPresetProfiles.get_from_short_key("fastest")


def test_profiles_are_checked() -> None:
    with pytest.raises(InvalidQoSProfileException):
        QoSProfile()
    with pytest.raises(InvalidQoSProfileException):
        QoSProfile(history=HistoryPolicy.KEEP_LAST)
    assert QoSProfile(history=HistoryPolicy.KEEP_ALL).depth == 10
    for wrong in ({"depth": "1"}, {"depth": 1, "deadline": 3}, {"depth": 1, "speed": 3},
                  {"depth": 1, "reliability": "best_effort"}):
        with pytest.raises(TypeError):
            QoSProfile(**wrong)
    with pytest.raises(ValueError, match="99"):
        QoSProfile(depth=1, reliability=99)
    with pytest.warns(UserWarning, match="zero depth"):
        QoSProfile(depth=0)
    profile = copy.copy(RELIABLE)
    profile.depth = 7
    assert RELIABLE.depth == 5 and profile != RELIABLE and "depth=7" in str(profile)
    assert qos_policy_name_from_kind(16) == "RELIABILITY"


@pytest.mark.parametrize(("publisher", "subscription", "verdict"), [
    (BEST_EFFORT, RELIABLE, QoSCompatibility.ERROR), (RELIABLE, BEST_EFFORT, QoSCompatibility.OK),
    (RELIABLE, LATCHED, QoSCompatibility.ERROR), (LATCHED, RELIABLE, QoSCompatibility.OK),
    (RELIABLE, RELIABLE, QoSCompatibility.OK),
    (qos_profile_system_default, RELIABLE, QoSCompatibility.WARNING),
    (RELIABLE, QoSProfile(depth=1, deadline=Duration(seconds=1)), QoSCompatibility.ERROR),
    (QoSProfile(depth=1, deadline=Duration(seconds=1)), RELIABLE, QoSCompatibility.OK),
    (RELIABLE, QoSProfile(depth=1, liveliness=LivelinessPolicy.MANUAL_BY_TOPIC),
     QoSCompatibility.WARNING),
    (QoSProfile(depth=1, liveliness=LivelinessPolicy.AUTOMATIC),
     QoSProfile(depth=1, liveliness=LivelinessPolicy.MANUAL_BY_TOPIC), QoSCompatibility.ERROR),
])
def test_compatibility(
    publisher: QoSProfile, subscription: QoSProfile, verdict: QoSCompatibility
) -> None:
    found, reason = qos_check_compatible(publisher, subscription)
    assert found == verdict and bool(reason) == (verdict != QoSCompatibility.OK)


def test_the_way_to_dds_and_back() -> None:
    profile = QoSProfile(
        depth=7, reliability=ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL, deadline=Duration(seconds=2),
        lifespan=Duration(seconds=3), liveliness=LivelinessPolicy.MANUAL_BY_TOPIC,
        liveliness_lease_duration=Duration(seconds=4),
    )
    assert from_dds(to_dds(profile, b"", True)) == profile
    reader = to_dds(profile, b"typehash=x;", False)
    assert Policy.Lifespan not in reader and Policy.DurabilityService not in reader
    assert reader[Policy.Userdata].data == b"typehash=x;"
    default = from_dds(to_dds(qos_profile_system_default, b"", True))
    assert (default.depth, default.reliability) == (1, ReliabilityPolicy.RELIABLE)
    assert default.durability == DurabilityPolicy.VOLATILE and default.deadline == Infinite
    everything = from_dds(to_dds(QoSProfile(history=HistoryPolicy.KEEP_ALL), b"", True))
    assert everything.history == HistoryPolicy.KEEP_ALL


def test_only_plain_cdr_is_offered_and_nothing_is_disposed() -> None:
    writer = to_dds(RELIABLE, b"", True)
    representation = writer[Policy.DataRepresentation]
    assert representation.use_cdrv0_representation
    assert not representation.use_xcdrv2_representation
    assert not writer[Policy.WriterDataLifecycle].autodispose


@pytest.mark.parametrize(("offered", "requested", "kind"), [
    (BEST_EFFORT, RELIABLE, QoSPolicyKind.RELIABILITY),
    (RELIABLE, LATCHED, QoSPolicyKind.DURABILITY),
    (RELIABLE, QoSProfile(depth=1, deadline=Duration(seconds=1)), QoSPolicyKind.DEADLINE),
])
def test_both_sides_hear_of_incompatible_qos(
    ros: RosSession, offered: QoSProfile, requested: QoSProfile, kind: QoSPolicyKind
) -> None:
    node = ros.node("one")
    heard: dict[str, Any] = {}
    node.create_subscription(
        String, "chat", lambda m: None, requested,
        event_callbacks=SubscriptionEventCallbacks(
            incompatible_qos=lambda info: heard.update(subscription=info)))
    node.create_publisher(
        String, "chat", offered,
        event_callbacks=PublisherEventCallbacks(
            incompatible_qos=lambda info: heard.update(publisher=info)))
    assert ros.wait(lambda: len(heard) == 2)
    for info in heard.values():
        assert (info.total_count, info.total_count_change) == (1, 1)
        assert info.last_policy_kind == kind


def test_an_event_before_the_first_spin_is_not_lost(ros: RosSession) -> None:
    node = ros.node("one")
    node.create_publisher(String, "chat", BEST_EFFORT)
    heard: list[Any] = []
    node.create_subscription(
        String, "chat", lambda m: None, RELIABLE,
        event_callbacks=SubscriptionEventCallbacks(incompatible_qos=heard.append))
    assert ros.wait(lambda: heard)


def test_mismatches_are_logged_when_nobody_handles_them(
    ros: RosSession, capfd: pytest.CaptureFixture[str]
) -> None:
    node = ros.node("one")
    node.create_publisher(String, "chat", BEST_EFFORT)
    node.create_subscription(String, "chat", lambda m: None, RELIABLE)
    text = ""

    def both() -> bool:
        nonlocal text
        text += capfd.readouterr().err
        return "offering incompatible QoS" in text and "requesting incompatible" in text

    assert ros.wait(both)
    assert "[one]" in text and "RELIABILITY" in text


def test_matches_are_events(ros: RosSession) -> None:
    node = ros.node("one")
    seen: list[tuple[str, int, int]] = []
    subscription = node.create_subscription(
        String, "chat", lambda m: None, 1,
        event_callbacks=SubscriptionEventCallbacks(
            matched=lambda i: seen.append(("s", i.current_count, i.total_count))))
    publisher = node.create_publisher(
        String, "chat", 1,
        event_callbacks=PublisherEventCallbacks(
            matched=lambda i: seen.append(("p", i.current_count, i.total_count))))
    assert ros.wait(lambda: {("s", 1, 1), ("p", 1, 1)} <= set(seen))
    assert subscription.event_handlers and publisher.event_handlers
    node.destroy_subscription(subscription)
    assert ros.wait(lambda: ("p", 0, 1) in seen)
    node.destroy_publisher(publisher)
    handlers = subscription.event_handlers + publisher.event_handlers
    assert not set(map(id, handlers)) & set(map(id, node._events))


def test_deadlines_and_liveliness_are_events(ros: RosSession) -> None:
    node = ros.node("one")
    soon = QoSProfile(
        depth=1, deadline=Duration(seconds=0.05), liveliness=LivelinessPolicy.MANUAL_BY_TOPIC,
        liveliness_lease_duration=Duration(seconds=0.1))
    heard: set[str] = set()
    node.create_subscription(
        String, "chat", lambda m: None, soon,
        event_callbacks=SubscriptionEventCallbacks(
            deadline=lambda i: heard.add("requested"),
            liveliness=lambda i: heard.add("dead" if i.not_alive_count else "alive"),
            message_lost=lambda i: heard.add("lost")))
    publisher = node.create_publisher(
        String, "chat", soon,
        event_callbacks=PublisherEventCallbacks(
            deadline=lambda i: heard.add("offered"), liveliness=lambda i: heard.add("gone")))
    assert ros.wait(lambda: publisher.get_subscription_count() == 1)
    publisher.publish(String())
    assert ros.wait(lambda: {"requested", "offered", "alive", "dead", "gone"} <= heard)


def test_reports_that_nobody_took_add_up(ros: RosSession) -> None:
    node = ros.node("one")
    heard: list[Any] = []
    node.create_publisher(
        String, "chat", 1, event_callbacks=PublisherEventCallbacks(matched=heard.append))
    publisher = next(one for one in node.publishers if one.topic == "chat")
    for count in range(1, 4):
        node.create_subscription(String, "chat", lambda m: None, 1)
        # Without spinning: only the watching thread sees each of them come.
        end = time.monotonic() + 20
        while time.monotonic() < end:
            pending = publisher.event_handlers[-1]._pending
            if pending is not None and pending.total_count == count:
                break
            time.sleep(0.001)
    assert ros.wait(lambda: heard)
    assert (heard[0].total_count, heard[0].total_count_change) == (3, 3)


def test_events_that_nobody_can_report(ros: RosSession) -> None:
    node = ros.node("one")
    subscription = node.create_subscription(String, "chat", lambda m: None, 1)
    with pytest.raises(UnsupportedEventTypeError):
        EventHandler(
            callback_group=node.default_callback_group, callback=print,
            event_type=QoSSubscriptionEventType.RCL_SUBSCRIPTION_INCOMPATIBLE_TYPE,
            parent_impl=subscription._endpoint)
    assert policy_kind(99) == QoSPolicyKind.INVALID


def test_best_available_fits_what_is_there(ros: RosSession) -> None:
    node = ros.node("one")
    node.create_publisher(String, "quick", BEST_EFFORT)
    node.create_publisher(String, "kept", LATCHED)
    best = qos_profile_best_available
    quick = node.create_subscription(String, "quick", lambda m: None, best)
    assert quick.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    kept = node.create_subscription(String, "kept", lambda m: None, best)
    assert kept.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert kept.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    empty = node.create_subscription(String, "nobody", lambda m: None, best)
    assert empty.qos_profile.durability == DurabilityPolicy.VOLATILE
    publisher = node.create_publisher(String, "out", best)
    assert publisher.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert best.reliability == ReliabilityPolicy.BEST_AVAILABLE


def test_a_mismatch_with_another_process_is_heard_and_seen(ros: RosSession) -> None:
    program = Program("""
from avs_ros.middleware import rclpy, get_message
rclpy.init()
node = rclpy.node.Node("camera", namespace="/robot")
publisher = node.create_publisher(
    get_message("sensor_msgs/msg/Image"), "image", rclpy.qos.qos_profile_sensor_data)
try:
    rclpy.spin(node)
except rclpy.executors.ExternalShutdownException:
    pass
""")
    try:
        node = ros.node("viewer")
        heard: list[Any] = []
        node.create_subscription(
            get_message("sensor_msgs/msg/Image"), "/robot/image", lambda m: None, 1,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=heard.append))
        assert ros.wait(lambda: heard)
        assert heard[0].last_policy_kind == QoSPolicyKind.RELIABILITY

        def described() -> bool:
            infos = node.get_publishers_info_by_topic("/robot/image")
            return bool(infos) and infos[0].node_name == "camera"

        assert ros.wait(described)
        (info,) = node.get_publishers_info_by_topic("/robot/image")
        assert (info.node_namespace, info.topic_type) == ("/robot", "sensor_msgs/msg/Image")
        assert info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
        assert str(info.topic_type_hash).startswith("RIHS01_d31d41a9a4c4bc8e")
        assert len(info.endpoint_gid) == 16 and "BEST_EFFORT" in str(info)
    finally:
        program.process.terminate()
        assert program.finish()[0] == 0
