"""Queries and what is heard -> the instances that sound."""

from __future__ import annotations

import numpy as np

from avs_ros.inference.avsc import sounding_instances, strongest_candidate

DOG, CAT, NOTHING = 0, 1, 2
# Logits of a query that is sure of it.
SURE = {DOG: [6.0, 0.0, 0.0], CAT: [0.0, 6.0, 0.0], NOTHING: [0.0, 0.0, 6.0]}


def box(*edges: int) -> np.ndarray:
    """Mask logits ``[20, 20]`` of the rectangle top, left, bottom, right."""
    top, left, bottom, right = edges
    mask = np.full((20, 20), -8.0, np.float32)
    mask[top:bottom, left:right] = 8.0
    return mask


def choose(
    queries: list[tuple[int, np.ndarray]], heard: list[float], threshold: float = 0.3
) -> list[tuple[int, float, int]]:
    """Category, score and area of the sounding object."""
    classes = np.array([SURE[category] for category, _ in queries], np.float32)
    masks = np.stack([mask for _, mask in queries])
    found = sounding_instances(classes, masks, np.array(heard, np.float32), threshold)
    areas = [int((one.probability > 0.5).sum()) for one in found]
    return [(one.category, round(one.score, 2), a) for one, a in zip(found, areas, strict=True)]


def test_two_instances_of_one_category_are_both_kept() -> None:
    left, right = box(2, 1, 12, 8), box(4, 11, 10, 19)
    assert choose([(DOG, left), (DOG, right)], [0.9, 0.0]) == [(DOG, 0.9, 70), (DOG, 0.9, 48)]


def test_the_category_that_is_not_heard_is_left_out() -> None:
    queries = [(DOG, box(2, 1, 12, 8)), (CAT, box(4, 11, 10, 19))]
    assert choose(queries, [0.0, 0.8]) == [(CAT, 0.8, 48)]
    assert choose(queries, [0.1, 0.1]) == []
    assert [category for category, *_ in choose(queries, [0.6, 0.8])] == [CAT, DOG]


def test_what_is_no_object_never_sounds() -> None:
    assert choose([(NOTHING, box(2, 1, 12, 8))], [1.0, 1.0], threshold=0.01) == []
    one = strongest_candidate(
        np.array([SURE[NOTHING]], np.float32), box(0, 0, 9, 9)[None], np.ones(2, np.float32)
    )
    assert one is None


def test_queries_that_mean_the_same_thing_are_one_instance() -> None:
    thing, shifted, part = box(2, 2, 14, 14), box(3, 2, 14, 14), box(2, 2, 8, 8)
    assert choose([(DOG, thing), (DOG, shifted)], [0.9, 0.0]) == [(DOG, 0.9, 144)]
    # Another name for the same cells is no second thing; a part of a dog is that dog ...
    assert len(choose([(DOG, thing), (CAT, shifted)], [0.9, 0.8])) == 1
    assert choose([(DOG, thing), (DOG, part)], [0.9, 0.0]) == [(DOG, 0.9, 144)]
    # ... but a small thing before a large one of another kind is not.
    assert len(choose([(DOG, thing), (CAT, part)], [0.9, 0.8])) == 2


def test_a_thing_in_front_of_another_keeps_its_cells() -> None:
    person, guitar = box(2, 2, 18, 18), box(8, 4, 14, 16)
    for first, second in (([0.9, 0.8], [184, 72]), ([0.8, 0.9], [72, 184])):
        queries = [(DOG, person), (CAT, guitar)]
        assert [area for *_, area in choose(queries, first)] == second


def test_queries_of_a_category_help_each_other_with_outlines() -> None:
    timid = box(2, 2, 14, 14)
    timid[2:14, 12:14] = -0.4  # its own query does not quite dare
    helper = box(2, 10, 14, 14)
    assert choose([(DOG, timid)], [0.9, 0.0]) == [(DOG, 0.9, 120)]
    # Another is not sure enough of its dog to be one, but sees these cells.
    classes = np.array([SURE[DOG], [1.0, 0.0, 1.1]], np.float32)
    masks = np.stack([timid, helper])
    found = sounding_instances(classes, masks, np.array([0.9, 0.0], np.float32), 0.3)
    assert [int((one.probability > 0.5).sum()) for one in found] == [144]


def test_an_empty_mask_is_no_instance() -> None:
    assert choose([(DOG, np.full((20, 20), -8.0, np.float32))], [1.0, 0.0]) == []
