"""The incremental form gives the numbers of the plain clip, and remembers what it should."""

from __future__ import annotations

import c3n_networks as networks
import numpy as np
import pytest
import torch
import torch.nn.functional as functional

from avs_ros.models.c3n import C3N
from avs_ros.models.c3n.backbone import Backbone, SwinTransformer, build_backbone
from avs_ros.models.c3n.ccam import class_activated_weights
from avs_ros.models.c3n.streaming import C3NStep
from avs_ros.models.c3n.streaming.step import FoldedPyramidPooling, traced
from avs_ros.models.c3n.streaming.traced import SEED, halving_phases, halving_vjp
from avs_ros.models.stream_memory import StreamMemory

SECOND = 1_000_000_000


def lively_backbone(name: str, size: int) -> Backbone:
    if name == "swin_tiny_patch4_window7_224":  # not a published C3N: the same blocks, fewer
        backbone: Backbone = SwinTransformer(name, 11, image_size=size).eval()
    else:
        backbone = build_backbone(name, num_classes=11, image_size=size).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in backbone.parameters():
            noise = torch.randn(p.shape, generator=generator)
            p.copy_(noise / np.sqrt(np.prod(p.shape[1:])) if p.ndim > 1 else p + 0.1 * noise)
        for name, buffer in backbone.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.1 * torch.randn(buffer.shape, generator=generator))
            if name.endswith("running_var"):
                buffer.uniform_(0.8, 1.2, generator=generator)
    return backbone


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("pvt_v2_b0", 96),
        ("pvt_v2_b1", 64),
        ("pvt_v2_b2", 64),
        ("mobilenetv2_100", 96),
        ("swin_tiny_patch4_window7_224", 224),
    ],
)
def test_written_out_backward_pass_is_autograds(name, size):
    backbone = lively_backbone(name, size)
    count = 1 if name.startswith("swin") else 2
    frames = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))
    if not name.startswith("swin"):
        # In double precision no value sits on the edge of a ReLU6 for one form only.
        backbone, frames = backbone.double(), frames.double()
    labels = torch.tensor([3, 9])[:count]
    with torch.no_grad():
        taps = backbone(frames)
        expected = class_activated_weights(taps, labels)
        net = traced(backbone)
        trace = net(frames)
        found = [weight / SEED for weight in net.channel_weights(trace, labels)]
    torch.testing.assert_close(trace.logits, taps.logits, rtol=0, atol=1e-5)
    for ours, reference in zip(trace.features, taps.features, strict=True):
        torch.testing.assert_close(ours, reference, rtol=0, atol=2e-5)
    for ours, reference in zip(found, expected, strict=True):
        assert (ours - reference).abs().max() <= 2e-5 * reference.abs().max()


@pytest.mark.parametrize("side", [56, 28, 14, 7])
def test_folded_pyramid(side):
    net = networks.lively(
        C3N("pvt_v2_b0", 8, networks.small_similarity(3), channels=16, image_size=32)
    )
    plain = net.aspp[1]
    x = torch.randn(2, 64, side, side, generator=torch.Generator().manual_seed(1))
    folded = FoldedPyramidPooling(plain, side)
    with torch.no_grad():
        torch.testing.assert_close(folded(x), plain(x), rtol=0, atol=2e-6)
    assert folded.rates == [rate for rate in (6, 12, 18) if rate < side]


def stream_against_clip(net: C3N, size: int, frames_per_clip: int, count: int, at: list[int]):
    """Largest difference between streamed masks and the newest masks of plain clips.

    Relative to the largest logit where that exceeds 1: float32 noise grows with the numbers.
    """
    frames, sound, heard = networks.inputs(count, size, net.audio_width)
    stream = networks.Stream(net, frames_per_clip)
    steps = [
        stream.step(frames[i : i + 1], sound[i : i + 1], heard[i : i + 1], 10**15 + i * SECOND)
        for i in range(count)
    ]
    worst = 0.0
    for i in at:
        clip = slice(max(0, i - frames_per_clip + 1), i + 1)
        length = clip.stop - clip.start
        with torch.no_grad():
            plain = net.forward_detailed(frames[clip], sound[clip], heard[clip], length)
        assert steps[i].label.item() == plain.labels[-1].item()
        scale = max(1.0, float(plain.logits.abs().max()))
        worst = max(worst, float((steps[i].logits[0] - plain.logits[-1]).abs().max()) / scale)
    return worst


def test_stream_equals_clip_pvt_b0_before_and_after_the_window_rolled():
    net = networks.lively(C3N("pvt_v2_b0", 128, networks.small_similarity(), image_size=128))
    assert stream_against_clip(net, 128, 5, 7, at=[0, 2, 6]) < 1e-5


# These two build the paper's largest networks.  Their streaming form is held against the
# published outputs, frame by frame, where those are compared.
@pytest.mark.slow
def test_stream_equals_clip_pvt_b5():
    net = networks.lively(C3N("pvt_v2_b5", 2048, networks.small_similarity(), image_size=64))
    assert stream_against_clip(net, 64, 5, 7, at=[1, 6]) < 1e-5


@pytest.mark.slow
def test_stream_equals_clip_swin():
    net = networks.lively(
        C3N("swin_base_patch4_window7_224", 768, networks.small_similarity(20), channels=64)
    )
    assert stream_against_clip(net, 224, 2, 3, at=[2]) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("visual", ["pvt_v2_b0", "pvt_v2_b5", "swin_base_patch4_window7_224"])
