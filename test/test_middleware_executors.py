"""Executors: who runs what and when, futures, errors, and an end without hanging."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ros_session import Program, RosSession

from avs_ros.middleware.embedded import rclpy
from avs_ros.middleware.embedded.interfaces import get_message
from avs_ros.middleware.embedded.rclpy.callback_groups import (
    MutuallyExclusiveCallbackGroup,
    ReentrantCallbackGroup,
)
from avs_ros.middleware.embedded.rclpy.exceptions import InvalidHandle
from avs_ros.middleware.embedded.rclpy.executors import (
    ExternalShutdownException,
    MultiThreadedExecutor,
    SingleThreadedExecutor,
)
from avs_ros.middleware.embedded.rclpy.task import Future, Task

String = get_message("std_msgs/msg/String")
PATIENCE = 20.0


@pytest.fixture
def ros() -> Iterator[RosSession]:
    session = RosSession()
    yield session
    session.close()


@pytest.fixture
def threads(ros: RosSession) -> Iterator[MultiThreadedExecutor]:
    """A pool of four that spins in a thread of its own."""
    executor = MultiThreadedExecutor(4, context=ros.context)
    spinner = threading.Thread(target=executor.spin)
    spinner.start()
    yield executor
    executor.shutdown(timeout_sec=PATIENCE)
    spinner.join(PATIENCE)
    assert not spinner.is_alive()


def test_ready_callbacks_take_turns(ros: RosSession) -> None:
    node = ros.node("one")
    order: list[str] = []
    for name in "abc":
        node.create_guard_condition(lambda name=name: order.append(name))
    guards = list(node.guards)
    for _ in range(3):
        for guard in guards:
            guard.trigger()
        for _ in guards:
            ros.executor.spin_once(timeout_sec=1)
    assert order == list("abc") * 3


def test_spin_once_runs_one_and_times_out(ros: RosSession) -> None:
    node = ros.node("one")
    ran: list[int] = []
    guards = [node.create_guard_condition(lambda: ran.append(1)) for _ in range(2)]
    for guard in guards:
        guard.trigger()
    ros.executor.spin_once(timeout_sec=0)
    assert len(ran) == 1
    ros.executor.spin_once(timeout_sec=0)
    ros.executor.spin_once(timeout_sec=0)
    assert len(ran) == 2
    node.destroy_guard_condition(guards[0])
    with pytest.raises(InvalidHandle):
        guards[0].trigger()


def test_an_error_in_a_callback_comes_out_of_spin(ros: RosSession) -> None:
    node = ros.node("one")

    def fail() -> None:
        raise RuntimeError("from the callback")

    guard = node.create_guard_condition(fail)
    guard.trigger()
    with pytest.raises(RuntimeError, match="from the callback"):
        ros.executor.spin_once(timeout_sec=1)
    guard.trigger()  # its group is free again
    with pytest.raises(RuntimeError, match="from the callback"):
        ros.executor.spin_once(timeout_sec=1)


def test_an_error_in_a_pool_comes_out_of_a_later_spin(ros: RosSession) -> None:
    node = rclpy.node.Node("one", context=ros.context)
    executor = MultiThreadedExecutor(2, context=ros.context)
    executor.add_node(node)

    def fail() -> None:
        raise RuntimeError("from the pool")

    node.create_guard_condition(fail).trigger()
    with pytest.raises(RuntimeError, match="from the pool"):
        for _ in range(200):
            executor.spin_once(timeout_sec=0.1)
            node.create_guard_condition(lambda: None).trigger()
    executor.shutdown()
    node.destroy_node()


def test_a_group_runs_one_at_a_time_and_others_go_on(
    ros: RosSession, threads: MultiThreadedExecutor
) -> None:
    node = rclpy.node.Node("one", context=ros.context)
    threads.add_node(node)
    inside, most, lock = 0, 0, threading.Lock()
    release, other = threading.Event(), threading.Event()

    def exclusive() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        release.wait(PATIENCE)
        with lock:
            inside -= 1

    group = MutuallyExclusiveCallbackGroup()
    guards = [node.create_guard_condition(exclusive, group) for _ in range(3)]
    for guard in guards:
        guard.trigger()
    free = node.create_guard_condition(other.set, MutuallyExclusiveCallbackGroup())
    free.trigger()
    assert other.wait(PATIENCE)
    release.set()
    end = time.monotonic() + PATIENCE
    while any(guard._triggered for guard in guards) and time.monotonic() < end:
        time.sleep(0.001)
    assert most == 1 and not any(guard._triggered for guard in guards)
    node.destroy_node()


def test_reentrant_callbacks_run_side_by_side(
    ros: RosSession, threads: MultiThreadedExecutor
) -> None:
    node = rclpy.node.Node("one", context=ros.context)
    threads.add_node(node)
    meeting = threading.Barrier(3)
    group = ReentrantCallbackGroup()
    publisher = node.create_publisher(String, "chat", 10)
    node.create_subscription(
        String, "chat", lambda m: meeting.wait(PATIENCE), 10, callback_group=group)
    end = time.monotonic() + PATIENCE
    while publisher.get_subscription_count() == 0 and time.monotonic() < end:
        time.sleep(0.001)
    for _ in range(2):
        publisher.publish(String())
    meeting.wait(PATIENCE)  # the test's thread and two runs of one callback
    node.destroy_node()


def test_every_message_is_handled_once_in_a_pool(
    ros: RosSession, threads: MultiThreadedExecutor
) -> None:
    node = rclpy.node.Node("one", context=ros.context)
    threads.add_node(node)
    got: list[str] = []
    node.create_subscription(
        String, "chat", lambda m: got.append(m.data), 500,
        callback_group=ReentrantCallbackGroup())
    publisher = node.create_publisher(String, "chat", 500)
    end = time.monotonic() + PATIENCE
    while publisher.get_subscription_count() == 0 and time.monotonic() < end:
        time.sleep(0.001)
    for number in range(300):
        publisher.publish(String(data=str(number)))
    while len(got) < 300 and time.monotonic() < end:
        time.sleep(0.001)
    assert sorted(map(int, got)) == list(range(300))
    node.destroy_node()


def test_a_due_timer_of_a_busy_group_does_not_keep_the_spinner_busy(
    ros: RosSession, threads: MultiThreadedExecutor
) -> None:
    node = rclpy.node.Node("one", context=ros.context)
    threads.add_node(node)
    entered, release = threading.Event(), threading.Event()

    def block() -> None:
        entered.set()
        release.wait(PATIENCE)

    node.create_timer(0.001, lambda: None)
    node.create_guard_condition(block).trigger()
    assert entered.wait(PATIENCE)
    before = time.process_time()
    time.sleep(0.3)
    spent = time.process_time() - before
    release.set()
    assert spent < 0.15
    node.destroy_node()


def test_spin_until_future_complete(ros: RosSession) -> None:
    node = ros.node("one")
    future: Future = Future()
    guard = node.create_guard_condition(lambda: future.set_result(5))
    guard.trigger()
    ros.executor.spin_until_future_complete(future, 10)
    assert future.result() == 5
    never: Future = Future()
    ros.executor.spin_until_future_complete(never, 0.02)
    assert not never.done()
    threading.Timer(0.02, lambda: never.set_result(1)).start()
    ros.executor.spin_until_future_complete(never)
    assert never.done()


def test_tasks_and_coroutines(ros: RosSession) -> None:
    gate: Future = Future()

    async def double(number: int) -> int:
        return number * await gate

    task = ros.executor.create_task(double, 21)
    plain = ros.executor.create_task(lambda: "done")
    assert ros.wait(plain.done) and plain.result() == "done"
    assert not task.done()
    gate.set_result(2)
    assert ros.wait(task.done) and task.result() == 42


def test_futures() -> None:
    future: Future = Future()
    seen: list[Any] = []
    future.add_done_callback(lambda f: seen.append(f.result()))
    future.set_result(3)
    future.add_done_callback(lambda f: seen.append("late"))
    assert seen == [3, "late"] and future.done() and not future.cancelled()
    failed: Future = Future()
    failed.set_exception(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        failed.result()
    assert isinstance(failed.exception(), ValueError)
    canceled: Future = Future()
    canceled.cancel()
    assert canceled.cancelled() and not canceled.done()
    with pytest.warns(UserWarning, match="done callback"):
        broken: Future = Future()
        broken.add_done_callback(lambda f: 1 / 0)
        broken.set_result(None)


def test_an_exception_nobody_looks_at_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    future: Future = Future()
    future.set_exception(ValueError("lost"))
    del future
    gc.collect()
    assert "never retrieved: lost" in capsys.readouterr().err


def test_a_task_runs_once_even_if_called_twice() -> None:
    ran: list[int] = []
    task = Task(lambda: ran.append(1))
    task()
    task()
    assert ran == [1] and task.done() and not task.executing()


def test_a_node_belongs_to_one_executor(ros: RosSession) -> None:
    node = ros.node("one")
    assert not ros.executor.add_node(node) and node.executor is ros.executor
    second = SingleThreadedExecutor(context=ros.context)
    node.executor = second
    assert ros.executor.get_nodes() == [] and second.get_nodes() == [node]
    node.executor = None
    assert second.get_nodes() == [] and node.executor is None


def test_entities_made_while_spinning_are_served(
    ros: RosSession, threads: MultiThreadedExecutor
) -> None:
    node = rclpy.node.Node("one", context=ros.context)
    threads.add_node(node)
    fired = threading.Event()
    node.create_timer(0.01, fired.set)
    assert fired.wait(PATIENCE)
    node.destroy_node()
    assert threads.get_nodes() == []


def test_shutdown_waits_for_what_runs_but_not_for_itself(ros: RosSession) -> None:
    node = ros.node("one")
    results: list[bool] = []
    node.create_guard_condition(lambda: results.append(ros.executor.shutdown())).trigger()
    ros.executor.spin_once(timeout_sec=1)
    assert results == [True]
    pool = MultiThreadedExecutor(2, context=ros.context)
    other = rclpy.node.Node("two", context=ros.context)
    pool.add_node(other)
    entered, release = threading.Event(), threading.Event()

    def block() -> None:
        entered.set()
        release.wait(PATIENCE)

    other.create_guard_condition(block).trigger()
    pool.spin_once(timeout_sec=1)
    assert entered.wait(PATIENCE)
    assert not pool.shutdown(timeout_sec=0.02)
    release.set()
    assert pool.shutdown(timeout_sec=PATIENCE)
    other.destroy_node()


def test_work_that_a_pool_never_began_can_be_done_elsewhere(ros: RosSession) -> None:
    node = rclpy.node.Node("one", context=ros.context)
    pool = MultiThreadedExecutor(1, context=ros.context)
    pool.add_node(node)
    entered, release, done = threading.Event(), threading.Event(), threading.Event()

    def block() -> None:
        entered.set()
        release.wait(PATIENCE)

    node.create_guard_condition(block, ReentrantCallbackGroup()).trigger()
    pool.spin_once(timeout_sec=1)
    assert entered.wait(PATIENCE)
    second = node.create_guard_condition(done.set)
    second.trigger()
    pool.spin_once(timeout_sec=1)  # taken, but the only thread is busy
    assert not pool.shutdown(timeout_sec=0.01)
    release.set()
    assert pool.shutdown(timeout_sec=PATIENCE)
    assert not done.is_set()
    ros.executor.add_node(node)
    second.trigger()
    assert ros.wait(done.is_set)
    node.destroy_node()


def test_shutdown_of_the_context_ends_a_waiting_spin(ros: RosSession) -> None:
    node = ros.node("one")
    node.create_timer(1000.0, lambda: None)
    outcome: list[Any] = []

    def spin() -> None:
        try:
            ros.executor.spin()
        except ExternalShutdownException as error:
            outcome.append(error)

    thread = threading.Thread(target=spin)
    thread.start()
    ros.context.shutdown()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    with pytest.raises(ExternalShutdownException):
        ros.executor.spin_once(timeout_sec=0)


def test_sessions_leave_no_thread_behind() -> None:
    before = set(threading.enumerate())
    for _ in range(3):
        session = RosSession()
        node = session.node("one", start_parameter_services=True, enable_rosout=True)
        got: list[Any] = []
        node.create_subscription(String, "chat", got.append, 10)
        publisher = node.create_publisher(String, "chat", 10)
        assert session.wait(lambda: publisher.get_subscription_count() == 1)  # noqa: B023
        publisher.publish(String())
        assert session.wait(lambda: got)  # noqa: B023
        session.close()
    assert set(threading.enumerate()) == before


def test_many_threads_create_publish_and_destroy_at_once(ros: RosSession) -> None:
    node = ros.node("one")
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for round_ in range(10):
                topic = f"chat{number}"
                publisher = node.create_publisher(String, topic, 10)
                subscription = node.create_subscription(String, topic, lambda m: None, 10)
                publisher.publish(String(data=str(round_)))
                node.destroy_subscription(subscription)
                node.destroy_publisher(publisher)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    assert ros.wait(lambda: not any(worker.is_alive() for worker in workers))
    assert not errors


SPINNER = """
from avs_ros.middleware import rclpy
rclpy.init()
node = rclpy.node.Node("spinner")
def tick():
    print("ready", flush=True)
    timer.cancel()
