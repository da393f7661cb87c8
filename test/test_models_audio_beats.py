"""BEATs: front end and encoder against the public code, class order, checkpoint layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from generated_weights import REFERENCE
from public_weights import BIAS, CFG, loaded, public_content
from torch import Tensor

from avs_ros.errors import CheckpointError
from avs_ros.models.audio.beats import BEATs
from avs_ros.models.audio.relative_attention import relative_position_bucket


def test_front_end_equals_the_reference() -> None:
    expected = np.load(REFERENCE / "beats_fbank.npz")
    network = loaded(public_content())
    waveform = torch.from_numpy(expected["wave_int16"] / np.float32(32768))
    np.testing.assert_allclose(network.front_end(waveform), expected["fbank"], atol=5e-4)
    half = network.front_end(waveform[:2, :8000])
    np.testing.assert_allclose(half, expected["fbank_half_second"], atol=5e-4)


@torch.no_grad()
def test_encoder_equals_the_public_code() -> None:
    network = loaded(public_content())
    waveform = 0.5 * torch.sin(torch.arange(16000) * 0.05)[None]
    tokens = network.tokens(network.front_end(waveform))
    assert tokens.shape == (1, 48, 32)
    # Printed by the public code (commit 9102ed9) from the same weights and waveform.
    feature = [0.9694, -1.548306, -0.087289, 0.437984, 0.324883, -1.428073, -0.480808, -0.967678]
    # A pure tone leaves most bands to the last bits of the FFT: processors round them differently.
    np.testing.assert_allclose(network(waveform)[0][0, :8], feature, atol=5e-4)
    some = tokens[0, [0, 20, 47], 0]
    np.testing.assert_allclose(some, [0.987541, 0.979347, 1.438891], atol=1e-3)


@torch.no_grad()
def test_classes_come_out_in_audioset_order_whatever_the_checkpoints_order() -> None:
    waveform = torch.randn(2, 16000) * 0.1
    content = public_content()
    in_order = loaded(content)(waveform)[1]
    order = np.random.default_rng(5).permutation(527)
    model: dict[str, Tensor] = dict(content["model"])  # type: ignore[call-overload]
    model["predictor.weight"] = model["predictor.weight"][order]
    model["predictor.bias"] = model["predictor.bias"][order]
    shuffled = {**content, "model": model, "label_dict": public_content(order)["label_dict"]}
    torch.testing.assert_close(loaded(shuffled)(waveform)[1], in_order)


def test_full_size_network_has_the_published_tensors() -> None:
    with torch.device("meta"):
        state = BEATs().state_dict()
    assert state["encoder.layers.11.self_attn.grep_linear.weight"].shape == (8, 64)
    assert state[BIAS.format(0)].shape == (320, 12)
    assert state["encoder.pos_conv.0.weight_v"].shape == (768, 48, 128)
    assert state["encoder.pos_conv.0.weight_g"].shape == (1, 1, 128)
    assert state["patch_embedding.weight"].shape == (512, 1, 16, 16)
    assert state["predictor.weight"].shape == (527, 768)
    parameters = sum(tensor.numel() for tensor in state.values())
    assert 90e6 < parameters < 91e6


@pytest.mark.parametrize(
    ("change", "arguments"),
    [
        ({"label_dict": None}, "no label_dict"),
        ({"label_dict": {0: "/m/09x0r"}}, "526 are missing"),
        ({"cfg": {**CFG, "layer_norm_first": True}}, "layer_norm_first"),
        ({"cfg": {**CFG, "encoder_layers": 3}}, r"encoder\.layers\.2"),
    ],
)
def test_a_checkpoint_that_cannot_be_right_is_refused(
    change: dict[str, object], arguments: str
) -> None:
    with pytest.raises(CheckpointError, match=arguments):
        loaded({**public_content(), **change})


def test_a_pretrained_checkpoint_without_classes_is_refused() -> None:
    content = public_content()
    model = {k: v for k, v in content["model"].items() if "predictor" not in k}  # type: ignore[attr-defined]
    with pytest.raises(CheckpointError, match="fine-tuned"):
        loaded({**content, "model": model})


def test_position_buckets_are_exact_near_and_logarithmic_far() -> None:
    bucket = relative_position_bucket(torch.arange(-900, 901), 320, 800)
    centre = 900
    assert bucket[centre] == 0
    assert bucket[centre - 79 : centre].flip(0).tolist() == list(range(1, 80))
    assert bucket[centre + 1] == 161
    assert bucket[0] == 159 and bucket[-1] == 319
    assert torch.all(bucket[centre + 1 :].diff() >= 0)


def test_gradient_reaches_every_weight() -> None:
    network = loaded(public_content())
    feature, logits = network(torch.randn(1, 16000) * 0.1)
    (feature.square().sum() + logits.square().sum()).backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []
