"""C3N's modules one by one, and what the network refuses."""

from __future__ import annotations

import c3n_networks as networks
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from avs_ros.errors import AudioFormatError, CheckpointError, ModelError
from avs_ros.models.c3n import C3N
from avs_ros.models.c3n.backbone import build_backbone
from avs_ros.models.c3n.c3im import CognitiveConsensusInference
from avs_ros.models.c3n.ccam import class_activated_weights, cognitive_consensus_attention
from avs_ros.models.c3n.decoder import Decoder, ResidualConvUnit
from avs_ros.models.c3n.fusion import (
    AtrousSpatialPyramidPooling,
    TemporalPixelwiseAudioVisualInteraction,
)


@pytest.fixture(scope="module")
def net() -> C3N:
    return networks.lively(
        C3N("pvt_v2_b0", 128, networks.small_similarity(), channels=32, image_size=64)
    )


@pytest.fixture(scope="module")
def light() -> C3N:
    return networks.light()


def test_cheap_consensus_is_the_full_matrix_maximum():
    generator = torch.Generator().manual_seed(1)
    c3im = CognitiveConsensusInference(networks.small_similarity(50))
    visual = torch.randn(4, 50, generator=generator) * 4
    audio = torch.randn(4, 527, generator=generator) * 4
    matrix = c3im.confidence_matrix(visual, audio)
    assert c3im(visual, audio).tolist() == (matrix.flatten(1).argmax(1) // 527).tolist()
    torch.testing.assert_close(c3im.row_scores(visual, audio), matrix.amax(2))


def test_consensus_follows_sound_where_images_leave_it_open():
    similarity = np.zeros((3, 527), dtype=np.float32)
    similarity[1, 10] = similarity[2, 20] = 1.0
    c3im = CognitiveConsensusInference(similarity)
    heard = torch.zeros(2, 527)
    heard[0, 10] = heard[1, 20] = 12.0
    assert c3im(torch.zeros(2, 3), heard).tolist() == [1, 2]


@pytest.mark.parametrize("shape", [(527, 1000), (1000, 521), (1000,), (0, 527)])
def test_similarity_of_another_shape_is_refused(shape):
    with pytest.raises(ModelError, match="527 AudioSet classes"):
        C3N("pvt_v2_b0", 128, np.zeros(shape, dtype=np.float32))


def test_similarity_must_be_there_and_finite():
    with pytest.raises(ModelError, match="needs a label similarity"):
        C3N("pvt_v2_b0", 128)
    broken = networks.small_similarity(5)
    broken[2, 3] = np.nan
    with pytest.raises(ModelError, match="NaN"):
        CognitiveConsensusInference(broken)


def test_attention_gates_channels_then_places():
    x = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # [1, 2, 1, 2]
    out = cognitive_consensus_attention(x, torch.tensor([[3.0, -4.0]]))
    gates = 1 / (1 + np.exp(-np.array([0.6, -0.8])))
    chosen = x.numpy()[0, :, 0] * gates[:, None]
    expected = chosen / (1 + np.exp(-chosen.mean(0)))
    np.testing.assert_allclose(out.numpy()[0, :, 0], expected, rtol=1e-6)
    only_direction = cognitive_consensus_attention(x, torch.tensor([[30.0, -40.0]]))
    torch.testing.assert_close(out, only_direction)


def test_attention_without_a_direction_halves_the_channels():
    x = torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    half = x / 2
    expected = half * torch.sigmoid(half.mean(1, keepdim=True))
    torch.testing.assert_close(cognitive_consensus_attention(x, torch.zeros(1, 4)), expected)


@pytest.mark.parametrize("visual", ["pvt_v2_b0", "mobilenetv2_100"])
def test_class_activated_weights_are_mean_derivatives(visual):
    """A small step of one channel of A_i moves the label's logit by w times its positions."""
    backbone = build_backbone(visual, num_classes=7, image_size=64).double().eval()
    backbone.requires_grad_(False)
    frames = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)).double()
    taps = backbone(frames)
    label = torch.tensor([4])
    weights = class_activated_weights(taps, label, keep_graph=True)
    for stage, channel in ((0, 5), (1, 3), (2, 11), (3, 0)):

        def logit(step: float, stage: int = stage, channel: int = channel) -> float:
            activation = taps.activations[stage].detach().clone()
            activation[:, channel] += step
            for index in range(stage, 4):
                if index > stage:
                    activation = backbone.stage(index, carry)  # noqa: F821 - set below
                feature = backbone.normed(index, activation)
                carry = feature if backbone.chains_normed else activation  # noqa: F841
            return float(backbone.classify(feature)[0, 4])

        positions = taps.activations[stage][0, 0].numel()
        # In double precision; so small that no ReLU6 on the way passes its edge in between.
        slope = (logit(1e-8) - logit(-1e-8)) / 2e-8
        assert slope == pytest.approx(
            float(weights[stage][0, channel]) * positions, rel=1e-4, abs=1e-9
        )