timer = node.create_timer(0.05, tick)
try:
    {spin}
    print("returned")
except KeyboardInterrupt:
    print("interrupted", rclpy.ok())
except rclpy.executors.ExternalShutdownException:
    print("shut down", rclpy.ok())
finally:
    node.destroy_node()
    rclpy.try_shutdown()
"""
SINGLE = "rclpy.spin(node)"
POOL = ("executor = rclpy.executors.MultiThreadedExecutor(2); executor.add_node(node); "
        "executor.spin(); executor.shutdown()")


@pytest.mark.parametrize(("spin", "number", "said"), [
    # Where the shell had SIGINT ignored (a job in the background), nothing is raised for it.
    (SINGLE, signal.SIGINT, ["interrupted", "shut down False", "returned"]),
    (POOL, signal.SIGINT, ["interrupted", "shut down False", "returned"]),
    # As in rclpy, spin returns if the end comes between two callbacks, and raises while waiting.
    (SINGLE, signal.SIGTERM, ["shut down False", "returned"]),
    (POOL, signal.SIGTERM, ["returned"]),
])
def test_signals_end_a_program_in_order(spin: str, number: int, said: list[str]) -> None:
    program = Program(SPINNER.format(spin=spin))
    try:
        assert program.line() == "ready"
        os.kill(program.process.pid, number)
        code, output = program.finish()
        assert code == 0 and output.startswith(tuple(said)), output
    finally:
        program.kill()


def test_a_program_that_forgets_to_shut_down_still_ends() -> None:
    program = Program("""
