"""Choosing thresholds: the gate's, one or by group, and the companion's."""

from __future__ import annotations

import numpy as np

from avs_ros.evaluation.composite import BOTH, MATCHED, MISMATCHED, TWO, Case
from avs_ros.evaluation.composite_data import LabelledImage, View
from avs_ros.inference.light import ALONE
from avs_ros.models.light.vocabulary import CATEGORY_NAMES
from recipes.c3n_light.thresholds import (
    GROUPS,
    LEAST_EMPTY,
    OTHERS,
    Weighed,
    choose,
    choose_companion,
    figures,
    group_of,
    keep_where_unasked,
)

CAT, PERSON = CATEGORY_NAMES.index("cat"), CATEGORY_NAMES.index("person")


def image(name: str) -> LabelledImage:
    nothing = np.zeros((8, 8), bool)
    return LabelledImage(name, {}, True, lambda: View(np.zeros((8, 8, 3), np.uint8), {}, nothing))


def weighed(kind: str, category: str, gate: float) -> Weighed:
    """A category that the gate believes in by so much, with a map of the upper left quarter."""
    index = CATEGORY_NAMES.index(category)
    gates = np.zeros(len(CATEGORY_NAMES), np.float32)
    gates[index] = gate
    maps = np.full((len(CATEGORY_NAMES), 8, 8), -9.0, np.float32)
    maps[index, :4, :4] = 9.0
    own = np.zeros((8, 8), bool)
    own[:4, :4] = True
    asked = Case(kind, image(category), category, None)
    return Weighed(asked, gates, maps, own, np.ones((8, 8), bool))


def test_each_group_gets_the_threshold_that_it_needs() -> None:
    """The gate is sure of people, even wrongly; of buses it never is, though it is right."""
    cases = [weighed(MATCHED, "person", 0.99)] * 4 + [weighed(MISMATCHED, "person", 0.89)] * 4
    cases += [weighed(MATCHED, "bus", 0.75)] * 4 + [weighed(MISMATCHED, "bus", 0.3)] * 4
    single, grouped = choose(cases, by_group=False), choose(cases)
    assert single["people"] == single["vehicles"] >= 0.9
    assert figures(cases, single).m_j == 0.5
    assert grouped[group_of("bus")] <= 0.75 and grouped[group_of("person")] >= 0.9
    found = figures(cases, grouped)
    assert found.m_j == 1 and found.empty == 1 >= LEAST_EMPTY and found.false == 0
    # Nothing on the grid refuses enough: the strictest.
    hopeless = [weighed(MATCHED, "dog", 0.5), weighed(MISMATCHED, "dog", 1.0)]
    assert choose(hopeless)["animals"] == max(choose(hopeless).values())


def of_two(kind: str, companion_logits: float) -> Weighed:
    """The gate is sure of the cat; beside it the person is believed in so much."""
    gate, also = (np.zeros(len(CATEGORY_NAMES), np.float32) for _ in range(2))
    gate[CAT], also[PERSON] = 0.99, companion_logits
    nothing = np.zeros((8, 8), bool)
    asked = Case(kind, image("both"), "cat", None, "person")
    return Weighed(asked, gate, np.zeros((0, 8, 8), np.float32), nothing, ~nothing, also)


def test_a_companion_is_marked_from_where_few_silent_things_are() -> None:
    lines: list[str] = []
    least = dict.fromkeys((*GROUPS, OTHERS), 0.9)
    one = [of_two(TWO, p) for p in (0.2,) * 98 + (0.82, 0.92)]
    both = [of_two(BOTH, p) for p in (0.1, 0.45, 0.6, 0.95)]
    chosen = choose_companion([*one, *both], least, lines.append)
    assert 0.2 < chosen <= 0.4 and "both that sound are marked in 0.750" in lines[-1]
    # Half of the silent ones look as if they sounded: nothing is added below that.
    one = [of_two(TWO, p) for p in (0.2, 0.9) * 50]
    assert choose_companion(one, least, lines.append) > 0.9
    assert choose_companion([], least, lines.append) == ALONE > 1


def test_beside_nothing_nothing_is_marked() -> None:
    seen = of_two(BOTH, 0.95)
    assert seen.names(np.full(len(CATEGORY_NAMES), 0.9), 0.5) == {"cat", "person"}
    assert seen.names(np.full(len(CATEGORY_NAMES), 0.995), 0.5) == set()


def test_a_group_that_nobody_asked_about_keeps_its_threshold() -> None:
    cases = [weighed(MATCHED, "person", 0.99)] * 4 + [weighed(MISMATCHED, "person", 0.89)] * 4
    chosen = {"people": 0.9, "animals": 0.9, "vehicles": 0.9, "others": 0.9}
    kept = keep_where_unasked(cases, chosen, 0.7)
    assert kept == {"people": 0.9, "animals": 0.7, "vehicles": 0.7, "others": 0.7}
