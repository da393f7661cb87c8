"""A managed node in one process, steered and watched from another, over DDS."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("cyclonedds", reason="the embedded runtime needs cyclonedds")

from avs_ros.middleware.embedded import rclpy
from avs_ros.middleware.embedded.interfaces import get_message, get_service
from avs_ros.middleware.embedded.rclpy.executors import SingleThreadedExecutor
from avs_ros.middleware.embedded.rclpy.node import Node
from avs_ros.middleware.embedded.rclpy.parameter import Parameter, parameter_value_to_python
from avs_ros.middleware.embedded.rclpy.parameter_client import AsyncParameterClient
from avs_ros.middleware.embedded.rclpy.qos import (
    DurabilityPolicy,
    QoSProfile,
    qos_profile_parameter_events,
)

PATIENCE = 20.0

MANAGED = '''
import sys
from avs_ros.middleware.embedded import rclpy
from avs_ros.middleware.embedded.interfaces import get_message
from avs_ros.middleware.embedded.rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
Descriptor = get_message("rcl_interfaces/msg/ParameterDescriptor")
Range = get_message("rcl_interfaces/msg/FloatingPointRange")

class Managed(LifecycleNode):
    def __init__(self):
        super().__init__("managed")
        self.declare_parameter("gain", 1.0, Descriptor(
            description="how loud", floating_point_range=[Range(from_value=0.0, to_value=4.0)]))
        self.declare_parameter("labels", ["dog", "cat"])
        self.declare_parameter("bits", [True, False])
        self.declare_parameter("fixed", 7, Descriptor(read_only=True))
        self.declare_parameter("cam.rate", 30)
        self.declare_parameter("fail", False)
        self.pub = self.create_lifecycle_publisher(
            get_message("std_msgs/msg/String"), "chatter", 10)
        self.timer = self.create_timer(0.05, self.speak)

    def speak(self):
        self.pub.publish(get_message("std_msgs/msg/String")(data="hello"))

    def on_configure(self, state):
        if self.get_parameter("fail").value:
            raise RuntimeError("no weights")
        self.get_logger().info("configured")
        return TransitionCallbackReturn.SUCCESS

rclpy.init(args=sys.argv)
node = Managed()
try:
    rclpy.spin(node)
except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
    pass
node.destroy_node()
rclpy.try_shutdown()
'''


class Peer:
    """The other process's view of the graph: a node that calls, listens and waits."""

    def __init__(self) -> None:
        rclpy.init(args=[])
        self.node = Node("observer")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (value := condition()):
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            self.executor.spin_once(timeout_sec=0.05)
        return value

    def finish(self, future: Any, what: str) -> Any:
        self.until(future.done, what)
        return future.result()

    def call(self, kind: str, name: str, **fields: Any) -> Any:
        service = get_service(kind)
        client = self.node.create_client(service, name)
        try:
            assert client.wait_for_service(timeout_sec=PATIENCE), f"no service {name}"
            return self.finish(client.call_async(service.Request(**fields)), name)
        finally:
            self.node.destroy_client(client)

    def listen(self, kind: str, topic: str, qos: Any) -> list[Any]:
        heard: list[Any] = []
        self.node.create_subscription(get_message(kind), topic, heard.append, qos)
        return heard

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()


@pytest.fixture
def peer() -> Iterator[Peer]:
    one = Peer()
    yield one
    one.close()


@pytest.fixture
def start() -> Iterator[Callable[..., None]]:
    processes: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str) -> None:
        processes.append(subprocess.Popen(
            [sys.executable, "-c", MANAGED, "--ros-args", *arguments],
            env={**os.environ, "OMP_NUM_THREADS": "1"}))

    yield run
    for process in processes:
        process.terminate()
        assert process.wait(timeout=PATIENCE) is not None


def change(peer: Peer, label: str = "", number: int = 0, node: str = "managed") -> bool:
    transition = get_message("lifecycle_msgs/msg/Transition")(id=number, label=label)
    return bool(peer.call(
        "lifecycle_msgs/srv/ChangeState", f"{node}/change_state", transition=transition).success)


def state(peer: Peer) -> str:
    return str(peer.call("lifecycle_msgs/srv/GetState", "managed/get_state").current_state.label)


