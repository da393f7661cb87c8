"""Parameters of a node, as rclpy declares, checks, sets, lists and describes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cyclonedds", reason="the embedded runtime needs cyclonedds")

from avs_ros.middleware.embedded import rclpy
from avs_ros.middleware.embedded.interfaces import get_message
from avs_ros.middleware.embedded.rclpy.exceptions import (
    InvalidParameterException,
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterImmutableException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
)
from avs_ros.middleware.embedded.rclpy.node import Node
from avs_ros.middleware.embedded.rclpy.parameter import (
    Parameter,
    get_parameter_value,
    parameter_dict_from_yaml_file,
    parameter_value_to_python,
)
from avs_ros.middleware.embedded.rclpy.qos import (
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from avs_ros.middleware.embedded.rclpy.qos_overriding_options import (
    InvalidQosOverridesError,
    QoSOverridingOptions,
)

Descriptor = get_message("rcl_interfaces/msg/ParameterDescriptor")
IntegerRange = get_message("rcl_interfaces/msg/IntegerRange")
FloatingPointRange = get_message("rcl_interfaces/msg/FloatingPointRange")
Result = get_message("rcl_interfaces/msg/SetParametersResult")
Type = Parameter.Type


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()


def make_node(*args: str, **options: Any) -> Node:
    return Node("tester", cli_args=["--ros-args", *args] if args else None, **options)


@pytest.fixture
def node() -> Iterator[Node]:
    one = make_node()
    yield one
    one.destroy_node()


def floats(low: float, high: float, step: float = 0.0) -> Any:
    bounds = FloatingPointRange(from_value=low, to_value=high, step=step)
    return Descriptor(floating_point_range=[bounds])


def integers(low: int, high: int, step: int = 0) -> Any:
    return Descriptor(integer_range=[IntegerRange(from_value=low, to_value=high, step=step)])


@pytest.mark.parametrize(("value", "type_"), [
    (None, Type.NOT_SET), (True, Type.BOOL), (3, Type.INTEGER), (0.5, Type.DOUBLE),
    ("x", Type.STRING), ([b"a"], Type.BYTE_ARRAY), ([], Type.BYTE_ARRAY),
    ([True, False], Type.BOOL_ARRAY), ([1, 2], Type.INTEGER_ARRAY), ((1.0,), Type.DOUBLE_ARRAY),
    (["a", "b"], Type.STRING_ARRAY),
])
def test_types_and_the_way_through_messages(value: Any, type_: Type) -> None:
    parameter = Parameter("p", value=value)
    assert parameter.type_ is type_
    again = Parameter.from_parameter_msg(parameter.to_parameter_msg())
    assert again.name == "p" and again.type_ is type_
    assert again.value == (list(value) if isinstance(value, tuple) else value)


def test_values_that_no_parameter_can_hold() -> None:
    for value in ({}, object(), [1, 2.0], [1, "a"]):
        with pytest.raises(TypeError):
            Parameter("p", value=value)
    with pytest.raises(ValueError, match="do not agree"):
        Parameter("p", Type.DOUBLE, 1)
    with pytest.raises(TypeError, match="type must be"):
        Parameter("p", 3, 1)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="unexpected parameter type"):
        parameter_value_to_python(get_message("rcl_interfaces/msg/ParameterValue")(type=77))


def test_declare_get_and_set(node: Node) -> None:
    assert node.declare_parameter("gain", 1.0).value == 1.0
    assert node.has_parameter("gain") and not node.has_parameter("loss")
    assert node.get_parameter_type("gain") is Type.DOUBLE
    assert node.set_parameters([Parameter("gain", value=2.0)])[0].successful
    assert node.get_parameter("gain").value == 2.0
    assert node.get_parameter_or("loss", Parameter("loss", value=7)).value == 7
    assert node.get_parameter_or("loss").type_ is Type.NOT_SET
    wrong = node.set_parameters([Parameter("gain", value=2)])[0]
    assert not wrong.successful and wrong.reason.startswith("Wrong parameter type, expected")
    gone = node.set_parameters([Parameter("gain", Type.NOT_SET)])[0]
    assert gone.reason == "Static parameter cannot be undeclared"
    assert node.get_parameter("gain").value == 2.0


def test_names_and_tuples_that_cannot_be_declared(node: Node) -> None:
    node.declare_parameters("cam", [("rate", 5), ("name", "x", Descriptor())])
    assert node.get_parameter("cam.rate").value == 5
    assert {k: p.value for k, p in node.get_parameters_by_prefix("cam").items()} == {
        "rate": 5, "name": "x"}
    with pytest.raises(ParameterAlreadyDeclaredException, match=r"cam\.rate"):
        node.declare_parameter("cam.rate", 6)
    with pytest.raises(InvalidParameterException):
        node.declare_parameter("", 6)
    with pytest.raises(TypeError, match="tuple length"):
        node.declare_parameters("", [("a", 1, Descriptor(), 4)])
    with pytest.raises(TypeError, match="not a str"):
        node.declare_parameters("", [(5, 1)])
    with pytest.raises(TypeError, match="ParameterDescriptor"):
        node.declare_parameters("", [("a", 1, "no descriptor")])
    with pytest.raises(ValueError, match="PARAMETER_NOT_SET"):
        node.declare_parameter("a", None, Descriptor())
    with pytest.warns(UserWarning, match="deprecated"):
        node.declare_parameter("anything")
    assert node.get_parameter("anything").value is None


def test_undeclared_parameters_are_refused_or_allowed(node: Node) -> None:
    for call in (node.get_parameter, node.get_parameter_type, node.describe_parameter,
                 node.undeclare_parameter):
        with pytest.raises(ParameterNotDeclaredException, match="nobody"):
            call("nobody")
    with pytest.raises(ParameterNotDeclaredException):
        node.set_parameters([Parameter("nobody", value=1)])
    free = make_node(allow_undeclared_parameters=True)
    assert free.get_parameter("nobody").type_ is Type.NOT_SET
    assert free.set_parameters([Parameter("nobody", value=1)])[0].successful
    assert free.set_parameters([Parameter("nobody", value="now a string")])[0].successful
    assert free.describe_parameter("nobody").dynamic_typing
    assert free.set_parameters([Parameter("nobody", Type.NOT_SET)])[0].successful
    assert not free.has_parameter("nobody")
    free.destroy_node()


def test_ranges_use_rclpys_words_and_tolerance(node: Node) -> None:
    node.declare_parameter("f", 0.5, floats(0.0, 1.0))
    node.declare_parameter("step", 0.0, floats(0.0, 1.0, 0.25))
    node.declare_parameter("i", 4, integers(0, 10, 2))

    def reason(name: str, value: Any) -> str:
        result = node.set_parameters([Parameter(name, value=value)])[0]
        assert result.successful == (not result.reason)
        return str(result.reason)

    assert reason("f", 1.0 + 1e-9) == ""
    assert reason("f", 1.5) == "Parameter f out of range Min: 0.0, Max: 1.0, value: 1.5"
    assert "out of range" in reason("f", float("nan"))
    assert reason("step", 0.75) == "" and "not close enough to a valid step" in reason("step", 0.7)
    assert reason("i", 10) == "" and reason("i", 6) == ""
    assert reason("i", 11) == "Parameter i out of range. Min: 0, Max: 10, value: 11"
    assert reason("i", 5).startswith("The parameter value for i is not a valid step.")
    with pytest.raises(InvalidParameterValueException, match="out of range"):
        node.declare_parameter("bad", 5.0, floats(0.0, 1.0))
    assert not node.has_parameter("bad")


def test_read_only_parameters_take_overrides_but_no_change() -> None:
    node = make_node("-p", "fixed:=2")
    assert node.declare_parameter("fixed", 1, Descriptor(read_only=True)).value == 2
    result = node.set_parameters([Parameter("fixed", value=3)])[0]
    assert result.reason == "Trying to set a read-only parameter: fixed."
    with pytest.raises(ParameterImmutableException):
        node.undeclare_parameter("fixed")
    with pytest.raises(ParameterImmutableException):
        node.set_descriptor("fixed", Descriptor())
    node.destroy_node()


def test_types_without_values(node: Node) -> None:
    node.declare_parameter("later", Type.INTEGER)
    with pytest.raises(ParameterUninitializedException, match="later"):
        node.get_parameter("later")
    assert node.get_parameter_or("later", Parameter("later", value=9)).value == 9
    assert node.set_parameters([Parameter("later", value=5)])[0].successful
    assert node.get_parameter("later").value == 5
    with pytest.raises(ValueError, match="NOT_SET"):
        node.declare_parameter("never", Type.NOT_SET)
    with pytest.raises(ValueError, match="dynamic_typing"):
        node.declare_parameter("both", Type.BOOL, Descriptor(dynamic_typing=True))


def test_dynamic_typing_and_descriptors(node: Node) -> None:
    node.declare_parameter("any", 1, Descriptor(dynamic_typing=True, description="changes"))
    assert node.set_parameters([Parameter("any", value="text")])[0].successful
    described = node.describe_parameter("any")
    assert (described.name, described.type, described.description) == (
        "any", Type.STRING, "changes")
    node.declare_parameter("n", 5)
    value = node.set_descriptor("n", Descriptor(type=int(Type.INTEGER), description="new"))
    assert value.integer_value == 5 and node.describe_parameter("n").description == "new"
    limited = Descriptor(type=int(Type.INTEGER), integer_range=[
        IntegerRange(from_value=0, to_value=3, step=0)])
    with pytest.raises(InvalidParameterValueException):
        node.set_descriptor("n", limited)
    other = Parameter("n", value=2).get_parameter_value()
    assert node.set_descriptor("n", limited, other).integer_value == 2
    assert node.get_parameter("n").value == 2
    node.undeclare_parameter("n")
    assert not node.has_parameter("n")


def test_callbacks_see_change_and_refuse(node: Node) -> None:
    seen: list[tuple[str, list[Any]]] = []

    def refuse_negative(parameters: list[Parameter]) -> Any:
        seen.append(("on", [p.value for p in parameters]))
        bad = [p for p in parameters if isinstance(p.value, int) and p.value < 0]
        return Result(successful=not bad, reason="negative" if bad else "")

    def double(parameters: list[Parameter]) -> list[Parameter]:
        seen.append(("pre", [p.value for p in parameters]))
        return [Parameter(p.name, value=p.value * 2) for p in parameters if p.value != 0]

    node.add_on_set_parameters_callback(refuse_negative)
    node.declare_parameter("a", 1)
    with pytest.raises(InvalidParameterValueException, match="negative"):
        node.declare_parameter("b", -1)
    node.declare_parameter("b", 1)
    node.add_pre_set_parameters_callback(double)
    node.add_post_set_parameters_callback(
        lambda parameters: seen.append(("post", [p.value for p in parameters])))
    seen.clear()
    result = node.set_parameters_atomically(
        [Parameter("a", value=5), Parameter("b", value=-5)])
    assert result.reason == "negative"
    assert [node.get_parameter(n).value for n in "ab"] == [1, 1]
    assert node.set_parameters_atomically([Parameter("a", value=5)]).successful
    assert seen == [
        ("pre", [5, -5]), ("on", [10, -10]), ("pre", [5]), ("on", [10]), ("post", [10])]
    assert "list cannot be empty" in node.set_parameters([Parameter("a", value=0)])[0].reason
    node.remove_pre_set_parameters_callback(double)
    node.remove_on_set_parameters_callback(refuse_negative)
    assert node.set_parameters([Parameter("a", value=-3)])[0].successful
    with pytest.raises(ValueError):
        node.remove_on_set_parameters_callback(refuse_negative)


def test_listing_by_prefix_and_depth(node: Node) -> None:
    for name in ("alone", "cam.rate", "cam.lens.focus", "cam.lens.iris", "camera"):
        node.declare_parameter(name, 1)
    mine = {"alone", "cam.rate", "cam.lens.focus", "cam.lens.iris", "camera"}

    def names(prefixes: list[str], depth: int) -> set[str]:
        return set(node.list_parameters(prefixes, depth).names) & mine

    assert names([], 0) == mine
    assert names([], 1) == {"alone", "camera"}
    assert names(["cam"], 0) == {"cam.rate", "cam.lens.focus", "cam.lens.iris"}
    assert names(["cam"], 1) == {"cam.rate"}
    assert names(["cam.lens", "alone"], 0) == {"cam.lens.focus", "cam.lens.iris", "alone"}
    assert set(node.list_parameters(["cam"], 0).prefixes) == {"cam", "cam.lens"}
    with pytest.raises(ValueError):
        node.list_parameters([], -1)
    with pytest.raises(TypeError):
        node.list_parameters("cam", 0)  # type: ignore[arg-type]


def test_values_from_outside_beat_defaults(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("/robot/tester: {ros__parameters: {rate: 4, label: [a, b], wrong: 1}}\n")
    node = make_node("--params-file", str(path), "-r", "__ns:=/robot", "-p", "rate:=9",
                     parameter_overrides=[Parameter("label", value=["c"])])
    assert node.get_fully_qualified_name() == "/robot/tester"
    assert node.declare_parameter("rate", 1).value == 9
    assert node.declare_parameter("label", [""]).value == ["c"]
    with pytest.raises(InvalidParameterTypeException, match="expecting type 'DOUBLE'"):
        node.declare_parameter("wrong", 1.0)
    assert node.declare_parameter("rate2", 3, ignore_override=True).value == 3
    node.destroy_node()


def test_an_empty_list_from_outside_leaves_the_parameter_without_a_value() -> None:
    node = make_node("-p", "labels:=[]")
    node.declare_parameter("labels", ["dog"])
    with pytest.raises(ParameterUninitializedException):
        node.get_parameter("labels")
    node.destroy_node()


def test_overrides_can_declare_themselves() -> None:
    node = make_node("-p", "a.b:=1", "-p", "c:=x",
                     automatically_declare_parameters_from_overrides=True)
    assert node.get_parameter("a.b").value == 1 and node.get_parameter("c").value == "x"
    node.destroy_node()


def test_qos_overrides_reach_publisher_and_subscription() -> None:
    node = make_node(
        "-p", "qos_overrides./chatter.publisher.depth:=3",
        "-p", "qos_overrides./chatter.publisher.reliability:=best_effort",
        "-p", "qos_overrides./chatter.subscription_left.history:=keep_all")
    options = QoSOverridingOptions.with_default_policies()
    string = get_message("std_msgs/msg/String")
    publisher = node.create_publisher(
        string, "chatter", QoSProfile(depth=10), qos_overriding_options=options)
    assert publisher.qos_profile.depth == 3
    assert publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    subscription = node.create_subscription(
        string, "chatter", lambda message: None, 5,
        qos_overriding_options=QoSOverridingOptions.with_default_policies(entity_id="left"))
    assert subscription.qos_profile.history == HistoryPolicy.KEEP_ALL
    name = "qos_overrides./chatter.publisher.depth"
    assert node.describe_parameter(name).read_only
    assert "not valid" in _refused(node)
    node.destroy_node()
    wrong = make_node("-p", "qos_overrides./chatter.publisher.reliability:=perhaps")
    with pytest.raises(RuntimeError, match="Unexpected QoS override"):
        wrong.create_publisher(string, "chatter", 1, qos_overriding_options=options)
    wrong.destroy_node()


def _refused(node: Node) -> str:
    options = QoSOverridingOptions(
        [QoSPolicyKind.DEPTH, QoSPolicyKind.LIFESPAN, QoSPolicyKind.DEADLINE],
        callback=lambda qos: Result(successful=False, reason="too deep"))
    with pytest.raises(InvalidQosOverridesError, match="too deep") as caught:
        node.create_publisher(
            get_message("std_msgs/msg/String"), "deep", 1, qos_overriding_options=options)
    return str(caught.value)


def test_texts_and_files_become_messages(tmp_path: Path) -> None:
    for text, expected in (("1", 1), ("1.5", 1.5), ("true", True), ("[1, 2]", [1, 2]),
                           ("hello", "hello"), ("", ""), ("[1, a]", "[1, a]"), ("{a", "{a")):
        assert parameter_value_to_python(get_parameter_value(text)) == expected
    path = tmp_path / "p.yaml"
    path.write_text(
        "/**: {ros__parameters: {a: 1, b: {c: 2}}}\n/one: {ros__parameters: {a: 5}}\n")
    everything = parameter_dict_from_yaml_file(str(path), use_wildcard=True)
    assert {k: v.value.integer_value for k, v in everything.items()} == {"a": 5, "b.c": 2}
    one = parameter_dict_from_yaml_file(str(path), target_nodes=["/one"], namespace="x.")
    assert list(one) == ["x.a"]
    with pytest.raises(RuntimeError, match="/two"):
        parameter_dict_from_yaml_file(str(path), target_nodes=["/two"])
