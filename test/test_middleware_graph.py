"""The graph: who is there and what they have, as nodes see it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ros_session import Program, RosSession

from avs_ros.middleware.embedded import cdr, dds, rclpy
from avs_ros.middleware.embedded.discovery import DISCOVERY_TOPIC, discovery_qos
from avs_ros.middleware.embedded.interfaces import get_message, get_service
from avs_ros.middleware.embedded.rclpy.graph_queries import NodeNameNonExistentError
from avs_ros.middleware.embedded.rclpy.topic_endpoint_info import TopicEndpointTypeEnum
from avs_ros.middleware.embedded.rclpy.type_hash import TypeHash

String = get_message("std_msgs/msg/String")
Trigger = get_service("std_srvs/srv/Trigger")


@pytest.fixture
def ros() -> Iterator[RosSession]:
    session = RosSession()
    yield session
    session.close()


@pytest.fixture
def other() -> Iterator[RosSession]:
    """A second participant in the domain: to the first, its nodes are someone else's."""
    session = RosSession()
    yield session
    session.close()


def test_topics_services_and_nodes(ros: RosSession) -> None:
    node = ros.node("one", namespace="/robot")
    node.create_publisher(String, "chat", 1)
    node.create_subscription(String, "/heard", lambda m: None, 1)
    node.create_service(Trigger, "~/do", lambda q, r: r)
    node.create_client(Trigger, "ask")
    topics = dict(node.get_topic_names_and_types())
    assert topics["/robot/chat"] == ["std_msgs/msg/String"] and "/heard" in topics
    assert DISCOVERY_TOPIC not in topics
    raw = dict(node.get_topic_names_and_types(no_demangle=True))
    assert raw["rt/robot/chat"] == ["std_msgs::msg::dds_::String_"]
    assert DISCOVERY_TOPIC in raw
    services = dict(node.get_service_names_and_types())
    assert services == {
        "/robot/one/do": ["std_srvs/srv/Trigger"], "/robot/ask": ["std_srvs/srv/Trigger"]}
    assert node.get_node_names_and_namespaces() == [("one", "/robot")]
    assert node.get_node_names_and_namespaces_with_enclaves() == [("one", "/robot", "/")]
    assert node.get_node_names() == ["one"]
    assert (node.count_publishers("chat"), node.count_subscribers("chat")) == (1, 0)
    assert (node.count_services("~/do"), node.count_clients("~/do")) == (1, 0)
    assert (node.count_services("ask"), node.count_clients("ask")) == (0, 1)


def test_what_another_process_has(ros: RosSession, other: RosSession) -> None:
    node = ros.node("one")
    peer = other.node("two", namespace="/robot")
    peer.create_publisher(String, "chat", 1)
    peer.create_subscription(String, "heard", lambda m: None, 1)
    peer.create_service(Trigger, "do", lambda q, r: r)
    peer.create_client(Trigger, "ask")

    def by_node(question: str) -> dict[str, list[str]]:
        try:
            return dict(getattr(node, f"get_{question}_names_and_types_by_node")("two", "/robot"))
        except NodeNameNonExistentError:
            return {}

    assert ros.wait(lambda: by_node("publisher") == {
        "/parameter_events": ["rcl_interfaces/msg/ParameterEvent"],
        "/robot/chat": ["std_msgs/msg/String"]})
    assert ros.wait(lambda: by_node("subscriber") == {"/robot/heard": ["std_msgs/msg/String"]})
    assert ros.wait(lambda: by_node("service") == {"/robot/do": ["std_srvs/srv/Trigger"]})
    assert ros.wait(lambda: by_node("client") == {"/robot/ask": ["std_srvs/srv/Trigger"]})
    assert node.wait_for_node("/robot/two", 10.0)
    assert not node.wait_for_node("/robot/three", 0.05)
    with pytest.raises(NodeNameNonExistentError, match="three"):
        node.get_publisher_names_and_types_by_node("three", "/robot")
    (info,) = node.get_subscriptions_info_by_topic("/robot/heard")
    assert info.endpoint_type == TopicEndpointTypeEnum.SUBSCRIPTION and info.node_name == "two"
    assert node.get_publishers_info_by_topic("rt/robot/chat", no_mangle=True)


def test_endpoints_and_nodes_that_go_are_forgotten(ros: RosSession, other: RosSession) -> None:
    node = ros.node("one")
    peer = other.node("two")
    third = other.node("three")
    publisher = peer.create_publisher(String, "chat", 1)
    assert ros.wait(lambda: node.count_publishers("chat") == 1)
    assert ros.wait(lambda: set(node.get_node_names()) == {"one", "two", "three"})
    peer.destroy_publisher(publisher)
    assert ros.wait(lambda: node.count_publishers("chat") == 0)
    third.destroy_node()
    assert ros.wait(lambda: set(node.get_node_names()) == {"one", "two"})
    other.context.shutdown()
    assert ros.wait(lambda: node.get_node_names() == ["one"])


@pytest.mark.slow
def test_a_killed_process_is_not_there_for_ever(ros: RosSession) -> None:
    """Its lease (10 s) runs out; nothing else could tell."""
    program = Program("""
from avs_ros.middleware import rclpy
rclpy.init()
node = rclpy.node.Node("victim")
print("ready", flush=True)
rclpy.spin(node)
""")
    try:
        node = ros.node("one")
        assert program.line() == "ready"
        assert node.wait_for_node("/victim", 15.0)
        program.process.kill()
        assert ros.wait(lambda: "victim" not in node.get_node_names(), timeout_s=40.0)
    finally:
        program.kill()


def test_announcements_are_what_ros_2_expects(ros: RosSession, other: RosSession) -> None:
    info_class = get_message("rmw_dds_common/msg/ParticipantEntitiesInfo")
    reader = other.context.participant.create_reader(
        DISCOVERY_TOPIC, info_class, discovery_qos(False, ""))
    node = ros.node("one", namespace="/robot")
    publisher = node.create_publisher(String, "chat", 1)
    subscription = node.create_subscription(String, "chat", lambda m: None, 1)
    newest = None

    def complete() -> bool:
        nonlocal newest
        for taken in dds.take(reader, 50):
            if taken.valid:
                newest = cdr.deserialize(taken.data, info_class)
        return newest is not None and any(
            bytes(gid.data) == subscription._endpoint.gid
            for entry in newest.node_entities_info_seq for gid in entry.reader_gid_seq)

    assert ros.wait(complete)
    assert newest is not None
    assert bytes(newest.gid.data) == ros.context.participant.gid
    (entry,) = newest.node_entities_info_seq
    assert (entry.node_namespace, entry.node_name) == ("/robot", "one")
    assert publisher.handle.gid in [bytes(gid.data) for gid in entry.writer_gid_seq]


def test_type_hash_text() -> None:
    text = "RIHS01_" + "ab" * 32
    assert str(TypeHash.parse(text)) == text and TypeHash.parse(text).version == 1
    assert TypeHash.parse(text) == TypeHash(1, b"\xab" * 32)
    for wrong in ("", "RIHS01_", "RIHS01_zz", "RIHSxx_" + "ab" * 32, "RIHS01_abab"):
        assert str(TypeHash.parse(wrong)) == "INVALID"


def test_the_runtime_names_its_wire_format() -> None:
    assert rclpy.get_rmw_implementation_identifier() == "rmw_cyclonedds_cpp"