def test_weights_are_constants_and_leave_no_gradients(net):
    frames, sound, heard = networks.inputs(2, 64, 128)
    out = net.forward_detailed(frames, sound, heard, frames_per_clip=2)
    assert not any(w.requires_grad for w in out.weights)
    assert all(p.grad is None for p in net.parameters())
    out.logits.mean().backward()
    # The label is a discrete choice: the class head learns nothing from the mask.
    assert net.backbone.net.head.weight.grad is None
    assert net.backbone.net.patch_embed.proj.weight.grad.abs().sum() > 0
    net.zero_grad(set_to_none=True)


def test_same_result_in_every_gradient_mode(net):
    frames, sound, heard = networks.inputs(2, 64, 128)
    with torch.no_grad():
        quiet = net(frames, sound, heard, frames_per_clip=2)
    with torch.inference_mode():
        inference = net(frames, sound, heard, frames_per_clip=2)
    net.requires_grad_(False)
    frozen = net(frames, sound, heard, frames_per_clip=2)
    net.requires_grad_(True)
    recorded = net(frames, sound, heard, frames_per_clip=2)
    assert recorded.requires_grad and not quiet.requires_grad
    for other in (inference, frozen, recorded.detach()):
        torch.testing.assert_close(other, quiet, rtol=0, atol=1e-5)


def test_nothing_before_the_first_tap_is_recorded_without_gradients(net):
    with torch.no_grad():
        taps = net.backbone(networks.inputs(1, 64, 128)[0])
    assert taps.activations[0].is_leaf and taps.activations[0].requires_grad


def test_clips_do_not_mix_but_frames_of_a_clip_do(net):
    frames, sound, heard = networks.inputs(4, 64, 128)
    with torch.no_grad():
        two = net(frames, sound, heard, frames_per_clip=2)
        alone = net(frames[2:], sound[2:], heard[2:], frames_per_clip=2)
        single = net(frames[3:], sound[3:], heard[3:], frames_per_clip=1)
    torch.testing.assert_close(two[2:], alone, rtol=0, atol=1e-5)
    assert (two[3:] - single).abs().max() > 1e-3


def test_full_affinity_and_rank_form_agree():
    block = networks.lively(
        C3N("pvt_v2_b0", 20, networks.small_similarity(3), channels=16, image_size=32)
    ).tpavi[0]
    full = TemporalPixelwiseAudioVisualInteraction(16, 20).double().eval()
    full.full_affinity = True
    full.load_state_dict(block.state_dict())
    x = torch.randn(6, 16, 5, 4, generator=torch.Generator().manual_seed(1)).double()
    audio = torch.randn(6, 20, generator=torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        torch.testing.assert_close(block.double()(x, audio, 3), full(x, audio, 3))


def test_audio_visual_block_starts_as_the_identity():
    block = TemporalPixelwiseAudioVisualInteraction(16, 20).eval()
    x = torch.randn(2, 16, 3, 3, generator=torch.Generator().manual_seed(1))
    found = block(x, torch.ones(2, 20), 2)
    normed = F.layer_norm(x.permute(0, 2, 3, 1), (16,)).permute(0, 3, 1, 2)
    torch.testing.assert_close(found, normed)


def test_pyramid_is_linear_and_looks_far():
    aspp = AtrousSpatialPyramidPooling(3, 4)
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(1, 3, 40, 40, generator=generator) for _ in range(2))
    zero = aspp(torch.zeros(1, 3, 40, 40))
    torch.testing.assert_close(aspp(a + b) - zero, (aspp(a) - zero) + (aspp(b) - zero))
    dot = torch.zeros(1, 3, 40, 40)
    dot[..., 20, 20] = 1.0
    moved = (aspp(dot) - aspp(torch.zeros_like(dot))).abs().sum(1)[0]
    far = moved - moved[0, 0]  # the pooled branch lifts every place alike
    assert all(far[20 + rate, 20].abs() > 1e-6 for rate in (0, 6, 12, 18))
    assert far[23, 20].abs() < 1e-6


def test_residual_unit_rectifies_its_skip():
    unit = ResidualConvUnit(4)
    with torch.no_grad():
        unit.conv2.weight.zero_()
        unit.conv2.bias.zero_()
    x = torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(3))
    before = x.clone()
    torch.testing.assert_close(unit(x), x.relu())
    torch.testing.assert_close(x, before)


