"""AVSC's matching, and the objective that does not punish whoever finds a silent thing."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from avs_ros.errors import ParameterError
from avs_ros.models.avsc import SegmenterOutput, Target, match, silent_aware_loss
from avs_ros.models.avsc.objective import pairwise_costs

DOG, CAT, NOTHING = 0, 1, 2


def square(size: int, top: int, left: int, side: int) -> Tensor:
    mask = torch.zeros(size, size)
    mask[top : top + side, left : left + side] = 1
    return mask


# --- matching


def test_matching_is_the_cheapest_of_all_assignments() -> None:
    torch.manual_seed(3)
    classes, masks = torch.randn(5, 4), torch.randn(5, 6, 6) * 3
    target = Target(
        torch.tensor([0, 2, 2]), (torch.rand(3, 6, 6) > 0.5).float(), torch.zeros(3, dtype=bool)
    )
    queries, things = match(classes, masks, target)
    costs = pairwise_costs(classes, masks, target)
    cheapest = min(
        sum(float(costs[q, j]) for j, q in enumerate(some))
        for some in itertools.permutations(range(5), 3)
    )
    assert sorted(things.tolist()) == [0, 1, 2]
    assert len(set(queries.tolist())) == 3
    assert float(costs[queries, things].sum()) == pytest.approx(cheapest, abs=1e-4)


def test_matching_leaves_things_over_when_queries_run_out() -> None:
    torch.manual_seed(3)
    target = Target(torch.tensor([0, 1, 1]), torch.ones(3, 4, 4), torch.zeros(3, dtype=bool))
    queries, things = match(torch.randn(2, 3), torch.randn(2, 4, 4), target)
    assert sorted(queries.tolist()) == [0, 1] and len(set(things.tolist())) == 2
    empty = Target(torch.zeros(0, dtype=torch.long), torch.zeros(0, 4, 4), torch.zeros(0) > 0)
    assert [len(part) for part in match(torch.randn(2, 3), torch.randn(2, 4, 4), empty)] == [0, 0]


# --- the silent-object-aware objective


def dog_and_silent_cat() -> tuple[Tensor, Tensor, dict[str, list[Target]]]:
    """Query 0 finds the barking dog, query 1 a cat that nobody annotated, query 2 nothing."""
    classes = torch.tensor([[[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]])
    dog, cat = square(16, 1, 1, 6), square(16, 8, 8, 6)
    masks = torch.stack([dog, cat, torch.zeros(16, 16)])[None] * 16 - 8
    annotation = Target(torch.tensor([DOG]), dog[None], torch.tensor([False]))
    pseudo = Target(
        torch.tensor([DOG, CAT]), torch.stack([dog, cat]), torch.tensor([False, True])
    )
    return classes, masks, {"annotated": [annotation], "with silent": [pseudo]}


def class_gradient(mode: str, targets: list[Target], classes: Tensor, masks: Tensor) -> Tensor:
    classes = classes.clone().requires_grad_(True)
    losses = silent_aware_loss(SegmenterOutput(classes, masks), targets, mode=mode)
    total = torch.stack(list(losses.values())).sum() + 0 * classes.sum()
    total.backward()
    assert classes.grad is not None
    return classes.grad[0]


def test_plain_maskformer_punishes_whoever_finds_the_silent_cat() -> None:
    classes, masks, targets = dog_and_silent_cat()
    for known in targets.values():  # it has no use for what is not annotated
        gradient = class_gradient("plain", known, classes, masks)
        assert float(gradient[1, CAT]) > 1e-3 and float(gradient[1, NOTHING]) < -1e-3


@pytest.mark.parametrize(
    ("mode", "known"),
    [("ignore", "annotated"), ("pseudo", "with silent"), ("frozen", "annotated")],
)
def test_ours_does_not(mode: str, known: str) -> None:
    classes, masks, targets = dog_and_silent_cat()
    gradient = class_gradient(mode, targets[known], classes, masks)
    assert float(gradient[1, CAT]) <= 0 <= float(gradient[1, NOTHING])
    if mode == "pseudo":  # it is even told so
        assert float(gradient[1, CAT]) < -1e-4


@pytest.mark.parametrize(
    ("mode", "known", "survives"),
    [
        ("plain", "annotated", False),
        ("ignore", "annotated", True),
        ("pseudo", "with silent", True),
        ("frozen", "annotated", True),
    ],
)
def test_after_training_the_silent_cat_is_there_or_not(
    mode: str, known: str, survives: bool
) -> None:
    classes, masks, targets = dog_and_silent_cat()
    classes = classes.clone().requires_grad_(True)
    optimiser = torch.optim.SGD([classes], lr=2.0)
    for _ in range(100):
        losses = silent_aware_loss(SegmenterOutput(classes, masks), targets[known], mode=mode)
        optimiser.zero_grad()
        (torch.stack(list(losses.values())).sum() + 0 * classes.sum()).backward()
        optimiser.step()
    probability = classes.detach().softmax(dim=2)[0]
    assert (float(probability[1, CAT]) > 0.8) == survives
    assert float(probability[0, DOG]) > 0.9


def test_ignoring_does_not_excuse_everything() -> None:
    classes, masks, targets = dog_and_silent_cat()
    # Unsure of its category; over the annotated dog; of no shape.
    unsure = classes.clone()
    unsure[0, 1] = torch.tensor([0.0, 0.2, 0.0])
    assert float(class_gradient("ignore", targets["annotated"], unsure, masks)[1, NOTHING]) < 0
    second = masks.clone()
    second[0, 1] = masks[0, 0]
    assert float(class_gradient("ignore", targets["annotated"], classes, second)[1, NOTHING]) < 0
    vague = masks.clone()
    vague[0, 1] = 0.1
    assert float(class_gradient("ignore", targets["annotated"], classes, vague)[1, NOTHING]) < 0


def test_masks_are_taught_to_matched_queries_only_and_in_every_layer() -> None:
    classes, masks, targets = dog_and_silent_cat()
    early, late = (masks.clone().requires_grad_(True) for _ in range(2))
    output = SegmenterOutput(classes, late, ((classes, early),))
    losses = silent_aware_loss(output, targets["annotated"], mode="ignore")
    (losses["bce"] + losses["dice"]).backward()
    for grown in (early, late):
        assert float(grown.grad[0, 0].abs().sum()) > 0
        assert float(grown.grad[0, 1:].abs().sum()) == 0


def test_another_mode_is_refused() -> None:
    classes, masks, targets = dog_and_silent_cat()
    with pytest.raises(ParameterError, match="ignore, pseudo, frozen"):
        silent_aware_loss(SegmenterOutput(classes, masks), targets["annotated"], mode="soft")
