"""CDR: every known type against the codec of rosbags, and bytes that make no sense."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avs_ros.middleware.embedded import cdr
from avs_ros.middleware.embedded.interfaces import _message_class, get_message, get_service
from avs_ros.middleware.embedded.schema import (
    TYPE_CODES,
    Field,
    SchemaStore,
    main_store,
    second_audio_store,
)

KNOWN = [
    *((main_store(), name) for name in main_store().names()),
    (second_audio_store(), "audio_common_msgs/msg/AudioStamped"),
]
Image = get_message("sensor_msgs/msg/Image")


def _one(field: Field, cls: type, random: np.random.Generator, depth: int) -> Any:
    if field.is_message:
        return fill(cls.nested[field.base], random, depth + 1)  # type: ignore[attr-defined]
    if field.base == "string":
        text = "".join(random.choice(list("aé漢\n "), random.integers(0, 9)))
        return text[: (field.string_bound or 9) // 3]
    if field.base == "bool":
        return bool(random.integers(2))
    if field.base == "byte":
        return random.bytes(1)
    code = np.dtype(TYPE_CODES[field.base])
    if code.kind == "f":
        return float(random.standard_normal(1).astype(code)[0])
    limits = np.iinfo(code)
    return int(random.integers(limits.min, limits.max, endpoint=True, dtype=code))


def fill(cls: type, random: np.random.Generator, depth: int = 0) -> Any:
    """A message of random values; sequences get short as the nesting gets deep."""
    message = cls()
    for field in cls.schema.fields:  # type: ignore[attr-defined]
        if field.kind == "single":
            value = _one(field, cls, random, depth)
        else:
            most = min(field.size or 5, max(5 - 2 * depth, 1))
            count = field.size if field.kind == "array" else int(random.integers(0, most + 1))
            value = [_one(field, cls, random, depth) for _ in range(count)]
        setattr(message, field.name, value)
    return message


def to_rosbags(store: SchemaStore, message: Any) -> Any:
    """The same message as an object of rosbags' own classes."""
    values = []
    for field in message.schema.fields:
        value = getattr(message, field.name)
        if field.is_message:
            value = (
                to_rosbags(store, value) if field.kind == "single"
                else [to_rosbags(store, one) for one in value]
            )
        elif field.base == "byte":
            # There a byte is signed.
            value = np.array([one[0] for one in ([value] if field.kind == "single" else value)],
                             np.uint8).astype(np.int8)
            value = int(value[0]) if field.kind == "single" else value
        elif field.base == "bool" and field.kind != "single":
            value = np.array(value, bool)
        elif field.base != "string" and field.kind != "single":
            value = np.array(value, TYPE_CODES[field.base])
        values.append(value)
    return store._store.types[message.schema.name](*values)


@pytest.mark.parametrize(("store", "name"), KNOWN, ids=[name for _, name in KNOWN])
def test_the_wire_form_is_that_of_rosbags(store: SchemaStore, name: str) -> None:
    cls = _message_class(name, store)
    random = np.random.default_rng(len(name))
    for _ in range(3):
        message = fill(cls, random)
        ours = bytes(cdr.serialize(message))
        theirs = store._store.serialize_cdr(to_rosbags(store, message), name)
        assert ours == bytes(theirs).ljust(len(ours), b"\0")
        assert len(ours) - len(theirs) < 4
        assert cdr.deserialize(ours, cls) == message
        big = store._store.serialize_cdr(
            to_rosbags(store, message), name, little_endian=False)
        assert cdr.deserialize(bytes(big), cls) == message


@pytest.mark.parametrize("name", [
    "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo", "diagnostic_msgs/msg/DiagnosticArray",
    "vision_msgs/msg/Detection2DArray", "rcl_interfaces/msg/ParameterEvent",
])
def test_every_truncation_is_noticed(name: str) -> None:
    cls = get_message(name)
    data = bytes(cdr.serialize(fill(cls, np.random.default_rng(5))))
    whole = cdr.deserialize(data, cls)
    for length in range(len(data)):
        try:
            message = cdr.deserialize(data[:length], cls)
        except cdr.CdrError:
            continue
        # Only the padding behind the last field may go.
        assert message == whole and len(data) - length < 4


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200), little=st.booleans())
def test_random_bytes_give_a_message_or_a_cdr_error(data: bytes, little: bool) -> None:
    for name in ("diagnostic_msgs/msg/DiagnosticArray", "sensor_msgs/msg/Image"):
        try:
            cdr.deserialize(bytes([0, little, 0, 0]) + data, get_message(name))
        except cdr.CdrError as error:
            assert str(error)


