"""Services: requests and replies, in one process and between processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from ros_session import Program, RosSession

from avs_ros.errors import MiddlewareError
from avs_ros.middleware.embedded import cdr, rclpy
from avs_ros.middleware.embedded.interfaces import get_message, get_service
from avs_ros.middleware.embedded.rclpy.exceptions import (
    InvalidServiceNameException,
    NoTypeSupportImportedException,
)
from avs_ros.middleware.embedded.rclpy.service import REQUEST_ID, read_request_id

AddTwoInts = get_service("example_interfaces/srv/AddTwoInts")
Trigger = get_service("std_srvs/srv/Trigger")


@pytest.fixture
def ros() -> Iterator[RosSession]:
    session = RosSession()
    yield session
    session.close()


def add(request: Any, response: Any) -> Any:
    response.sum = request.a + request.b
    return response


def test_an_answer_comes_to_the_one_who_asked(ros: RosSession) -> None:
    server = ros.node("server")
    service = server.create_service(AddTwoInts, "~/add", add)
    assert service.service_name == "/server/add"
    clients = [ros.node(f"client{i}").create_client(AddTwoInts, "/server/add") for i in range(3)]
    assert ros.wait(lambda: all(client.service_is_ready() for client in clients))
    futures = [
        client.call_async(AddTwoInts.Request(a=10 * number, b=round_))
        for round_ in range(3) for number, client in enumerate(clients)
    ]
    assert [ros.ask(future).sum for future in futures] == [
        10 * number + round_ for round_ in range(3) for number in range(3)]
    assert not any(client._pending_requests for client in clients)


def test_waiting_for_a_service_in_another_process(ros: RosSession) -> None:
    client = ros.node("client").create_client(AddTwoInts, "/adder/add")
    assert not client.wait_for_service(timeout_sec=0.1)
    assert not client.service_is_ready()
    program = Program("""
from avs_ros.middleware import rclpy, get_service
rclpy.init()
node = rclpy.node.Node("adder")
def add(request, response):
    response.sum = request.a + request.b
    return response
node.create_service(get_service("example_interfaces/srv/AddTwoInts"), "~/add", add)
try:
    rclpy.spin(node)
except rclpy.executors.ExternalShutdownException:
    pass
