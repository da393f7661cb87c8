"""Message classes: what rclpy's have, and buffers that are taken as they are."""

from __future__ import annotations

import copy
from array import array
from typing import Any

import numpy as np
import pytest

from avs_ros.errors import MiddlewareError
from avs_ros.middleware.embedded.interfaces import (
    find_message,
    get_message,
    get_service,
    register_definition,
)
from avs_ros.middleware.embedded.schema import main_store, second_audio_store, store_of

Image = get_message("sensor_msgs/msg/Image")
CameraInfo = get_message("sensor_msgs/msg/CameraInfo")

# Published hashes of ROS 2 Jazzy (share/<package>/msg/<Name>.json).
HASHES = {
    "std_msgs/msg/String":
        "RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18",
    "std_msgs/msg/Header":
        "RIHS01_f49fb3ae2cf070f793645ff749683ac6b06203e41c891e17701b1cb597ce6a01",
    "builtin_interfaces/msg/Time":
        "RIHS01_b106235e25a4c5ed35098aa0a61a3ee9c9b18d197f398b0e4206cea9acf9c197",
    "sensor_msgs/msg/Image":
        "RIHS01_d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47",
    "diagnostic_msgs/msg/KeyValue":
        "RIHS01_d68081eaa540288c5440753baecef0c4e16e81a5f78ad68902ded5100413bb42",
    "std_srvs/srv/SetBool_Request":
        "RIHS01_c62fbb99d94e1b25e8ef9e109f9581956bb1b3361a45a4e5810c36a90d29932e",
    "std_srvs/srv/SetBool_Response":
        "RIHS01_d0814e7f7b4880ab77e9c57426c7aa1562ab69f11eef8e2e968812f9cbd0b059",
    "std_srvs/srv/Trigger_Request":
        "RIHS01_d010825374ce8918e72bfd826c82603e60f45419e932ea976f807b74a863a199",
    "std_srvs/srv/Trigger_Response":
        "RIHS01_2d946c21e2fc3f1e9ca6986a8191d85fcc70097a8bb7771a053564bc47009cdf",
}


@pytest.mark.parametrize("name", HASHES)
def test_type_hashes_are_those_of_ros(name: str) -> None:
    assert main_store().type_hash(name) == HASHES[name]


def test_names_on_dds() -> None:
    assert Image.schema.dds_name == "sensor_msgs::msg::dds_::Image_"
    request = get_service("std_srvs/srv/SetBool").Request
    assert request.schema.dds_name == "std_srvs::srv::dds_::SetBool_Request_"


def test_defaults() -> None:
    image = Image()
    assert (image.height, image.encoding, image.is_bigendian) == (0, "", 0)
    assert image.data == array("B") and image.header.stamp.sec == 0
    info = CameraInfo()
    assert isinstance(info.k, np.ndarray) and info.k.shape == (9,) and info.k.dtype == np.float64
    assert info.d == array("d")
    assert get_message("geometry_msgs/msg/Pose")().orientation.w == 1.0
    assert get_message("std_msgs/msg/Bool")().data is False
    assert get_message("diagnostic_msgs/msg/DiagnosticStatus")().level == b"\x00"
    assert image.header is not Image().header


def test_constants() -> None:
    status = get_message("diagnostic_msgs/msg/DiagnosticStatus")
    assert (status.OK, status.WARN, status.ERROR, status.STALE) == (b"\0", b"\1", b"\2", b"\3")
    assert status().STALE == b"\3"
    assert get_message("lifecycle_msgs/msg/State").PRIMARY_STATE_ACTIVE == 3
    assert get_service("rcl_interfaces/srv/ListParameters").Request.DEPTH_RECURSIVE == 0


def test_keywords_and_unknown_fields() -> None:
    stamp = get_message("builtin_interfaces/msg/Time")(sec=3, nanosec=5)
    header = get_message("std_msgs/msg/Header")(stamp=stamp, frame_id="camera")
    assert Image(header=header, width=2).header.stamp.nanosec == 5
    with pytest.raises(TypeError, match="no field 'hight'"):
        Image(hight=3)
    with pytest.raises(AttributeError):
        Image().hight = 3


def test_fields_are_listed_as_in_rclpy() -> None:
    assert Image.get_fields_and_field_types()["data"] == "sequence<uint8>"
    assert CameraInfo.get_fields_and_field_types()["k"] == "double[9]"
    types = get_message("rcl_interfaces/msg/ParameterDescriptor").get_fields_and_field_types()
    assert types["integer_range"] == "sequence<rcl_interfaces/IntegerRange, 1>"
    assert types["read_only"] == "boolean"
    node = get_message("rmw_dds_common/msg/NodeEntitiesInfo").get_fields_and_field_types()
    assert node["node_name"] == "string<256>"
    status = get_message("diagnostic_msgs/msg/DiagnosticStatus").get_fields_and_field_types()
    assert status["level"] == "octet"
    assert get_service("std_srvs/srv/Trigger").Request.get_fields_and_field_types() == {}


