"""Names: what is allowed, how they become absolute, how they look on DDS."""

from __future__ import annotations

import pytest

from avs_ros.middleware.embedded import rclpy, wire_names
from avs_ros.middleware.embedded.rclpy.exceptions import (
    InvalidNamespaceException,
    InvalidNodeNameException,
    InvalidServiceNameException,
    InvalidTopicNameException,
)

expand = rclpy.expand_topic_name.expand_topic_name
validate_topic = rclpy.validate_topic_name.validate_topic_name
validate_full = rclpy.validate_full_topic_name.validate_full_topic_name
validate_node = rclpy.validate_node_name.validate_node_name
validate_namespace = rclpy.validate_namespace.validate_namespace


@pytest.mark.parametrize(("topic", "absolute"), [
    ("image", "/robot/image"), ("/image", "/image"), ("~/mask", "/robot/avs/mask"),
    ("~", "/robot/avs"), ("{node}/mask", "/robot/avs/mask"), ("{ns}/mask", "/robot/mask"),
    ("a/b_c", "/robot/a/b_c"),
])
def test_expansion(topic: str, absolute: str) -> None:
    assert expand(topic, "avs", "/robot") == absolute


def test_expansion_in_the_root_namespace() -> None:
    assert expand("~/mask", "avs", "/") == "/avs/mask"
    assert expand("mask", "avs", "/") == "/mask"
    with pytest.raises(ValueError, match="unknown substitution"):
        expand("{robot}/mask", "avs", "/")


@pytest.mark.parametrize("name", ["a", "/a/b", "~/a", "~", "a_b1", "{node}/a", "/"])
def test_good_topics(name: str) -> None:
    assert validate_topic(name)


@pytest.mark.parametrize(("name", "at"), [
    ("", 0), ("1a", 0), ("a/", 1), ("a//b", 2), ("a b", 1), ("a~b", 1), ("~a", 1), ("a/2b", 2),
    ("a__b", 2), ("a-b", 1), ("{node", 0), ("é", 0),
])
def test_bad_topics_are_pointed_at(name: str, at: int) -> None:
    with pytest.raises(InvalidTopicNameException) as caught:
        validate_topic(name)
    pointer = str(caught.value).splitlines()[2]
    assert pointer.index("^") == at + 3
    with pytest.raises(InvalidServiceNameException):
        validate_topic(name, is_service=True)


@pytest.mark.parametrize(
    "name", ["a", "/a/", "/a//b", "/a b", "/1", "/~a", "", "/", "/" + 250 * "a"])
def test_bad_absolute_topics(name: str) -> None:
    with pytest.raises(InvalidTopicNameException):
        validate_full(name)


def test_nodes_and_namespaces() -> None:
    assert validate_node("segmentation_node")
    assert validate_namespace("/") and validate_namespace("/a/b")
    for bad in ("", "a/b", "1a", "a b", "é", "a" * 256):
        with pytest.raises(InvalidNodeNameException):
            validate_node(bad)
    for bad in ("", "a", "/a/", "/a b", "//a"):
        with pytest.raises(InvalidNamespaceException):
            validate_namespace(bad)


def test_names_on_dds_and_back() -> None:
    assert wire_names.topic_name("/camera/image") == "rt/camera/image"
    assert wire_names.ros_topic("rt/camera/image") == "/camera/image"
    assert wire_names.ros_topic("ros_discovery_info") is None
    assert wire_names.topic_name("plain", raw=True) == "plain"
    assert wire_names.request_name("/avs/enable") == "rq/avs/enableRequest"
    assert wire_names.reply_name("/avs/enable") == "rr/avs/enableReply"
    assert wire_names.ros_service("rq/avs/enableRequest") == ("/avs/enable", True)
    assert wire_names.ros_service("rr/avs/enableReply") == ("/avs/enable", False)
    assert wire_names.ros_service("rt/avs/enableReply") is None
    assert wire_names.ros_type("sensor_msgs::msg::dds_::Image_") == "sensor_msgs/msg/Image"
    assert wire_names.ros_type("Plain") == "Plain"
    assert wire_names.ros_service_type("std_srvs::srv::dds_::SetBool_Request_") == (
        "std_srvs/srv/SetBool")


def test_user_data() -> None:
    data = wire_names.user_data(serviceid="1.2", typehash="RIHS01_00")
    assert data == b"serviceid=1.2;typehash=RIHS01_00;"
    assert wire_names.parse_user_data(data) == {"serviceid": "1.2", "typehash": "RIHS01_00"}
    assert wire_names.parse_user_data(b"\xff;;x") == {}
