"""AVSC: what the segmenter says, how a sound picks what it lights up, and the file."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from avs_ros.errors import CheckpointError, ModelError
from avs_ros.models.avsc import (
    AVSC,
    AVSCConfig,
    SegmenterOutput,
    Target,
    attend,
    configuration,
    correlation_loss,
    load_avsc,
    save_avsc,
    silent_aware_loss,
)
from avs_ros.models.c3n.backbone import build_backbone


def small_config(**changes: object) -> AVSCConfig:
    values = {
        "categories": ("person", "dog", "cat"), "image_size": 64, "queries": 6,
        "channels": 16, "heads": 2, "layers": 2, "feedforward": 32,
    }  # fmt: skip
    return AVSCConfig(**{**values, **changes})


def small_network(**changes: object) -> AVSC:
    torch.manual_seed(0)
    return AVSC(small_config(**changes)).eval()


def square(size: int, top: int, left: int, side: int) -> Tensor:
    mask = torch.zeros(size, size)
    mask[top : top + side, left : left + side] = 1
    return mask


# --- the correlation of what is heard and seen


def two_things() -> tuple[SegmenterOutput, Tensor, Tensor]:
    """A dog on the left and a cat on the right, both found."""
    left, right = square(8, 0, 0, 8), square(8, 0, 0, 8)
    left[:, 4:] = 0
    right[:, :4] = 0
    classes = torch.tensor([[[8.0, 0, 0], [0, 8.0, 0], [0, 0, 8.0]]])
    masks = torch.stack([left, right, torch.zeros(8, 8)])[None] * 20 - 10
    return SegmenterOutput(classes, masks), left, right


def test_the_score_of_a_category_lights_up_its_things() -> None:
    output, left, right = two_things()
    barking = attend(output, torch.tensor([[0.9, 0.0]]))[0]
    assert torch.allclose(barking, 0.9 * left, atol=0.01)
    both = attend(output, torch.tensor([[0.9, 0.6]]))[0]
    assert torch.allclose(both, 0.9 * left + 0.6 * right, atol=0.01)
    assert float(attend(output, torch.zeros(1, 2)).max()) < 1e-3


def test_two_of_a_kind_light_up_together_and_stay_probabilities() -> None:
    output, _, _ = two_things()
    dogs = torch.tensor([[[8.0, 0, 0], [8.0, 0, 0], [8.0, 0, 0]]])
    masks = torch.cat([output.mask_logits[:, :2], output.mask_logits[:, :1]], dim=1)
    lit = attend(SegmenterOutput(dogs, masks), torch.ones(1, 2))[0]
    assert float(lit.min()) > 0.99 and float(lit.max()) <= 1.0


def test_binary_masks_alone_reach_the_audio_head() -> None:
    net = small_network(categories=("dog", "cat"))
    output, left, _ = two_things()
    sound = torch.randn(1, 16000) * 0.05
    with torch.no_grad():
        feature, logits = net.audio_encoder(sound)
    scores = torch.sigmoid(net.audio_head(logits, feature))
    correlation_loss(attend(output, scores), left[None]).backward()
    affinity, last = net.audio_head.affinity.log_affinity, net.audio_head.residual[2].bias
    # Down the gradient the dog gets louder and the cat, which is not in the mask, quieter.
    assert float(affinity.grad[0].sum()) < 0 < float(affinity.grad[1].sum())
    assert float(last.grad[0]) < 0 < float(last.grad[1])
    assert all(p.grad is None for p in net.segmenter.parameters())


def test_the_audio_head_learns_what_a_sound_belongs_to_from_masks_alone() -> None:
    net = small_network(categories=("dog", "cat"))
    head = net.audio_head
    torch.nn.init.constant_(head.affinity.log_affinity, -2.0)  # it knows nothing
    output, left, right = two_things()
    output = SegmenterOutput(output.class_logits.expand(2, -1, -1),
                             output.mask_logits.expand(2, -1, -1, -1))  # fmt: skip
    sounds = torch.full((2, 527), -6.0)
    sounds[0, 300] = sounds[1, 400] = 2.0
    feature, truth = torch.zeros(2, net.audio_encoder.feature_width), torch.stack([left, right])
    optimiser = torch.optim.Adam(head.affinity.parameters(), lr=0.1)
    for _ in range(80):
        scores = torch.sigmoid(net.audio_head(sounds, feature))
        loss = correlation_loss(attend(output, scores), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    learned = torch.sigmoid(net.audio_head(sounds, feature)).detach()
    assert float(learned.diagonal().min()) > 0.8
    assert float(learned[0, 1]) < 0.2 and float(learned[1, 0]) < 0.2


def test_nothing_visible_sounds_is_taught_by_darkness() -> None:
    lit = torch.full((1, 4, 4), 0.3, requires_grad=True)
    correlation_loss(lit, torch.zeros(1, 4, 4)).backward()
    assert float(lit.grad.min()) > 0


# --- the network


def test_every_layer_answers_and_the_parts_are_the_whole() -> None:
    net = small_network()
    frames = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        output = net.segment(frames)
        again = net.segmenter(net.features(frames))
    assert output.class_logits.shape == (2, 6, 4)
    assert output.mask_logits.shape == (2, 6, 16, 16)
    assert [tuple(c.shape) + tuple(m.shape) for c, m in output.auxiliary] == [
        (2, 6, 4, 2, 6, 16, 16)
    ] * 2
    assert torch.equal(output.mask_logits, again.mask_logits)


def test_every_parameter_of_the_segmenter_learns() -> None:
    net = small_network(queries=4)
    net.train()
    targets = [Target(torch.tensor([1]), square(16, 2, 2, 8)[None], torch.tensor([False]))]
    losses = silent_aware_loss(net.segment(torch.randn(1, 3, 64, 64)), targets)
    torch.stack(list(losses.values())).sum().backward()
    still = [name for name, p in net.segmenter.named_parameters() if p.grad is None]
    assert still == []
    assert all(p.grad is not None for p in net.backbone.parameters())
    net.freeze_segmenter()
    assert not any(p.requires_grad for p in (*net.segmenter.parameters(),
                                             *net.backbone.parameters()))  # fmt: skip
    assert all(p.requires_grad for p in net.audio_head.parameters())


def test_a_full_form_starts_from_public_weights_without_a_head(tmp_path: Path) -> None:
    public = build_backbone("pvt_v2_b0")
    path = tmp_path / "pvt_v2_b0.safetensors"
    save_file({name[4:]: t.clone() for name, t in public.state_dict().items()}, str(path))
    net = small_network(visual="pvt_v2_b0", separable=False, memory_levels=3)
    frames = torch.randn(1, 3, 64, 64)
    net.load_visual(path)
    with torch.no_grad():
        theirs = public.eval()(frames).features
        ours = net.eval().features(frames)
    assert not any("head" in name for name, _ in net.backbone.named_parameters())
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-4)
    with pytest.raises(CheckpointError, match="does not fit"):
        small_network(visual="pvt_v2_b1").load_visual(path)


def test_folded_and_plain_backbones_see_the_same(shared: Path) -> None:
    path = shared / "data" / "weights" / "mobilenet_v2_imagenet.safetensors"
    frames = torch.rand(1, 3, 64, 64) * 2 - 1
    seen = []
    for folded in (False, True):
        net = small_network(folded=folded)
        net.load_visual(path)
        net.load_audio(shared / "data" / "weights" / "efficientat_mn04_audioset.safetensors")
        with torch.no_grad():
            heard = net.audio_encoder(
                torch.randn(1, 16000, generator=torch.Generator().manual_seed(1))
            )
            seen.append((*net.features(frames), *heard))
    for plain, other in zip(*seen, strict=True):
        assert torch.allclose(plain, other, atol=2e-3 * float(plain.abs().max()))


def test_settings_that_do_not_fit_together_are_refused() -> None:
    for wrong, arguments in (
        ({"categories": ()}, "no category"),
        ({"categories": ("dog", "dog", "cat")}, "same name"),
        ({"queries": 0}, "no query"),
        ({"sound_classes": ("bark",), "sound_class_category": (3,)}, "sound_class_category"),
        ({"channels": 12}, "channels"),
    ):
        with pytest.raises(ModelError, match=arguments):
            small_config(**wrong)
    with pytest.raises(ModelError, match="avsc_pvt, avsc_swin"):
        configuration("avsc_b7")


def test_ready_forms_have_the_categories_they_say() -> None:
    full = configuration("avsc_swin")
    assert len(full.categories) == 70 and full.queries == 100
    other = replace(full, categories=("a", "b"), sound_classes=(), sound_class_category=())
    assert other.sound_classes == ("a", "b")


# --- the file


def test_file_round_trip(tmp_path: Path) -> None:
    net = small_network(
        queries=3, folded=True,
        sound_classes=("speech", "baby", "bark", "meow"), sound_class_category=(0, 0, 1, 2),
    )  # fmt: skip
    path = tmp_path / "small.safetensors"
    save_avsc(path, net, {"calibration": {"score": 0.2}, "licence": "none"})
    loaded, metadata = load_avsc(path)
    assert loaded.config == net.config
    assert metadata["calibration"] == {"score": 0.2}
    assert not loaded.training
    frames, sound = torch.rand(1, 3, 64, 64) * 2 - 1, torch.randn(1, 16000) * 0.1
    with torch.no_grad():
        for before, after in zip(
            (*net.segment(frames)[:2], *net.audio_encoder(sound)),
            (*loaded.segment(frames)[:2], *loaded.audio_encoder(sound)),
            strict=True,
        ):
            # Half precision, and a mask that flips a cell of the attention.
            assert float((before - after).abs().mean()) < 0.02 * float(before.abs().max())
    sizes = {t.element_size() for t in net.state_dict().values() if t.is_floating_point()}
    assert sizes == {4} and path.stat().st_size < 2.2 * sum(
        t.numel() for t in net.state_dict().values()
    )
    assert not list(tmp_path.glob("*.part"))


def test_a_file_of_0_2_is_read_unless_it_is_of_the_light_form() -> None:
    old = {**asdict(small_config()), "class_rows": 0, "members": []}
    del old["queries"]
    assert AVSCConfig.of({**old, "query_category": [-1] * 6}) == small_config()
    with pytest.raises(TypeError, match="class_rows"):
        AVSCConfig.of({**old, "query_category": [0, 1], "class_rows": 9})


def test_another_file_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, str(other))
    with pytest.raises(CheckpointError, match="not an AVSC file"):
        load_avsc(other)
    with pytest.raises(CheckpointError, match="does not exist"):
        load_avsc(tmp_path / "none.safetensors")
    broken = tmp_path / "broken.safetensors"
    save_file({"x": torch.zeros(1)}, str(broken), {"kind": '"avsc"', "build": '{"color": 1}'})
    with pytest.raises(CheckpointError, match="lacks what"):
        load_avsc(broken)