def test_equality_and_text() -> None:
    one, two = Image(data=b"abc", width=3), Image(data=np.frombuffer(b"abc", np.uint8), width=3)
    assert one == two and one != Image() and one != "text"
    assert CameraInfo() == CameraInfo()
    assert repr(Image(data=bytes(9))).startswith("sensor_msgs.msg.Image(header=std_msgs.msg.He")
    assert "<999 elements>" in repr(Image(data=bytes(999)))
    assert "k=[0.0, " in repr(CameraInfo())
    with pytest.raises(TypeError):
        hash(one)
    assert copy.copy(one) == one


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview, lambda b: array("B", b),
                                  lambda b: np.frombuffer(b, np.uint8), list, tuple])
def test_bytes_are_taken_in_every_form(make: Any) -> None:
    content = bytes(range(256))
    image = Image(data=make(content))
    assert bytes(image.data) == content and len(image.data) == 256 and image.data[7] == 7
    assert np.array_equal(np.frombuffer(image.data, np.uint8), np.arange(256))
    assert image.data and not Image().data


def test_a_picture_is_kept_not_copied() -> None:
    picture = np.zeros((4, 6, 3), np.uint8)
    image = Image(data=picture)
    assert np.shares_memory(np.frombuffer(image.data, np.uint8), picture)
    assert len(image.data) == 72


def test_pictures_with_gaps_are_joined() -> None:
    picture = np.arange(48, dtype=np.uint8).reshape(4, 12)
    assert bytes(Image(data=picture[:, :6]).data) == picture[:, :6].tobytes()
    assert bytes(Image(data=memoryview(bytes(range(9)))[::2]).data) == bytes(range(0, 9, 2))
    assert bytes(Image(data=np.zeros((0, 3), np.uint8)).data) == b""


@pytest.mark.parametrize(("value", "error"), [
    (np.zeros(4, np.float32), TypeError), ("text", TypeError), (3, TypeError),
    ([256], OverflowError), ([-1], OverflowError), (["a"], TypeError),
    (array("H", [1]), TypeError),
])
def test_what_is_no_byte_is_refused(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"sensor_msgs/msg/Image\.data"):
        Image(data=value)


def test_wider_numbers() -> None:
    joint = get_message("sensor_msgs/msg/JointState")
    assert joint(position=[1, 2.5]).position == array("d", [1.0, 2.5])
    assert joint(position=np.arange(3, dtype=np.float32)).position.tolist() == [0, 1, 2]
    audio = get_message("audio_common_msgs/msg/AudioStamped")().audio.audio_data
    audio.int16_data = np.array([-5, 6], np.int16)
    assert audio.int16_data == array("h", [-5, 6])
    with pytest.raises(TypeError):
        audio.int16_data = np.array([0.5])
    with pytest.raises(OverflowError):
        audio.int16_data = [40000]
    audio.int8_data = np.array([-1], np.int8)
    assert audio.int8_data.tolist() == [-1]


def test_fixed_arrays_have_their_size() -> None:
    info = CameraInfo(k=range(9))
    assert info.k.tolist() == list(range(9))
    with pytest.raises(ValueError, match=r"CameraInfo\.k.*exactly 9"):
        info.k = [1.0]
    gid = get_message("rmw_dds_common/msg/Gid")
    assert gid(data=bytes(range(16))).data.tolist() == list(range(16))


def test_both_audio_packages_of_one_name() -> None:
    stamped = get_message("audio_common_msgs/msg/AudioDataStamped")()
    assert bytes(stamped.audio.data) == b""
    other = get_message("audio_common_msgs/msg/AudioStamped")()
    assert other.audio.info.rate == 0 and other.audio.audio_data.float32_data == array("f")
    assert type(stamped.audio) is not type(other.audio.audio_data)
    assert store_of("audio_common_msgs/msg/AudioStamped") is second_audio_store()
    assert main_store().type_hash("audio_common_msgs/msg/AudioData") != (
        second_audio_store().type_hash("audio_common_msgs/msg/AudioData"))


def test_names_short_wrong_and_unknown() -> None:
    assert get_message("sensor_msgs/Image") is Image
    assert get_service("std_srvs/SetBool") is get_service("std_srvs/srv/SetBool")
    for name in ("Image", "sensor_msgs/srv/Image", "a/b/c/d", "sensor_msgs//Image"):
        with pytest.raises(MiddlewareError, match="interface name"):
            get_message(name)
    with pytest.raises(MiddlewareError, match=r"not known.*install ROS 2"):
        get_message("some_msgs/msg/Thing")
    with pytest.raises(MiddlewareError, match="not known"):
        get_service("std_srvs/srv/Image")
    assert find_message("some_msgs/msg/Thing") is None


def test_definitions_can_be_added() -> None:
    register_definition(
        "extra_msgs/msg/Pair", "string[<=2] names\nstd_msgs/Header header\nbyte A=1")
    pair = get_message("extra_msgs/msg/Pair")
    assert pair(names=["a"]).names == ["a"] and pair.A == b"\x01"
    register_definition("extra_msgs/srv/Swap", "extra_msgs/Pair pair\n---\nextra_msgs/Pair pair")
    assert isinstance(get_service("extra_msgs/srv/Swap").Request().pair, pair)
    with pytest.raises(MiddlewareError, match="cannot be used"):
        register_definition("extra_msgs/msg/Pair", "float64 other")


def test_a_service_is_a_type_only() -> None:
    with pytest.raises(NotImplementedError):
        get_service("std_srvs/srv/SetBool")()
