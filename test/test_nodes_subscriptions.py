"""Subscriptions over DDS: reliability that follows the publishers, overrides, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from node_graph import NodeGraph, rclpy, said
from std_msgs.msg import String

from avs_ros.errors import MessageTypeError, ParameterError
from avs_ros.nodes.subscriptions import InputSubscription, MessageCounters

BEST_EFFORT = rclpy.qos.QoSProfile(depth=1, reliability=rclpy.qos.ReliabilityPolicy.BEST_EFFORT)
TEXT = "std_msgs/msg/String"


class Listener:
    """A node with one subscription to ``chat``."""

    def __init__(
        self, graph: NodeGraph, qos: str, cli: list[str] | None = None,
        take: Callable[[Any], None] | None = None,
    ) -> None:
        self.graph = graph
        self.heard: list[str] = []
        self.log = graph.listen("rcl_interfaces/msg/Log", "/rosout", 200, latched=True)
        self.node = graph.add(rclpy.node.Node, "listener", cli=cli)
        self.counters = MessageCounters(self.node.get_logger())
        self.subscription = InputSubscription(
            self.node, TEXT, "chat", take or (lambda msg: self.heard.append(msg.data)), qos=qos,
            depth=7, counters=self.counters)

    def reliability(self) -> str:
        """What the graph says it asks for; "" while there is none, or two."""
        found = self.graph.tester.get_subscriptions_info_by_topic("/chat")
        return found[0].qos_profile.reliability.name if len(found) == 1 else ""

    def becomes(self, reliability: str) -> None:
        def there() -> bool:
            self.subscription.follow()
            return self.reliability() == reliability

        self.graph.wait(there, reliability)

    def hears(self, publisher: Any, text: str) -> None:
        self.graph.wait(publisher.get_subscription_count, "the match")

        def arrived() -> bool:
            publisher.publish(String(data=text))
            return text in self.heard

        self.graph.wait(arrived, text)

    def said(self, text: str) -> None:
        self.graph.wait(lambda: said(self.log, text), f"a log of {text!r}")


def test_auto_is_reliable_where_every_publisher_is(graph: NodeGraph) -> None:
    listener = Listener(graph, "auto")
    reliable = graph.publisher(TEXT, "chat")
    listener.becomes("RELIABLE")
    listener.hears(reliable, "one")
    assert "reliable (auto: every publisher is), depth 7" in listener.subscription.describe()
    other = graph.publisher(TEXT, "chat", BEST_EFFORT)
    listener.becomes("BEST_EFFORT")
    listener.hears(other, "two")
    listener.hears(reliable, "three")
    listener.said("/chat (std_msgs/msg/String), best effort (auto: not every publisher is")
    graph.tester.destroy_publisher(other)
    listener.becomes("RELIABLE")
    listener.hears(reliable, "four")
    # Mismatches of the moment before are nobody's problem.
    assert not listener.subscription.problem


def test_auto_stays_as_it_was_while_nobody_publishes(graph: NodeGraph) -> None:
    listener = Listener(graph, "auto")
    listener.becomes("RELIABLE")
    sensor = graph.publisher(TEXT, "chat", BEST_EFFORT)
    listener.becomes("BEST_EFFORT")
    graph.tester.destroy_publisher(sensor)
    graph.wait(lambda: not graph.tester.count_publishers("/chat"), "nobody")
    listener.subscription.follow()
    assert "best effort (auto: no publisher yet)" in listener.subscription.describe()
    listener.hears(graph.publisher(TEXT, "chat", BEST_EFFORT), "again")


def test_auto_gets_what_was_latched_before_it_came(graph: NodeGraph) -> None:
    latched = rclpy.qos.QoSProfile(
        depth=1, durability=rclpy.qos.DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = graph.publisher(TEXT, "chat", latched)
    publisher.publish(String(data="said once"))
    graph.wait(lambda: graph.tester.count_publishers("/chat"), "the publisher")
    listener = Listener(graph, "auto")
    graph.wait(lambda: listener.heard == ["said once"], "the latched sample")
    assert "reliable, latched (auto: every publisher is)" in listener.subscription.describe()
    # One that does not keep its samples would not be heard by a latched subscription.
    other = graph.publisher(TEXT, "chat")

    def volatile() -> bool:
        listener.subscription.follow()
        return "latched" not in listener.subscription.describe()

    graph.wait(volatile, "a subscription that hears both")
    listener.hears(other, "said again")


def test_a_choice_is_kept_and_a_mismatch_told(graph: NodeGraph) -> None:
    listener = Listener(graph, "reliable")
    sensor = graph.publisher(TEXT, "chat", BEST_EFFORT)

    def problem() -> str:
        listener.subscription.follow()
        return listener.subscription.problem

    told = graph.wait(problem, "the mismatch")
    assert "/chat will not be heard" in told and "use auto" in told
    listener.becomes("RELIABLE")
    assert problem() == told
    listener.said("will not be heard")
    assert len(said(listener.log, "will not be heard")) == 1
    graph.tester.destroy_publisher(sensor)
    graph.wait(lambda: not problem(), "the end of the mismatch")


def test_overrides_win_and_the_log_names_what_they_made(graph: NodeGraph) -> None:
    listener = Listener(graph, "auto", [
        "--ros-args", "-p", "qos_overrides./chat.subscription.reliability:=best_effort",
        "-p", "qos_overrides./chat.subscription.depth:=3"])
    publisher = graph.publisher(TEXT, "chat")
    listener.becomes("BEST_EFFORT")
    listener.hears(publisher, "one")
    listener.becomes("BEST_EFFORT")  # though every publisher is reliable
    listener.said("best effort (by qos_overrides), depth 3")


def test_what_was_not_overridden_can_be_chosen_anew(graph: NodeGraph) -> None:
    listener = Listener(graph, "sensor_data")
    listener.becomes("BEST_EFFORT")
    listener.subscription.destroy()
    again = InputSubscription(
        listener.node, TEXT, "chat", lambda msg: None, qos="reliable", depth=9,
        counters=listener.counters)
    listener.becomes("RELIABLE")
    assert "reliable, depth 9" in again.describe()


@pytest.mark.parametrize(("value", "said"), [
    ("reliability:=sometimes", "no such reliability"), ("history:=keep", "no such history"),
    ("depth:=0", "no such depth"), ("depth:=deep", "INTEGER"),
])
def test_an_override_that_is_none_is_one_message(
    graph: NodeGraph, value: str, said: str
) -> None:
    with pytest.raises(ParameterError, match=said):
        Listener(graph, "auto", [
            "--ros-args", "-p", f"qos_overrides./chat.subscription.{value}"])


def test_a_type_that_is_not_installed_is_one_message(graph: NodeGraph) -> None:
    node = graph.add(rclpy.node.Node, "listener")
    with pytest.raises(MessageTypeError, match="apt install"):
        InputSubscription(node, "hri_msgs/msg/LiveSpeech", "chat", print, qos="auto", depth=1,
                          counters=MessageCounters(node.get_logger()))


def test_a_message_that_breaks_its_callback_is_counted(graph: NodeGraph) -> None:
    heard: list[int] = []

    def take(msg: Any) -> None:
        heard.append(int(msg.data))

    listener = Listener(graph, "auto", take=take)
    publisher = graph.publisher(TEXT, "chat")
    graph.wait(publisher.get_subscription_count, "the match")
    for number in range(1, 12):
        publisher.publish(String(data="seven"))
        graph.wait(lambda n=number: listener.counters.counts() == {"ValueError": n}, "the count")
    publisher.publish(String(data="7"))
    graph.wait(lambda: heard == [7], "the good one")
    assert listener.counters.counts() == {"ValueError": 11}
    assert "invalid literal" in listener.counters.messages()["ValueError"]
    # Not eleven lines: the 1st, 10th, 100th…
    listener.said("message on /chat refused (10x): ValueError: invalid literal")
    assert len(said(listener.log, "refused")) == 2