def test_parameters_of_another_process(peer: Peer, start: Callable[..., None]) -> None:
    start("-p", "gain:=2.5")
    events = peer.listen(
        "rcl_interfaces/msg/ParameterEvent", "/parameter_events", qos_profile_parameter_events)
    kind = "rcl_interfaces/srv/"

    def values(*names: str) -> list[Any]:
        response = peer.call(f"{kind}GetParameters", "managed/get_parameters", names=list(names))
        return [parameter_value_to_python(one) for one in response.values]

    assert values("gain", "labels", "bits", "fixed") == [2.5, ["dog", "cat"], [True, False], 7]
    assert values("gain", "nobody") == []
    types = peer.call(f"{kind}GetParameterTypes", "managed/get_parameter_types",
                      names=["gain", "labels", "fixed"])
    assert [int(one) for one in types.types] == [3, 9, 2]
    listed = peer.call(f"{kind}ListParameters", "managed/list_parameters", prefixes=["cam"])
    assert list(listed.result.names) == ["cam.rate"]
    assert list(listed.result.prefixes) == ["cam"]
    described = peer.call(
        f"{kind}DescribeParameters", "managed/describe_parameters", names=["gain"]).descriptors
    assert described[0].description == "how loud"
    assert described[0].floating_point_range[0].to_value == 4.0

    def put(service: str, **new: Any) -> Any:
        messages = [Parameter(key, value=value).to_parameter_msg() for key, value in new.items()]
        return peer.call(f"{kind}{service}", "managed/" + {
            "SetParameters": "set_parameters",
            "SetParametersAtomically": "set_parameters_atomically"}[service], parameters=messages)

    results = put("SetParameters", gain=9.0, fixed=8, labels=["bird"], nobody=1).results
    assert [one.successful for one in results] == [False, False, True, False]
    assert "out of range" in results[0].reason and "read-only" in results[1].reason
    assert "undeclared" in results[3].reason
    refused = put("SetParametersAtomically", labels=["fish"], gain=-1.0).result
    assert not refused.successful and values("labels") == [["bird"]]
    assert put("SetParametersAtomically", labels=["fish"], gain=1.5).result.successful
    last = peer.until(
        lambda: [e for e in events if e.node == "/managed" and len(e.changed_parameters) == 2],
        "the parameter event")[-1]
    assert [one.name for one in last.changed_parameters] == ["labels", "gain"]


def test_the_client_for_parameters(peer: Peer, start: Callable[..., None]) -> None:
    start()
    client = AsyncParameterClient(peer.node, "managed")
    assert client.wait_for_services(timeout_sec=PATIENCE) and client.services_are_ready()
    names = peer.finish(client.list_parameters(), "names").result.names
    assert {"gain", "cam.rate", "use_sim_time"} <= set(names)
    result = peer.finish(client.set_parameters([Parameter("gain", value=0.5)]), "set").results[0]
    assert result.successful
    got = peer.finish(client.get_parameters(["gain"]), "get").values[0]
    assert got.double_value == 0.5
    assert int(peer.finish(client.get_parameter_types(["gain"]), "types").types[0]) == 3
    described = peer.finish(client.describe_parameters(["gain"]), "descriptors").descriptors
    assert described[0].name == "gain"
    both = client.set_parameters_atomically([Parameter("gain", value=99.0)])
    assert not peer.finish(both, "atomic").result.successful


def test_the_lifecycle_from_another_process(peer: Peer, start: Callable[..., None]) -> None:
    start("-r", "chatter:=talk")
    events = peer.listen("lifecycle_msgs/msg/TransitionEvent", "managed/transition_event", 10)
    heard = peer.listen("std_msgs/msg/String", "talk", 10)
    assert state(peer) == "unconfigured"
    peer.until(lambda: peer.node.count_publishers("managed/transition_event"), "the event topic")
    assert not change(peer, number=3)
    assert not change(peer, label="fly")
    assert state(peer) == "unconfigured" and heard == []
    assert change(peer, label="configure") and change(peer, number=3)
    assert state(peer) == "active"
    peer.until(lambda: heard, "the managed publisher")
    there = peer.call("lifecycle_msgs/srv/GetAvailableTransitions",
                      "managed/get_available_transitions").available_transitions
    assert [(t.transition.label, t.transition.id, t.goal_state.label) for t in there] == [
        ("deactivate", 4, "deactivating"), ("shutdown", 7, "shuttingdown")]
    graph = peer.call("lifecycle_msgs/srv/GetAvailableTransitions",
                      "managed/get_transition_graph").available_transitions
    states = peer.call("lifecycle_msgs/srv/GetAvailableStates",
                       "managed/get_available_states").available_states
    assert (len(graph), len(states)) == (25, 11)
    assert change(peer, label="deactivate") and change(peer, label="cleanup")
    wanted = [
        ("unconfigured", "configuring"), ("configuring", "inactive"), ("inactive", "activating"),
        ("activating", "active"), ("active", "deactivating"), ("deactivating", "inactive"),
        ("inactive", "cleaningup"), ("cleaningup", "unconfigured")]

    def seen() -> list[tuple[str, str]]:
        return [(e.start_state.label, e.goal_state.label) for e in events]

    peer.until(lambda: seen()[-1:] == wanted[-1:], "the last event")
    assert seen() == wanted[-len(seen()):]
    assert change(peer, label="shutdown") and state(peer) == "finalized"
    assert not change(peer, label="configure")


def test_an_error_is_told_and_recovered_from(peer: Peer, start: Callable[..., None]) -> None:
    start("-p", "fail:=true", "-r", "__ns:=/robot", "-r", "__node:=ear", "--log-level", "warn")
    log = peer.listen(
        "rcl_interfaces/msg/Log", "/rosout",
        QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    assert not change(peer, label="configure", node="/robot/ear")
    told = peer.until(lambda: [one for one in log if "no weights" in one.msg], "the log")[0]
    assert (told.level, told.name) == (40, "robot.ear")
    assert ("ear", "/robot") in peer.node.get_node_names_and_namespaces()
    no = Parameter("fail", value=False).to_parameter_msg()
    peer.call("rcl_interfaces/srv/SetParameters", "/robot/ear/set_parameters", parameters=[no])
    assert change(peer, label="configure", node="/robot/ear")
    assert not [one for one in log if one.msg == "configured"], "below the level asked for"
