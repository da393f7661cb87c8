"""Time: points and spans, clocks, jumps, timers, and /clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ros_session import Program, RosSession

from avs_ros.middleware.embedded import rclpy
from avs_ros.middleware.embedded.interfaces import get_message
from avs_ros.middleware.embedded.rclpy.clock import (
    Clock,
    ClockChange,
    JumpThreshold,
    ROSClock,
    TimeJump,
)
from avs_ros.middleware.embedded.rclpy.clock_type import ClockType
from avs_ros.middleware.embedded.rclpy.duration import Duration, Infinite
from avs_ros.middleware.embedded.rclpy.exceptions import NotInitializedException
from avs_ros.middleware.embedded.rclpy.parameter import Parameter
from avs_ros.middleware.embedded.rclpy.time import Time
from avs_ros.middleware.embedded.rclpy.timer import Timer

ClockMsg = get_message("rosgraph_msgs/msg/Clock")
ROS = ClockType.ROS_TIME
ANY_JUMP = JumpThreshold(
    min_forward=Duration(nanoseconds=1), min_backward=Duration(nanoseconds=-1))


@pytest.fixture
def ros() -> Iterator[RosSession]:
    session = RosSession()
    yield session
    session.close()


def at(seconds: float) -> Time:
    return Time(seconds=seconds, clock_type=ROS)


def simulated(seconds: float = 100.0) -> ROSClock:
    clock = ROSClock()
    clock._set_ros_time_is_active(True)
    clock.set_ros_time_override(at(seconds))
    return clock


def test_points_and_spans() -> None:
    assert Time(seconds=1, nanoseconds=5).nanoseconds == 1_000_000_005
    assert Time(seconds=2.5).seconds_nanoseconds() == (2, 500_000_000)
    assert Time(seconds=3) - Time(seconds=1) == Duration(seconds=2)
    assert Time(seconds=3) - Duration(seconds=1) == Time(seconds=2)
    assert Duration(seconds=1) + Time(seconds=1) == Time(seconds=2)
    assert Duration(seconds=-1) < Duration() < Infinite and str(Infinite) == "Infinite"
    assert str(Duration(nanoseconds=5)) == "5 nanoseconds"
    assert repr(at(1)) == "Time(nanoseconds=1000000000, clock_type=ROS_TIME)"
    assert Time.from_msg(at(7.25).to_msg()) == at(7.25)
    assert Duration.from_msg(Duration(seconds=-0.5).to_msg()) == Duration(seconds=-0.5)


def test_points_and_spans_out_of_range() -> None:
    with pytest.raises(ValueError, match="negative"):
        Time(seconds=-1)
    with pytest.raises(OverflowError):
        Time(nanoseconds=2**63)
    with pytest.raises(OverflowError):
        Duration(nanoseconds=2**63)
    for compare in ("__eq__", "__lt__", "__le__", "__gt__", "__ge__", "__sub__"):
        with pytest.raises(TypeError, match="different clock types"):
            getattr(Time(), compare)(at(0))
    with pytest.raises(TypeError):
        Time.from_msg(Duration().to_msg())
    assert Time() != "now" and Duration() != 0


def test_clocks_show_their_time() -> None:
    before = time.time_ns()
    assert before <= Clock().now().nanoseconds <= time.time_ns()
    steady = Clock(clock_type=ClockType.STEADY_TIME)
    assert steady.now() <= steady.now() and steady.clock_type == ClockType.STEADY_TIME
    ros_clock = Clock(clock_type=ROS)
    assert isinstance(ros_clock, ROSClock) and isinstance(ROSClock(), ROSClock)
    assert before <= ros_clock.now().nanoseconds <= time.time_ns()
    with pytest.raises(TypeError):
        Clock(clock_type="steady")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        ROSClock(clock_type=ClockType.STEADY_TIME)


def test_simulated_time_shows_what_is_set() -> None:
    clock = ROSClock()
    clock.set_ros_time_override(at(5))
    assert not clock.ros_time_is_active and clock.now() > at(5)
    clock._set_ros_time_is_active(True)
    assert clock.now() == at(5)
    clock.set_ros_time_override(at(6))
    assert clock.now() == at(6)
    with pytest.raises(TypeError):
        clock.set_ros_time_override(6)  # type: ignore[arg-type]


def test_jumps_call_back_before_and_after() -> None:
    clock = simulated(100)
    calls: list[Any] = []
    threshold = JumpThreshold(min_forward=Duration(seconds=5), min_backward=Duration(seconds=-1))
    with clock.create_jump_callback(
        threshold, pre_callback=lambda: calls.append(clock.now()),
        post_callback=lambda jump: calls.append((jump.clock_change, jump.delta)),
    ):
        clock.set_ros_time_override(at(101))  # too short
        clock.set_ros_time_override(at(110))
        clock.set_ros_time_override(at(109.5))  # too short
        clock.set_ros_time_override(at(2))
        assert calls == [
            at(101), (ClockChange.ROS_TIME_NO_CHANGE, Duration(seconds=9)),
            at(109.5), (ClockChange.ROS_TIME_NO_CHANGE, Duration(seconds=-107.5))]
        clock._set_ros_time_is_active(False)
        assert calls[-1][0] == ClockChange.ROS_TIME_DEACTIVATED
    clock._set_ros_time_is_active(True)
    assert len(calls) == 6


@pytest.mark.parametrize(("forward", "backward", "change"), [
    (Duration(seconds=-1), None, True), (None, Duration(seconds=1), True), (None, None, False)])
def test_thresholds_are_checked(forward: Any, backward: Any, change: bool) -> None:
    with pytest.raises(ValueError):
        JumpThreshold(min_forward=forward, min_backward=backward, on_clock_change=change)


def test_jump_callbacks_are_checked() -> None:
    clock = ROSClock()
    for arguments in ({}, {"pre_callback": 3}, {"post_callback": 3}):
        with pytest.raises(ValueError):
            clock.create_jump_callback(ANY_JUMP, **arguments)
    with pytest.raises(TypeError):
        TimeJump(1, Duration())  # type: ignore[arg-type]


def test_sleep_ends_when_the_time_has_come(ros: RosSession) -> None:
    clock = Clock(clock_type=ClockType.STEADY_TIME)
    start = clock.now()
    assert clock.sleep_for(Duration(seconds=0.02), ros.context)
    assert clock.now() - start >= Duration(seconds=0.02)
    assert clock.sleep_until(start, ros.context)
    with pytest.raises(ValueError, match="clock type"):
        clock.sleep_until(at(1), ros.context)
    with pytest.raises(NotInitializedException):
        clock.sleep_for(Duration(seconds=1), rclpy.Context())


def test_sleep_on_simulated_time_follows_it(ros: RosSession) -> None:
    clock = simulated(10)
    woke: list[bool] = []
    thread = threading.Thread(target=lambda: woke.append(clock.sleep_until(at(20), ros.context)))
    thread.start()
    while not clock._jump_handles:
        time.sleep(0.001)
    clock.set_ros_time_override(at(19))
    assert not woke
    clock.set_ros_time_override(at(20))
    thread.join(20)
    assert woke == [True]


def test_shutdown_ends_every_sleep(ros: RosSession) -> None:
    clock = simulated(10)
    woke: list[bool] = []
    thread = threading.Thread(target=lambda: woke.append(clock.sleep_until(at(20), ros.context)))
    thread.start()
    while not clock._jump_handles:
        time.sleep(0.001)
    ros.context.shutdown()
    thread.join(20)
    assert woke == [False]


def test_timers_keep_their_rhythm_and_skip_what_they_missed() -> None:
    clock = simulated(100)
    timer = Timer(lambda: None, None, 10**9, clock)
    assert not timer.is_ready() and timer.time_until_next_call() == 10**9
    clock.set_ros_time_override(at(101.2))
    assert timer.is_ready() and timer.time_until_next_call() == -200_000_000
    assert timer._take() is not None
    assert timer._take() is None and timer.time_until_next_call() == 800_000_000
    clock.set_ros_time_override(at(105.5))
    timer._take()
    assert timer.time_until_next_call() == 500_000_000 and timer.time_since_last_call() == 0
    timer.cancel()
    clock.set_ros_time_override(at(110))
    assert timer.is_canceled() and not timer.is_ready() and timer.time_until_next_call() is None
    timer.reset()
    assert timer.time_until_next_call() == 10**9
    timer.timer_period_ns = 5
    assert timer.timer_period_ns == 5
    with pytest.raises(ValueError, match="negative"):
        Timer(None, None, -1, clock)


def test_timers_after_a_jump_back_start_anew() -> None:
    clock = simulated(100)
    timer = Timer(lambda: None, None, 10**9, clock)
    clock.set_ros_time_override(at(2))
    assert timer.time_until_next_call() == 10**9
    clock.set_ros_time_override(at(3))
    assert timer.is_ready()


def test_timers_keep_their_share_when_time_becomes_simulated() -> None:
    clock = ROSClock()
    clock.set_ros_time_override(at(50))
    timer = Timer(lambda: None, None, 10**12, clock)
    clock._set_ros_time_is_active(True)
    left = timer.time_until_next_call()
    assert left is not None and 0 < left <= 10**12


def test_a_timer_fires_and_can_be_canceled(ros: RosSession) -> None:
    node = ros.node("one")
    fired: list[int] = []
    timer = node.create_timer(0.01, lambda: fired.append(node.get_clock().now().nanoseconds))
    assert ros.wait(lambda: len(fired) >= 3)
    timer.cancel()
    count = len(fired)
    ros.executor.spin_once(timeout_sec=0.05)
    assert len(fired) == count
    assert node.destroy_timer(timer) and not node.destroy_timer(timer)
    sleeper = node.create_timer(0.0, lambda: fired.append(0), autostart=False)
    assert sleeper.is_canceled()


def test_rate_sleeps_between_ticks(ros: RosSession) -> None:
    node = ros.node("one")
    rate = node.create_rate(200.0)
    done: list[int] = []

    def loop() -> None:
        for number in range(3):
            rate.sleep()
            done.append(number)

    thread = threading.Thread(target=loop)
    thread.start()
    assert ros.wait(lambda: len(done) == 3)
    thread.join()
    assert node.destroy_rate(rate)
    with pytest.raises(RuntimeError, match="destroyed"):
        rate.sleep()
    with pytest.raises(ValueError):
        node.create_rate(0.0)


def test_clock_topic_drives_a_node_in_another_process(ros: RosSession) -> None:
    program = Program("""
