"""The wire as others see it: a plain DDS program with types declared by hand, as robots have."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cyclonedds.core import Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.annotations import autoid, final
from cyclonedds.idl.types import float64, int32, int64, sequence, uint8, uint32, uint64
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from ros_session import RosSession

from avs_ros.middleware.embedded.interfaces import get_message, get_service


@dataclass
@final
@autoid("sequential")
class Time_(IdlStruct, typename="builtin_interfaces.msg.dds_.Time_"):
    sec: int32
    nanosec: uint32


@dataclass
@final
@autoid("sequential")
class Header_(IdlStruct, typename="std_msgs.msg.dds_.Header_"):
    stamp: Time_
    frame_id: str


@dataclass
@final
@autoid("sequential")
class Image_(IdlStruct, typename="sensor_msgs.msg.dds_.Image_"):
    header: Header_
    height: uint32
    width: uint32
    encoding: str
    is_bigendian: uint8
    step: uint32
    data: sequence[uint8]


@dataclass
@final
@autoid("sequential")
class KeyValue_(IdlStruct, typename="diagnostic_msgs.msg.dds_.KeyValue_"):
    key: str
    value: str


@dataclass
@final
@autoid("sequential")
class DiagnosticStatus_(IdlStruct, typename="diagnostic_msgs.msg.dds_.DiagnosticStatus_"):
    level: uint8
    name: str
    message: str
    hardware_id: str
    values: sequence[KeyValue_]


@dataclass
@final
@autoid("sequential")
class JointState_(IdlStruct, typename="sensor_msgs.msg.dds_.JointState_"):
    header: Header_
    name: sequence[str]
    position: sequence[float64]
    velocity: sequence[float64]
    effort: sequence[float64]


@dataclass
@final
@autoid("sequential")
class AddRequest_(IdlStruct, typename="example_interfaces.srv.dds_.AddTwoInts_Request_"):
    client: uint64
    number: int64
    a: int64
    b: int64


@dataclass
@final
@autoid("sequential")
class AddReply_(IdlStruct, typename="example_interfaces.srv.dds_.AddTwoInts_Response_"):
    client: uint64
    number: int64
    sum: int64


QOS = Qos(
    Policy.Reliability.Reliable(10**9), Policy.History.KeepLast(10), Policy.Durability.Volatile,
    Policy.DataRepresentation(use_cdrv0_representation=True),
)
READER_QOS = QOS + Qos(Policy.TypeConsistency.AllowTypeCoercion(ignore_member_names=True))


@pytest.fixture
def ros() -> Iterator[RosSession]:
    session = RosSession()
    yield session
    session.close()


@pytest.fixture
def plain(ros: RosSession) -> DomainParticipant:
    """A DDS participant that knows nothing of ROS."""
    ros.node("keeper")  # the session joins first, so that the domain has its configuration
    return DomainParticipant(ros.context.get_domain_id())


def receive(ros: RosSession, reader: DataReader) -> Any:
    got: list[Any] = []
    assert ros.wait(lambda: got.extend(reader.take(N=10)) or got)
    return got[0]


def test_a_picture_is_read_by_a_plain_program(ros: RosSession, plain: DomainParticipant) -> None:
    reader = DataReader(plain, Topic(plain, "rt/camera/image", Image_), QOS)
    publisher = ros.nodes[0].create_publisher(
        get_message("sensor_msgs/msg/Image"), "/camera/image", 10)
    assert ros.wait(lambda: publisher.get_subscription_count() == 1)
    image = get_message("sensor_msgs/msg/Image")(
        height=2, width=3, encoding="mono8", step=3, data=bytes(range(6)))
    image.header.stamp.sec, image.header.stamp.nanosec = 5, 7
    image.header.frame_id = "optical"
    publisher.publish(image)
    got = receive(ros, reader)
    assert got == Image_(
        Header_(Time_(5, 7), "optical"), 2, 3, "mono8", 0, 3, list(range(6)))


def test_what_a_plain_program_writes_is_read(ros: RosSession, plain: DomainParticipant) -> None:
    got: list[Any] = []
    node = ros.nodes[0]
    node.create_subscription(
        get_message("diagnostic_msgs/msg/DiagnosticStatus"), "status", got.append, 10)
    node.create_subscription(get_message("sensor_msgs/msg/JointState"), "joints", got.append, 10)
    status = DataWriter(plain, Topic(plain, "rt/status", DiagnosticStatus_), QOS)
    joints = DataWriter(plain, Topic(plain, "rt/joints", JointState_), QOS)
    assert ros.wait(lambda: status.get_matched_subscriptions() and joints.matched_sub)
    status.write(DiagnosticStatus_(2, "camera", "hot", "", [KeyValue_("t", "80 °C")]))
    assert ros.wait(lambda: len(got) == 1)
    assert got[0].level == got[0].ERROR and got[0].values[0].value == "80 °C"
    joints.write(JointState_(Header_(Time_(1, 2), ""), ["a", "bc"], [0.5, -1.0], [], [3.0]))
    assert ros.wait(lambda: len(got) == 2)
    assert list(got[1].name) == ["a", "bc"] and got[1].position.tolist() == [0.5, -1.0]
    assert len(got[1].velocity) == 0 and got[1].effort.tolist() == [3.0]


def test_a_plain_client_is_answered(ros: RosSession, plain: DomainParticipant) -> None:
    service = get_service("example_interfaces/srv/AddTwoInts")
    ros.nodes[0].create_service(
        service, "add", lambda q, r: service.Response(sum=q.a + q.b))
    writer = DataWriter(plain, Topic(plain, "rq/addRequest", AddRequest_), QOS)
    reader = DataReader(plain, Topic(plain, "rr/addReply", AddReply_), READER_QOS)
    assert ros.wait(lambda: writer.get_matched_subscriptions() and reader.matched_pub)
    writer.write(AddRequest_(0xFEDCBA9876543210, 41, 5, -8))
    got = receive(ros, reader)
    assert got == AddReply_(0xFEDCBA9876543210, 41, -3)


def test_a_plain_server_is_asked(ros: RosSession, plain: DomainParticipant) -> None:
    service = get_service("example_interfaces/srv/AddTwoInts")
    client = ros.nodes[0].create_client(service, "add")
    reader = DataReader(plain, Topic(plain, "rq/addRequest", AddRequest_), READER_QOS)
    writer = DataWriter(plain, Topic(plain, "rr/addReply", AddReply_), QOS)
    # Without marks the client takes any matching pair for a server, as rmw_cyclonedds does.
    assert ros.wait(client.service_is_ready)
    future = client.call_async(service.Request(a=1, b=2))
    asked = receive(ros, reader)
    assert (asked.a, asked.b) == (1, 2)
    writer.write(AddReply_(asked.client + 1, asked.number, 99))  # someone else's answer
    writer.write(AddReply_(asked.client, asked.number, 3))
    assert ros.ask(future).sum == 3


def test_a_plain_program_is_seen_as_one(ros: RosSession, plain: DomainParticipant) -> None:
    writer = DataWriter(plain, Topic(plain, "rt/status", DiagnosticStatus_), QOS)
    node = ros.nodes[0]
    assert ros.wait(lambda: node.count_publishers("status") == 1)
    (info,) = node.get_publishers_info_by_topic("status")
    assert info.node_name == "_CREATED_BY_BARE_DDS_APP_"
    assert info.topic_type == "diagnostic_msgs/msg/DiagnosticStatus"
    assert str(info.topic_type_hash) == "INVALID" and writer is not None


def test_stamps_are_the_writers(ros: RosSession, plain: DomainParticipant) -> None:
    infos: list[dict[str, Any]] = []
    ros.nodes[0].create_subscription(
        get_message("diagnostic_msgs/msg/DiagnosticStatus"), "status",
        lambda m, info: infos.append(info), 10)
    writer = DataWriter(plain, Topic(plain, "rt/status", DiagnosticStatus_), QOS)
    assert ros.wait(writer.get_matched_subscriptions)
    writer.write(DiagnosticStatus_(0, "", "", "", []), timestamp=1_234_567_890)
    assert ros.wait(lambda: infos)
    assert infos[0]["source_timestamp"] == 1_234_567_890
    assert infos[0]["received_timestamp"] <= time.time_ns()
