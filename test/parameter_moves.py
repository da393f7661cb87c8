"""What shows that a node's parameter has an effect: a scenario with and without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from node_graph import NodeGraph

from avs_ros.nodes.parameters import TABLES

Observe = Callable[[NodeGraph, dict[str, Any]], Any]


@dataclass(frozen=True)
class Move:
    """Where the parameter is ``value`` in place of ``base``'s, ``observe`` sees something else.

    ``observe`` makes the node in the graph that it is given, with the parameters that it is given.
    """

    value: Any
    observe: Observe
    base: dict[str, Any] = field(default_factory=dict)


Moves = Mapping[str, tuple[Move, ...]]


def check_names(node: str, moves: Moves) -> None:
    """Every parameter of the node's table has its scenarios, and nothing else has."""
    assert sorted(moves) == sorted(spec.name for spec in TABLES[node])
    assert all(moves.values())


def check_effect(name: str, moves: Moves) -> None:
    """Each scenario of the parameter ``name`` comes out differently."""
    for move in moves[name]:
        before = seen_with(move.observe, move.base)
        assert seen_with(move.observe, {**move.base, name: move.value}) != before, move


def check_steady(observe: Observe, base: dict[str, Any] | None = None) -> None:
    """Without a change the same is seen again: differences are the parameter's doing."""
    assert _observed(observe, base or {}) == seen_with(observe, base or {})


_seen: dict[tuple[Observe, str], Any] = {}


def seen_with(observe: Observe, parameters: dict[str, Any]) -> Any:
    """What ``observe`` sees; what it has seen with the same parameters before is remembered."""
    key = (observe, repr(sorted(parameters.items())))
    if key not in _seen:
        _seen[key] = _observed(observe, parameters)
    return _seen[key]


def _observed(observe: Observe, parameters: dict[str, Any]) -> Any:
    graph = NodeGraph()
    try:
        return observe(graph, parameters)
    finally:
        graph.close()


def waited(graph: NodeGraph, condition: Callable[[], Any], seconds: float) -> bool:
    """Whether it has come true within ``seconds``; for what need not come true."""
    try:
        return bool(graph.wait(condition, timeout=seconds))
    except AssertionError:
        return False