from avs_ros.middleware import rclpy, get_message
rclpy.init()
node = rclpy.node.Node("forgetful")
String = get_message("std_msgs/msg/String")
node.create_subscription(String, "chat", print, 10)
node.create_publisher(String, "chat", 10).publish(String(data="x"))
rclpy.spin_once(node, timeout_sec=0.1)
print("over")
""")
    code, output = program.finish()
    assert code == 0 and output.endswith("over\n"), output


def test_a_program_that_loses_its_context_still_ends() -> None:
    program = Program("""
from avs_ros.middleware import rclpy
context = rclpy.Context()
context.init([])
node = rclpy.node.Node("lost", context=context)
del node, context
print("over")
""")
    assert program.finish() == (0, "over\n")


def test_the_second_to_stop_a_context_waits_for_the_first(ros: RosSession) -> None:
    entered, release, order = threading.Event(), threading.Event(), []

    def slow() -> None:
        ros.context.try_shutdown()  # from the inside: no waiting for oneself
        entered.set()
        release.wait(PATIENCE)
        order.append("first")

    ros.context.on_shutdown(slow)
    first = threading.Thread(target=ros.context.shutdown)
    first.start()
    assert entered.wait(PATIENCE) and not ros.context.ok()

    def second() -> None:
        ros.context.try_shutdown()
        order.append("second")

    other = threading.Thread(target=second)
    other.start()
    release.set()
    first.join(PATIENCE)
    other.join(PATIENCE)
    assert order == ["first", "second"]


def test_init_twice_and_shutdown_without_init() -> None:
    context = rclpy.Context()
    with pytest.raises(RuntimeError, match="initialized before"):
        context.shutdown()
    with pytest.raises(RuntimeError, match="domain id"):
        context.get_domain_id()
    with context:
        assert context.ok()
        with pytest.raises(RuntimeError, match="only be called once"):
            context.init([])
        assert 0 <= context.get_domain_id() <= 232
    assert not context.ok()
    called: list[int] = []
    context.on_shutdown(lambda: called.append(1))
    assert called == [1]
    with pytest.raises(TypeError):
        context.on_shutdown(3)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="lower than zero"):
        rclpy.Context().init([], domain_id=-1)


def test_the_global_functions() -> None:
    rclpy.init(args=[])
    try:
        assert rclpy.ok()
        node = rclpy.create_node("one")
        fired: list[int] = []
        timer = node.create_timer(0.0, lambda: fired.append(1))
        rclpy.spin_once(node, timeout_sec=5)
        assert fired
        timer.cancel()
        future: Future = Future()
        node.create_timer(0.01, lambda: future.set_result(1))
        rclpy.spin_until_future_complete(node, future, timeout_sec=10)
        assert future.done()
        node.destroy_node()
    finally:
        rclpy.shutdown()
    assert not rclpy.ok()
    rclpy.try_shutdown()