import sys
from avs_ros.middleware import rclpy, get_message
rclpy.init()
node = rclpy.node.Node("timed")
Clock = get_message("rosgraph_msgs/msg/Clock")
heard = node.create_publisher(get_message("builtin_interfaces/msg/Time"), "heard", 10)
threshold = rclpy.clock.JumpThreshold(
    min_forward=None, min_backward=rclpy.duration.Duration(seconds=-1), on_clock_change=False)
node.get_clock().create_jump_callback(
    threshold, post_callback=lambda jump: print("jump", jump.delta.nanoseconds, flush=True))
node.create_timer(1.0, lambda: heard.publish(node.get_clock().now().to_msg()))
try:
    rclpy.spin(node)
except rclpy.executors.ExternalShutdownException:
    pass
""", "--ros-args", "-p", "use_sim_time:=true")
    try:
        node = ros.node("player")
        got: list[int] = []
        node.create_subscription(
            get_message("builtin_interfaces/msg/Time"), "heard", lambda m: got.append(m.sec), 10)
        publisher = node.create_publisher(ClockMsg, "/clock", 10)
        assert ros.wait(
            lambda: publisher.get_subscription_count() == 1 and node.count_publishers("heard"))
        shown = 1000.0

        def step() -> None:
            nonlocal shown
            shown += 0.1
            publisher.publish(ClockMsg(clock=at(shown).to_msg()))

        node.create_timer(0.01, step)
        assert ros.wait(lambda: len(got) >= 3)
        # The first one is due at once: time has jumped from zero.
        assert got[2] - got[1] == 1 and 1000 <= got[0] <= 1060
        shown = 10.0
        assert ros.wait(program.has_line)
        assert program.line().startswith("jump -9")
        got.clear()
        assert ros.wait(lambda: len(got) >= 2 and got[-1] < 500)
    finally:
        program.process.terminate()
        assert program.finish()[0] == 0


def test_use_sim_time_switches_at_run_time(ros: RosSession) -> None:
    node = ros.node("one")
    assert node.get_parameter("use_sim_time").value is False
    assert node.count_subscribers("/clock") == 0
    (result,) = node.set_parameters([Parameter("use_sim_time", value=True)])
    assert result.successful and node.get_clock().ros_time_is_active
    assert node.get_clock().now() == at(0)
    publisher = node.create_publisher(ClockMsg, "/clock", 1)
    assert ros.wait(lambda: publisher.get_subscription_count() == 1)
    publisher.publish(ClockMsg(clock=at(77).to_msg()))
    assert ros.wait(lambda: node.get_clock().now() == at(77))
    node.set_parameters([Parameter("use_sim_time", value=False)])
    assert node.get_clock().now() > at(10**9)
    assert ros.wait(lambda: publisher.get_subscription_count() == 0)
    (refused,) = node.set_parameters([Parameter("use_sim_time", value="yes")])
    assert not refused.successful
