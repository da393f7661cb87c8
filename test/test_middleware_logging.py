"""Loggers of the embedded runtime: levels, filters, the console's format, /rosout."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("cyclonedds", reason="the embedded runtime needs cyclonedds")

from avs_ros.middleware.embedded.interfaces import get_message
from avs_ros.middleware.embedded.rclpy import logging, logging_output
from avs_ros.middleware.embedded.rclpy.arguments import parse_arguments
from avs_ros.middleware.embedded.rclpy.logging import LoggingSeverity, get_logger


@pytest.fixture(autouse=True)
def defaults(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("RCUTILS_CONSOLE_OUTPUT_FORMAT", raising=False)
    monkeypatch.delenv("RCUTILS_LOGGING_USE_STDOUT", raising=False)
    monkeypatch.setenv("RCUTILS_COLORIZED_OUTPUT", "0")
    logging.clear_config()
    yield
    logging.clear_config()


class Listener:
    """Stands at the place of a /rosout publisher and keeps what it gets."""

    msg_type = get_message("rcl_interfaces/msg/Log")

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def publish(self, message: Any) -> None:
        self.messages.append(message)


def test_the_console_shows_what_ros_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert get_logger("robot.camera").warning("no picture")
    err = capsys.readouterr().err
    assert re.fullmatch(r"\[WARN\] \[\d{10}\.\d{9}\] \[robot\.camera\]: no picture\n", err)


def test_console_format_colour_and_stream_follow_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RCUTILS_CONSOLE_OUTPUT_FORMAT",
                       "{severity}|{function_name}|{short_file_name}|{message}|{nobody}")
    monkeypatch.setenv("RCUTILS_COLORIZED_OUTPUT", "1")
    monkeypatch.setenv("RCUTILS_LOGGING_USE_STDOUT", "1")
    get_logger("a").error("{time} stays")
    name = test_console_format_colour_and_stream_follow_the_environment.__name__
    assert capsys.readouterr().out == (
        f"\033[31mERROR|{name}|test_middleware_logging.py|{{time}} stays|{{nobody}}\033[0m\n"
    )


def test_levels_go_down_the_tree_of_names() -> None:
    robot, camera = get_logger("robot"), get_logger("robot.camera")
    assert camera.get_effective_level() is LoggingSeverity.INFO
    robot.set_level(LoggingSeverity.ERROR)
    assert camera.get_effective_level() is LoggingSeverity.ERROR
    assert not camera.warning("quiet")
    logging.set_logger_level("robot.camera", LoggingSeverity.DEBUG)
    assert camera.debug("loud") and not get_logger("robot.mic").info("quiet")
    logging.set_logger_level("robot.camera", LoggingSeverity.UNSET)
    assert not camera.is_enabled_for(LoggingSeverity.INFO)
    assert robot.get_child("camera").name == "robot.camera"
    assert logging.get_logger_level("robot.camera") is LoggingSeverity.UNSET


def test_levels_and_outputs_come_from_the_command_line(
    capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--ros-args", "--log-level", "warn", "--log-level", "talker:=debug"]
    logging_output.configure(parse_arguments(args))
    assert not get_logger("other").info("held back")
    assert get_logger("talker").debug("shown")
    logging_output.configure(parse_arguments(["--ros-args", "--disable-stdout-logs"]))
    get_logger("talker").error("nowhere")
    assert capsys.readouterr().err.endswith("shown\n")


def test_once_and_skip_first_count_per_place_in_the_code() -> None:
    logger = get_logger("filters")
    assert [logger.info("a", once=True) for _ in range(3)] == [True, False, False]
    assert [logger.info("b", once=True) for _ in range(2)] == [True, False]
    assert [logger.info("c", skip_first=True) for _ in range(3)] == [False, True, True]
    both = [logger.info("d", skip_first=True, once=True) for _ in range(4)]
    assert both == [False, True, False, False]


def test_throttle_follows_the_given_clock() -> None:
    logger = get_logger("throttle")
    clock = SimpleNamespace(seconds=100.0)
    clock.now = lambda: SimpleNamespace(nanoseconds=int(clock.seconds * 1e9))
    shown = []
    for step in range(8):
        clock.seconds = 100 + step * 0.5
        shown.append(logger.info("x", throttle_duration_sec=1.5, throttle_time_source_type=clock))
    assert shown == [True, False, False, True, False, False, True, False]
    assert [logger.info("y", throttle_duration_sec=1e6) for _ in range(2)] == [True, False]


def test_what_rclpy_refuses_is_refused() -> None:
    logger = get_logger("strict")
    with pytest.raises(TypeError, match="recognized logging options"):
        logger.info("x", throtle_duration_sec=1.0)
    with pytest.raises(TypeError, match="throttle_duration_sec"):
        logger.info("x", throttle_time_source_type=object())
    with pytest.raises(ValueError, match="not a clock"):
        logger.info("x", throttle_duration_sec=1.0, throttle_time_source_type=5)
    with pytest.raises(TypeError, match="must be a str"):
        logger.info(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="severity cannot be changed"):
        for severity in (LoggingSeverity.INFO, LoggingSeverity.WARN):
            logger.log("same place", severity)
    with pytest.raises(ValueError, match="filter parameters cannot be changed"):
        for duration in (1.0, 2.0):
            logger.info("same place", throttle_duration_sec=duration)
    with pytest.raises(ValueError, match="not be empty"):
        get_logger("")
    with pytest.raises(ValueError, match="not a severity"):
        logging.get_logging_severity_from_string("loud")


def test_rosout_gets_the_messages_of_its_node_and_its_children() -> None:
    listener, second = Listener(), Listener()
    assert logging_output.attach_rosout("robot.avs", listener)
    assert not logging_output.attach_rosout("robot.avs", second)
    try:
        get_logger("robot.avs").error("broken")
        get_logger("robot.avs").get_child("driver").info("child")
        get_logger("robot").info("not this node")
        get_logger("robot.avs").debug("below the level")
    finally:
        logging_output.detach_rosout("robot.avs", second)
        logging_output.detach_rosout("robot.avs", listener)
    get_logger("robot.avs").error("after")
    assert [(m.level, m.name, m.msg) for m in listener.messages] == [
        (40, "robot.avs", "broken"), (20, "robot.avs.driver", "child")]
    first = listener.messages[0]
    assert first.file == __file__ and first.line > 0
    assert first.function == "test_rosout_gets_the_messages_of_its_node_and_its_children"
    assert first.stamp.sec > 1_600_000_000


def test_node_logger_names() -> None:
    assert logging.node_logger_name("avs", "/") == "avs"
    assert logging.node_logger_name("avs", "/robot/left") == "robot.left.avs"