def test_stream_equals_clip_at_full_size(visual):
    net = networks.lively(C3N(visual, 2048, networks.small_similarity()))
    assert stream_against_clip(net, 224, 5, 7, at=[3, 4, 6]) < 1e-5


def test_stream_equals_clip_light():
    net = networks.light(image_size=64)
    # In single precision a value on the edge of a ReLU6 may let its gradient through in one
    # form and not in the other; double precision shows that the forms are the same.
    assert stream_against_clip(net, 64, 5, 7, at=[0, 4, 6]) < 1e-3
    net = net.double()
    frames, sound, heard = (x.double() for x in networks.inputs(7, 64, net.audio_width))
    core = C3NStep(net)
    states: list[torch.Tensor] = []
    for i in range(7):
        known = states[-4:]
        past = torch.zeros(4, 4, core.state_width, dtype=torch.float64)
        shares = torch.zeros(5, dtype=torch.float64)
        for row, state in enumerate(known):
            past[row] = state
            shares[row] = 1 / (len(known) + 1)
        shares[-1] = 1 / (len(known) + 1)
        with torch.no_grad():
            out = core(frames[i : i + 1], sound[i : i + 1], heard[i : i + 1], past, shares)
        states.append(out.state)
    with torch.no_grad():
        plain = net(frames[2:], sound[2:], heard[2:], frames_per_clip=5)
    assert float((out.logits[0] - plain[-1]).abs().max()) < 1e-9


def test_reset_forgets_the_past():
    net = networks.light()
    frames, sound, heard = networks.inputs(2, 64, 384)
    stream = networks.Stream(net)
    alone = stream.step(frames[1:], sound[1:], heard[1:], 5 * SECOND).logits
    stream.reset()
    stream.step(frames[:1], sound[:1], heard[:1], 4 * SECOND)
    after = stream.step(frames[1:], sound[1:], heard[1:], 5 * SECOND).logits
    stream.reset()
    again = stream.step(frames[1:], sound[1:], heard[1:], 5 * SECOND).logits
    assert torch.equal(alone, again)
    assert (after - alone).abs().max() > 1e-4


def remembered(rate_hz: float, seconds: float, capacity: int = 256) -> StreamMemory:
    memory = StreamMemory((1,), 5, capacity)
    for i in range(int(rate_hz * seconds)):
        stamp = round(i * SECOND / rate_hz)
        memory.remember(stamp, np.array([stamp / SECOND], dtype=np.float32))
    return memory


@pytest.mark.parametrize("rate_hz", [1.0, 2.0, 3.7, 15.0, 30.0])
def test_memory_finds_the_frames_one_to_four_seconds_back(rate_hz):
    memory = remembered(rate_hz, 20.0)
    now = 20 * SECOND
    past, shares = memory.recall(now)
    ages = 20.0 - past[:, 0]
    np.testing.assert_allclose(ages, [1, 2, 3, 4], atol=0.5 / rate_hz + 1e-6)
    np.testing.assert_allclose(shares, 0.2, rtol=1e-6)


def test_memory_is_bounded_however_fast_the_stream():
    memory = remembered(2000.0, 9.0, capacity=64)
    assert len(memory) <= 64
    past, shares = memory.recall(9 * SECOND)
    np.testing.assert_allclose(9.0 - past[:, 0], [1, 2, 3, 4], atol=0.05)
    assert shares[-1] == pytest.approx(0.2)


def test_memory_before_the_window_is_full_and_across_a_gap():
    memory = StreamMemory((1,), 5)
    _, shares = memory.recall(0)
    assert shares.tolist() == [0, 0, 0, 0, 1]
    memory.remember(0, np.ones(1))
    past, shares = memory.recall(SECOND)
    assert past[0, 0] == 1 and shares.tolist() == [0.5, 0, 0, 0, 0.5]
    # Three seconds of nothing: only the frame three seconds back is there.
    _, shares = memory.recall(3 * SECOND)
    assert shares.tolist() == [0, 0, 0.5, 0, 0.5]


def test_memory_after_a_step_back_in_time_uses_no_future():
    memory = remembered(1.0, 5.0)
    past, shares = memory.recall(2 * SECOND)
    assert past[:2, 0].tolist() == [1.0, 0.0]
    assert shares.tolist()[2:4] == [0, 0]
    memory.remember(2 * SECOND, np.array([9.0]))
    past, _ = memory.recall(3 * SECOND)
    assert past[0, 0] == 9.0
    assert len(memory) == 3


def test_the_depthwise_halving_runs_backwards_as_autograd_has_it() -> None:
    rng = torch.Generator().manual_seed(2)
    weight = torch.randn(5, 1, 3, 3, generator=rng)
    x = torch.randn(1, 5, 12, 8, generator=rng, requires_grad=True)
    out = functional.conv2d(functional.pad(x, (0, 1, 0, 1)), weight, stride=2, groups=5)
    gradient = torch.randn(out.shape, generator=rng)
    out.backward(gradient)
    phases = halving_phases(weight)
    torch.testing.assert_close(halving_vjp(weight, phases, gradient), x.grad)
    # In a graph it is written in another way.
    graph = torch.jit.trace(lambda g: halving_vjp(weight, phases, g), gradient)
    torch.testing.assert_close(graph(gradient), x.grad)
