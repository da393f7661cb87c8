"""The mask head: its two forms agree, and what places within a box can say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avs_ros.inference.instance_masks import SIDE, inside, instance_logits, instance_mask
from avs_ros.models.light import mask_head
from avs_ros.models.light.detector import Detector

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("box", [(0.1, 0.2, 0.6, 0.9), (0.0, 0.0, 1.0, 1.0), (0.4, 0.4, 0.4, 0.4)])
def test_both_forms_agree(box: tuple[float, ...]) -> None:
    features = RNG.normal(size=(mask_head.WIDTH, 7, 11)).astype(np.float32)
    filters = RNG.normal(size=mask_head.FILTERS).astype(np.float32)
    plain = mask_head.instance_logits(
        torch.from_numpy(filters)[None], torch.from_numpy(features)[None], torch.tensor([box])
    )
    own = instance_logits(filters, features, np.array(box, np.float32))
    np.testing.assert_allclose(own, plain[0].numpy(), rtol=1e-4, atol=1e-4)


def test_a_filter_may_ask_for_the_left_half_of_its_box_wherever_that_is() -> None:
    filters = np.zeros(mask_head.FILTERS, np.float32)
    width = mask_head.WIDTH
    filters[width] = -1.0  # first layer, first output: less x
    second = (width + 2) * width + width
    filters[second] = 1.0  # hands it on
    filters[second + width * width + width] = 8.0  # log-odds: 8 times that ...
    filters[-1] = -0.5  # ... less a half
    for box in ((0.0, 0.0, 0.5, 1.0), (0.5, 0.25, 1.0, 0.75)):
        own = np.array(box, np.float32)
        mask = instance_mask(filters, np.zeros((width, 26, 26), np.float32), own) > 0
        rows, columns = np.nonzero(mask)
        middle = (box[0] + box[2]) / 2
        assert mask.any() and not mask[~inside(own)].any()
        assert columns.max() / SIDE == pytest.approx(middle, abs=0.04)
        assert (rows.min() / SIDE, rows.max() / SIDE) == pytest.approx(box[1::2], abs=0.05)


def test_the_detector_tells_as_many_filters_as_the_head_takes() -> None:
    found = Detector(3).eval()(torch.zeros(1, 3, 64, 64))
    assert found.filters.shape == (1, 64 + 16 + 4, mask_head.FILTERS)
    assert found.features.shape == (1, mask_head.WIDTH, 8, 8)
    # At the start all anchors of a stride are nearly alike.
    assert found.filters[:, :64].detach().std(dim=1).max() < 0.1
