from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avs_ros.training.data import dice_loss, segmentation_loss


@pytest.mark.parametrize("case", range(6))
def test_losses_and_gradient_are_those_of_the_published_code(shared: Path, case: int) -> None:
    data = np.load(shared / "reference" / "metrics.npz")
    logits = torch.from_numpy(data[f"{case}_logits"])[:, None].requires_grad_()
    masks = torch.from_numpy(data[f"{case}_gt"])[:, None].float()
    for name, options in {
        "loss_ms3": {},
        "loss_ms3_beats": {"bce_weight": 1.5},
        "loss_s4": {"supervise": "first"},
    }.items():
        bce, dice = segmentation_loss(logits, masks, **options)  # type: ignore[arg-type]
        found = torch.stack([bce, dice, bce + dice]).detach().numpy()
        assert np.allclose(found, data[f"{case}_{name}"], rtol=1e-5, atol=1e-6), name
    sum(segmentation_loss(logits, masks)).backward()
    assert logits.grad is not None
    gradient = logits.grad[:, 0].numpy()
    assert np.allclose(gradient[3], data[f"{case}_loss_ms3_grad_frame3"], rtol=1e-4, atol=1e-9)
    summary = [np.abs(gradient).max(), np.abs(gradient).mean()]
    assert np.allclose(summary, data[f"{case}_loss_ms3_grad_absmax_and_absmean"], rtol=1e-4)


def test_dice_falls_below_zero_on_empty_masks() -> None:
    empty = torch.zeros(1, 1, 8, 8)
    assert dice_loss(empty, empty).item() == pytest.approx(-1.0)


def test_first_frame_supervision_ignores_the_others() -> None:
    logits, masks = torch.zeros(10, 1, 4, 4), torch.zeros(10, 1, 4, 4)
    before = sum(segmentation_loss(logits, masks, supervise="first"))
    masks[1:5] = 1
    masks[6:] = 1
    assert torch.equal(sum(segmentation_loss(logits, masks, supervise="first")), before)
    assert not torch.equal(sum(segmentation_loss(logits, masks)), before)