def test_decoder_forms_differ_in_cost_and_stride_only():
    stages = tuple(torch.randn(1, 32, s, s) for s in (16, 8, 4, 2))
    paper, light = Decoder(32), Decoder(32, light=True)
    assert paper(stages)[0].shape == (1, 1, 64, 64)
    assert light(stages)[0].shape == (1, 1, 16, 16)
    count = [sum(p.numel() for p in d.parameters()) for d in (paper, light)]
    assert count[1] < count[0] / 3


def test_light_network_keeps_batch_norm_constants_in_training(light):
    before = {k: v.clone() for k, v in light.state_dict().items() if "backbone" in k}
    light.train()
    frames, sound, heard = networks.inputs(3, 64, 384)
    light(frames, sound, heard, frames_per_clip=3).mean().backward()
    light.eval()
    light.zero_grad(set_to_none=True)
    for name, tensor in light.state_dict().items():
        if "backbone" in name:
            assert torch.equal(tensor, before[name]), name


def test_light_network_has_a_class_per_similarity_row(light):
    frames, sound, heard = networks.inputs(1, 64, 384)
    out = light.forward_detailed(frames, sound, heard, frames_per_clip=1)
    assert out.visual_logits.shape == (1, 1003)
    assert out.logits.shape == (1, 1, 16, 16)


@pytest.mark.parametrize(
    ("frames", "sound", "heard", "clip", "error", "description"),
    [
        ((3, 3, 64, 64), (3, 128), (3, 527), 5, ModelError, "3 frames where clips of 5"),
        ((5, 3, 60, 64), (5, 128), (5, 527), 5, ModelError, r"\[N, 3, 64, 64\]"),
        ((5, 1, 64, 64), (5, 128), (5, 527), 5, ModelError, r"got \[5, 1, 64, 64\]"),
        ((3, 64, 64), (1, 128), (1, 527), 1, ModelError, r"got \[3, 64, 64\]"),
        ((5, 3, 64, 64), (5, 2048), (5, 527), 5, ModelError, r"audio_features must be \[5, 128\]"),
        ((5, 3, 64, 64), (4, 128), (5, 527), 5, ModelError, r"got \[4, 128\]"),
        ((5, 3, 64, 64), (5, 128), (5, 521), 5, ModelError, r"audio_logits must be \[5, 527\]"),
        ((0, 3, 64, 64), (0, 128), (0, 527), 5, ModelError, "0 frames"),
    ],
)
def test_inputs_that_do_not_fit(net, frames, sound, heard, clip, error, description):
    with pytest.raises(error, match=description):
        net(torch.zeros(frames), torch.zeros(sound), torch.zeros(heard), frames_per_clip=clip)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_audio_that_is_not_finite(net, value):
    frames, sound, heard = networks.inputs(2, 64, 128)
    bad = sound.clone()
    bad[1, 7] = value
    with pytest.raises(AudioFormatError, match="audio_features holds NaN or infinite"):
        net(frames, bad, heard, frames_per_clip=2)
    bad = heard.clone()
    bad[0, 0] = value
    with pytest.raises(AudioFormatError, match="audio_logits"):
        net(frames, sound, bad, frames_per_clip=2)


@pytest.mark.parametrize(
    ("options", "description"),
    [
        ({"visual": "resnet50"}, "unknown visual backbone 'resnet50'; known: pvt_v2_b0"),
        ({"image_size": 100}, "multiple of 32"),
        ({"visual": "swin_base_patch4_window7_224", "image_size": 256}, "multiple of 224"),
        ({"decoder": "none"}, "unknown decoder"),
        ({"channels": 31}, "impossible widths"),
        ({"audio_width": 0}, "impossible widths"),
    ],
)
def test_networks_that_cannot_be_built(options, description):
    arguments = {"visual": "pvt_v2_b0", "audio_width": 8, **options}
    with pytest.raises(ModelError, match=description):
        C3N(similarity=networks.small_similarity(4), **arguments)


def test_config_builds_the_same_network_again(light):
    again = C3N(similarity=light.c3im.similarity, **light.config())
    again.load_state_dict(light.state_dict())
    frames, sound, heard = networks.inputs(2, 64, 384)
    with torch.no_grad():
        first = light(frames, sound, heard, frames_per_clip=2)
        second = again.eval()(frames, sound, heard, frames_per_clip=2)
    assert torch.equal(first, second)


def test_published_weights_that_do_not_fit_are_named(net):
    with pytest.raises(CheckpointError, match=r"decoder\.head\.score\.bias: expected \[1\]"):
        state = {"module.output_conv.4.bias": torch.zeros(2)}
        C3N.load_official_state_dict(net, {**_own_as_published(net), **state})


def _own_as_published(net: C3N) -> dict[str, torch.Tensor]:
    return {k: v for k, v in net.state_dict().items() if k != "decoder.head.score.bias"}