def test_an_absurd_count_costs_nothing() -> None:
    data = bytes([0, 1, 0, 0]) + bytes(8) + (1).to_bytes(4, "little") + bytes(4)
    array = get_message("diagnostic_msgs/msg/DiagnosticArray")
    with pytest.raises(cdr.CdrError, match=r"DiagnosticArray\.status"):
        cdr.deserialize(data + b"\xff\xff\xff\xff", array)


@pytest.mark.parametrize("head", [b"", b"\x00\x01", b"\x00\x07\x00\x00", b"\x00\x03\x00\x00"])
def test_other_encapsulations_are_refused(head: bytes) -> None:
    with pytest.raises(cdr.CdrError, match="plain CDR"):
        cdr.deserialize(head + bytes(20) if len(head) > 2 else head, Image)


def test_bytes_left_over_are_an_error() -> None:
    with pytest.raises(cdr.CdrError, match="left over"):
        cdr.deserialize(bytes(cdr.serialize(Image())) + bytes(4), Image)


def test_an_empty_string_without_terminator_is_read() -> None:
    string = get_message("std_msgs/msg/String")
    assert cdr.deserialize(b"\x00\x01\x00\x00" + bytes(4), string).data == ""


def test_text_that_is_no_utf8_is_shown_not_refused() -> None:
    string = get_message("std_msgs/msg/String")
    data = b"\x00\x01\x00\x00" + (3).to_bytes(4, "little") + b"\xffa\x00\x00"
    assert cdr.deserialize(data, string).data == "\ufffda"


def test_the_request_id_goes_before_the_request() -> None:
    request = get_service("example_interfaces/srv/AddTwoInts").Request
    data = cdr.serialize(request(a=1, b=-2), bytes(range(16)))
    assert data[4:20] == bytes(range(16))
    assert cdr.deserialize(bytes(data), request, 16) == request(a=1, b=-2)


@pytest.mark.parametrize(("change", "where"), [
    ({"height": -1}, r"Image\.height"), ({"height": "a"}, r"Image\.height"),
    ({"encoding": 3}, r"Image\.encoding: expected str"),
    ({"is_bigendian": 256}, r"Image\.is_bigendian"), ({"header": None}, r"Image\.header"),
    ({"step": 1.5}, r"Image\.step"),
])
def test_values_that_do_not_fit_name_their_field(change: dict[str, Any], where: str) -> None:
    with pytest.raises(TypeError, match=where):
        cdr.serialize(Image(**change))


def test_a_wrong_value_deep_inside_names_its_own_field() -> None:
    image = Image()
    image.header.stamp.sec = 2**31
    with pytest.raises(TypeError, match=r"builtin_interfaces/msg/Time\.sec"):
        cdr.serialize(image)


def test_bounds_are_kept_both_ways() -> None:
    descriptor = get_message("rcl_interfaces/msg/ParameterDescriptor")
    span = get_message("rcl_interfaces/msg/IntegerRange")
    with pytest.raises(TypeError, match="at most 1"):
        cdr.serialize(descriptor(integer_range=[span(), span()]))
    info = get_message("rmw_dds_common/msg/NodeEntitiesInfo")
    with pytest.raises(TypeError, match="at most 256"):
        cdr.serialize(info(node_name="x" * 257))
    long = bytes(cdr.serialize(info(node_name="x" * 256)))
    assert cdr.deserialize(long, info).node_name == "x" * 256


def test_a_received_message_can_be_copied_deeply() -> None:
    image = cdr.deserialize(bytes(cdr.serialize(Image(data=b"abc"))), Image)
    twin = copy.deepcopy(image)
    twin.header.frame_id = "other"
    assert image.header.frame_id == "" and bytes(twin.data) == b"abc"
    assert not np.shares_memory(np.frombuffer(twin.data, np.uint8),
                                np.frombuffer(image.data, np.uint8))