""")
    try:
        assert client.wait_for_service(timeout_sec=20.0)
        for number in range(10):
            assert ros.ask(client.call_async(AddTwoInts.Request(a=number, b=1))).sum == number + 1
        node = ros.nodes[0]
        assert ("/adder/add", ["example_interfaces/srv/AddTwoInts"]) in (
            node.get_service_names_and_types())
        assert node.count_services("/adder/add") == 1 and node.count_clients("/adder/add") == 1
        assert ("/adder/add", ["example_interfaces/srv/AddTwoInts"]) in (
            node.get_service_names_and_types_by_node("adder", "/"))
        program.process.terminate()
        assert program.finish()[0] == 0
        assert ros.wait(lambda: not client.service_is_ready())
    finally:
        program.kill()


def test_call_blocks_in_another_thread_and_times_out(ros: RosSession) -> None:
    node = ros.node("one")
    node.create_service(AddTwoInts, "add", add)
    client = node.create_client(AddTwoInts, "add")
    assert ros.wait(client.service_is_ready)
    answers: list[Any] = []
    thread = threading.Thread(
        target=lambda: answers.append(client.call(AddTwoInts.Request(a=1, b=2), timeout_sec=20)))
    thread.start()
    assert ros.wait(lambda: answers)
    thread.join()
    assert answers[0].sum == 3
    lonely = node.create_client(AddTwoInts, "nobody")
    assert lonely.call(AddTwoInts.Request(), timeout_sec=0.05) is None
    assert not lonely._pending_requests


def test_coroutines_serve_and_ask(ros: RosSession) -> None:
    node = ros.node("one")
    group = rclpy.callback_groups.ReentrantCallbackGroup()
    inner = node.create_client(AddTwoInts, "add", callback_group=group)
    node.create_service(AddTwoInts, "add", add, callback_group=group)

    async def twice(request: Any, response: Any) -> Any:
        half = await inner.call_async(request)
        response.sum = 2 * half.sum
        return response

    node.create_service(AddTwoInts, "twice", twice, callback_group=group)
    outer = node.create_client(AddTwoInts, "twice")
    assert ros.wait(lambda: outer.service_is_ready() and inner.service_is_ready())
    assert ros.ask(outer.call_async(AddTwoInts.Request(a=3, b=4))).sum == 14


def test_wrong_types_are_refused(ros: RosSession) -> None:
    node = ros.node("one")
    client = node.create_client(Trigger, "do")
    with pytest.raises(TypeError, match="takes"):
        client.call_async(AddTwoInts.Request())
    with pytest.raises(NoTypeSupportImportedException):
        node.create_client(Trigger.Request, "do")
    with pytest.raises(InvalidServiceNameException):
        node.create_service(Trigger, "do it", lambda request, response: response)
    node.create_service(Trigger, "do", lambda request, response: None)
    assert ros.wait(client.service_is_ready)
    client.call_async(Trigger.Request())
    with pytest.raises(TypeError, match="must return its Response"):
        ros.wait(lambda: False, timeout_s=5)


def test_an_empty_request_travels(ros: RosSession) -> None:
    node = ros.node("one")
    node.create_service(
        Trigger, "do", lambda request, response: Trigger.Response(success=True, message="done"))
    client = node.create_client(Trigger, "do")
    assert ros.wait(client.service_is_ready)
    answer = ros.ask(client.call_async(Trigger.Request()))
    assert (answer.success, answer.message) == (True, "done")


def test_the_request_id_is_where_rmw_cyclonedds_has_it() -> None:
    data = bytes(cdr.serialize(AddTwoInts.Request(a=1), REQUEST_ID.pack(2**64 - 2, -3)))
    assert data[:4] == b"\x00\x01\x00\x00"
    assert data[4:12] == (2**64 - 2).to_bytes(8, "little")
    assert data[12:20] == (-3).to_bytes(8, "little", signed=True)
    assert data[20:28] == (1).to_bytes(8, "little")
    assert read_request_id(data) == (2**64 - 2, -3)
    assert read_request_id(b"\x00\x00\x00\x00" + bytes(7) + b"\x05" + bytes(7) + b"\x06") == (5, 6)
    with pytest.raises(cdr.CdrError, match="no request id"):
        read_request_id(data[:16])


def test_clients_and_servers_mark_their_two_ends_as_a_pair(ros: RosSession) -> None:
    node = ros.node("one")
    node.create_service(Trigger, "do", lambda request, response: response)
    node.create_client(Trigger, "do")
    ends = node._graph.endpoints()
    marks = [
        (one.topic, one.is_writer, next(iter(one.user_data))) for one in ends
        if one.topic.endswith(("/doRequest", "/doReply"))
    ]
    assert sorted(marks) == [
        ("rq/doRequest", False, "serviceid"), ("rq/doRequest", True, "clientid"),
        ("rr/doReply", False, "clientid"), ("rr/doReply", True, "serviceid")]
    assert all("typehash" in one.user_data for one in ends)


def test_introspection_needs_ros_2(ros: RosSession) -> None:
    node = ros.node("one")
    client = node.create_client(Trigger, "do")
    service = node.create_service(Trigger, "do", lambda request, response: response)
    for one in (client, service):
        with pytest.raises(MiddlewareError, match="install ROS 2"):
            one.configure_introspection(node.get_clock(), None, None)


def test_messages_are_no_services(ros: RosSession) -> None:
    with pytest.raises(NoTypeSupportImportedException):
        ros.node("one").create_service(get_message("std_msgs/msg/String"), "do", add)
