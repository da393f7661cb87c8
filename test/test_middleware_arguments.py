"""Command lines, remapping rules and parameter files as ROS 2 reads them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("cyclonedds", reason="the embedded runtime needs cyclonedds")

from avs_ros.errors import MiddlewareError
from avs_ros.middleware.embedded.rclpy.arguments import (
    Arguments,
    RCLInvalidROSArgsError,
    UnknownROSArgsError,
    parameter_overrides,
    parse_arguments,
    remove_ros_args,
    resolve_node_name,
    resolve_service_name,
    resolve_topic_name,
)
from avs_ros.middleware.embedded.rclpy.logging import LoggingSeverity
from avs_ros.middleware.embedded.rclpy.parameter_files import (
    matches_node,
    parse_scalar,
    parse_value,
)


def values(node: str, own: Arguments | None, process: Arguments) -> dict[str, object]:
    return dict(parameter_overrides(node, own, process))


def ros(*args: str) -> Arguments:
    return parse_arguments(["program", "--ros-args", *args])


def test_ros_arguments_are_taken_out_up_to_the_separator() -> None:
    argv = ["program", "in.mp4", "--ros-args", "-p", "rate:=5", "--log-level", "debug", "--",
            "--loop", "--ros-args", "-r", "a:=b"]
    assert remove_ros_args(argv) == ["program", "in.mp4", "--loop"]
    parsed = parse_arguments(argv)
    assert parsed.parameters == {"/**": {"rate": 5}}
    assert parsed.log_level is LoggingSeverity.DEBUG
    assert [rule.match for rule in parsed.remap_rules] == ["a"]


def test_no_arguments_and_sys_argv(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_arguments(None) == Arguments()
    monkeypatch.setattr("sys.argv", ["x", "y", "--ros-args", "-r", "__ns:=/a"])
    assert remove_ros_args() == ["x", "y"]


def test_a_rule_outside_of_ros_args_still_works_but_warns() -> None:
    with pytest.warns(UserWarning, match="deprecated"):
        parsed = parse_arguments(["program", "image:=/camera/image"])
    assert parsed.remaining == ["program"]
    assert resolve_topic_name("image", "n", "/", None, parsed) == "/camera/image"


@pytest.mark.parametrize("bad", [
    ["-p"], ["-p", "novalue"], ["-p", "x:="], ["-p", ":=1"], ["-p", "a..b:=1"],
    ["-p", "x:=[1, 2.0]"], ["-p", "x:={a: 1}"], ["-p", "x:=[[1]]"], ["-p", "x:=[1"],
    ["-r", "a"], ["-r", "a:=b c"], ["-r", "a__b:=c"], ["-r", "/*/a:=b"], ["-r", "__ns:=robot"],
    ["-r", "__node:=/a"], ["-r", "1a:=b"], ["--log-level", "loud"], ["--log-level", ":=debug"],
    ["--params-file", "/does/not/exist.yaml"], ["--enclave", "relative"],
])
def test_bad_ros_arguments_name_the_flag(bad: list[str]) -> None:
    with pytest.raises(RCLInvalidROSArgsError, match=bad[0]) as caught:
        ros(*bad)
    assert isinstance(caught.value, MiddlewareError)


def test_unknown_ros_arguments_are_reported_together() -> None:
    parsed = ros("--what", "-p", "a:=1", "--else")
    with pytest.raises(UnknownROSArgsError, match=r"--what.*--else"):
        parsed.check_unknown()
    ros("-p", "a:=1").check_unknown()


def test_log_switches_and_levels() -> None:
    parsed = ros("--log-level", "robot.camera:=WARN", "--log-level", "error",
                 "--disable-rosout-logs", "--disable-stdout-logs", "--enable-stdout-logs")
    assert parsed.logger_levels == {"robot.camera": LoggingSeverity.WARN}
    assert parsed.log_level is LoggingSeverity.ERROR
    assert parsed.stdout_logs and parsed.external_lib_logs and not parsed.rosout_logs


def test_node_and_namespace_are_renamed() -> None:
    everyone = ros("-r", "__node:=ear", "-r", "__ns:=/robot")
    assert resolve_node_name("mic", "", None, everyone) == ("ear", "/robot")
    assert resolve_node_name("mic", "left", None, ros()) == ("mic", "/left")
    assert resolve_node_name("mic", "", ros("-r", "__name:=own"), everyone) == ("own", "/robot")


def test_a_namespace_rule_for_one_node_sees_its_new_name() -> None:
    rules = ros("-r", "mic:__node:=ear", "-r", "mic:__ns:=/old", "-r", "ear:__ns:=/new")
    assert resolve_node_name("mic", "", None, rules) == ("ear", "/new")
    assert resolve_node_name("cam", "", None, rules) == ("cam", "/")


def test_topics_are_expanded_before_they_are_compared() -> None:
    rules = ros("-r", "image:=/camera/image", "-r", "~/mask:=masks/one", "-r", "/abs:=~/private")
    def topic(name: str) -> str:
        return resolve_topic_name(name, "avs", "/robot", None, rules)
    assert topic("image") == "/camera/image"
    assert topic("/robot/image") == "/camera/image"
    assert topic("/image") == "/image"
    assert topic("~/mask") == "/robot/masks/one"
    assert topic("/abs") == "/robot/avs/private"
    assert topic("other") == "/robot/other"


def test_first_matching_rule_wins_and_own_rules_come_first() -> None:
    everyone = ros("-r", "other:a:=not_me", "-r", "a:=first", "-r", "a:=second")
    assert resolve_topic_name("a", "me", "/", None, everyone) == "/first"
    assert resolve_topic_name("a", "other", "/", None, everyone) == "/not_me"
    assert resolve_topic_name("a", "me", "/", ros("-r", "a:=mine"), everyone) == "/mine"


def test_rules_for_topics_only_and_services_only() -> None:
    rules = ros("-r", "rostopic://a:=t", "-r", "rosservice://a:=s")
    assert resolve_topic_name("a", "n", "/", None, rules) == "/t"
    assert resolve_service_name("a", "n", "/", None, rules) == "/s"


@pytest.mark.parametrize(("text", "value"), [
    ("1", 1), ("-7", -7), ("0x1F", 31), ("010", 8), ("08", 8.0), ("0", 0),
    ("9223372036854775807", 2**63 - 1), ("9223372036854775808", float(2**63)),
    ("1.5", 1.5), (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0), ("1e-3", 0.001),
    (".inf", math.inf), ("-.INF", -math.inf), ("inf", math.inf),
    ("yes", True), ("On", True), ("y", True), ("TRUE", True), ("off", False), ("N", False),
    ("tRue", "tRue"), ("1_000", "1_000"), ("null", "null"), ("~", "~"), ("hello", "hello"),
    ("0b11", "0b11"), ("+", "+"), ("1e", "1e"),
])
def test_scalars_have_the_type_that_ros_gives_them(text: str, value: object) -> None:
    got = parse_scalar(text)
    assert got == value
    assert type(got) is type(value)


def test_nan_quotes_tags_and_lists() -> None:
    assert math.isnan(float(parse_scalar(".nan"))) and math.isnan(float(parse_scalar("NaN")))
    assert parse_value("'1'") == "1"
    assert parse_value('"true"') == "true"
    assert parse_value("''") == ""
    assert parse_value("!!str 5") == "5"
    assert parse_value("[a, 'b c', \"3\"]") == ["a", "b c", "3"]
    assert parse_value("[1.0, 2.5]") == [1.0, 2.5]
    assert parse_value("[]") is None


@pytest.mark.parametrize(("pattern", "node", "fits"), [
    ("/**", "/a", True), ("/**", "/a/b/c", True), ("/*", "/a", True), ("/*", "/a/b", False),
    ("a", "/a", True), ("a", "/ns/a", False), ("/ns/a", "/ns/a", True), ("/**/a", "/a", True),
    ("/**/a", "/x/y/a", True), ("/*/a", "/x/a", True), ("/*/a", "/a", False),
    ("/ns/**", "/ns/a/b", True), ("/ns/**", "/nsa", False), ("a", "/ab", False),
])
def test_node_patterns(pattern: str, node: str, fits: bool) -> None:
    assert matches_node(pattern, node) is fits


@given(st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1),
    st.lists(st.floats(allow_nan=False), min_size=1), st.lists(st.booleans(), min_size=1),
    st.text("abcxyz0123 /:_-#'\"[]{}", min_size=2),
))
def test_what_launch_files_write_is_read_back(value: object) -> None:
    text = yaml.dump(value)
    got = parse_value(text)
    if isinstance(value, str) and not isinstance(got, str):
        # ROS 2's own ambiguity: YAML writes such words and numbers without quotes.
        assert text.strip("\n.") == value
    else:
        assert got == value and type(got) is type(value)


FILE = """
/**:
  ros__parameters:
    rate: 1
    nested: {gain: 0.5, "name": two words}
    labels: [dog, cat]
    empty: []
robot:
  ear:
    ros__parameters:
      rate: 2
/robot/eye:
  ros__parameters: {rate: 3}
"""


def test_a_parameter_file_reaches_the_nodes_that_it_names(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(FILE)
    parsed = ros("--params-file", str(path))
    assert values("/robot/ear", None, parsed) == {
        "rate": 2, "nested.gain": 0.5, "nested.name": "two words", "labels": ["dog", "cat"],
        "empty": None,
    }
    assert values("/robot/eye", None, parsed)["rate"] == 3
    assert values("/ear", None, parsed)["rate"] == 1


def test_what_comes_later_wins_as_in_ros(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("ear: {ros__parameters: {rate: 2}}\n")
    after = ros("--params-file", str(path), "-p", "rate:=9")
    assert values("/ear", None, after) == {"rate": 9}
    before = ros("-p", "rate:=9", "--params-file", str(path))
    assert values("/ear", None, before) == {"rate": 2}
    own = ros("-p", "ear:rate:=7")
    assert values("/ear", own, after) == {"rate": 7}
    assert values("/nose", own, after) == {"rate": 9}


@pytest.mark.parametrize(("text", "complaint"), [
    ("a: 1\n", "outside of ros__parameters"),
    ("ros__parameters: {a: 1}\n", "no node name"),
    ("a: {ros__parameters: [1]}\n", "must be a mapping"),
    ("a b: {ros__parameters: {x: 1}}\n", "not a node name"),
    ("a: {ros__parameters: {x: }}\n", "no value at line 1"),
    ("a: {ros__parameters: {x: [1, two]}}\n", "one type"),
    ("a: {ros__parameters: {x: &b 1, y: *b}}\n", "aliases"),
    ("a: {ros__parameters: {x: [}\n", "not valid YAML"),
    ("- a\n", "node names"),
])
def test_a_bad_parameter_file_says_what_and_where(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(RCLInvalidROSArgsError, match=complaint) as caught:
        ros("--params-file", str(path))
    assert "bad.yaml" in str(caught.value)
