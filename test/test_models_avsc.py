"""AVSC: what the segmenter says, how it is taught, and how a sound picks what it lights up."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from avs_ros.errors import CheckpointError, ModelError, ParameterError
from avs_ros.models.avsc import (
    AVSC,
    AVSCConfig,
    SegmenterOutput,
    Target,
    attend,
    configuration,
    correlation_loss,
    load_avsc,
    match,
    save_avsc,
    silent_aware_loss,
)
from avs_ros.models.avsc.matching import pairwise_costs
from avs_ros.models.c3n.backbone import build_backbone

DOG, CAT, NOTHING = 0, 1, 2


def small_config(**changes: object) -> AVSCConfig:
    values = {
        "categories": ("person", "dog", "cat"), "image_size": 64, "query_category": (-1,) * 6,
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


def test_cells_that_nobody_knows_decide_nothing() -> None:
    torch.manual_seed(3)
    left = torch.cat([torch.ones(4, 2), torch.zeros(4, 2)], dim=1)
    thing = Target(torch.tensor([0]), torch.ones(1, 4, 4), torch.zeros(1) > 0, known=left)
    masks = torch.randn(3, 4, 4)
    elsewhere = masks + 5 * torch.randn(3, 4, 4) * (1 - left)
    classes = torch.randn(3, 2)
    costs = [pairwise_costs(classes, some, thing) for some in (masks, elsewhere)]
    assert torch.allclose(*costs, atol=1e-5)


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


def test_what_lies_where_nobody_looked_is_not_charged() -> None:
    classes, masks, targets = dog_and_silent_cat()
    known = 1 - square(16, 7, 7, 8)
    unknown = [targets["annotated"][0]._replace(known=known)]
    assert float(class_gradient("pseudo", unknown, classes, masks)[1].abs().max()) == 0
    assert float(class_gradient("pseudo", targets["annotated"], classes, masks)[1, NOTHING]) < 0


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
        feature, logits = net.hearing(sound)
    scores = torch.sigmoid(net.audio_scores(logits, feature))
    correlation_loss(net.attend(output, scores), left[None]).backward()
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
    feature, truth = torch.zeros(2, net.hearing.feature_width), torch.stack([left, right])
    optimiser = torch.optim.Adam(head.affinity.parameters(), lr=0.1)
    for _ in range(80):
        scores = torch.sigmoid(net.audio_scores(sounds, feature))
        loss = correlation_loss(net.attend(output, scores), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    learned = torch.sigmoid(net.audio_scores(sounds, feature)).detach()
    assert float(learned.diagonal().min()) > 0.8
    assert float(learned[0, 1]) < 0.2 and float(learned[1, 0]) < 0.2


def test_nothing_visible_sounds_is_taught_by_darkness() -> None:
    lit = torch.full((1, 4, 4), 0.3, requires_grad=True)
    correlation_loss(lit, torch.zeros(1, 4, 4)).backward()
    assert float(lit.grad.min()) > 0
    known = square(4, 0, 0, 2)[None]
    lit.grad = None
    correlation_loss(lit, torch.zeros(1, 4, 4), known).backward()
    assert torch.equal(lit.grad != 0, known > 0)


# --- the network


def test_every_layer_answers_and_the_parts_are_the_whole() -> None:
    net = small_network()
    frames = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        output = net.segment(frames)
        again = net.segment_features(net.features(frames))
    assert output.class_logits.shape == (2, 6, 4)
    assert output.mask_logits.shape == (2, 6, 16, 16)
    assert [tuple(c.shape) + tuple(m.shape) for c, m in output.auxiliary] == [
        (2, 6, 4, 2, 6, 16, 16)
    ] * 2
    assert torch.equal(output.mask_logits, again.mask_logits)


def test_class_evidence_speaks_for_the_category_whose_rows_it_shows() -> None:
    members = ((0, 1, 8), (2, 9), (3, 10))
    net = small_network(class_rows=11, members=members, query_category=(0, 1, 2, 0, -1))
    frames = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        net.backbone.net.classifier.bias[2] += 100  # the picture shows class row 2
        features = net.features(frames)
        assert len(features) == 5
        assert features[4].exp().mean(dim=(0, 2, 3)).argmax().item() == 1
        output = net.segment_features(features)
        net.segmenter.evidence_gain[1] += 2
        louder = net.segment_features(features)
    gain = louder.auxiliary[0][0] - output.auxiliary[0][0]
    assert float(gain[..., 1].min()) > 0
    assert float(gain[..., [0, 2, 3]].abs().max()) == 0


def test_every_parameter_of_the_segmenter_learns() -> None:
    net = small_network(class_rows=9, members=((0,), (1,), (2,)), query_category=(0, 1, 2, -1))
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
        net = small_network(folded=folded, class_rows=1003, members=((0,), (1,), (2,)))
        net.load_visual(path)
        net.load_audio(shared / "data" / "weights" / "efficientat_mn04_audioset.safetensors")
        with torch.no_grad():
            heard = net.hearing(torch.randn(1, 16000, generator=torch.Generator().manual_seed(1)))
            seen.append((*net.features(frames)[:4], *heard))
    for plain, other in zip(*seen, strict=True):
        assert torch.allclose(plain, other, atol=2e-3 * float(plain.abs().max()))


def test_settings_that_do_not_fit_together_are_refused() -> None:
    for wrong, words in (
        ({"categories": ()}, "no category"),
        ({"categories": ("dog", "dog", "cat")}, "same name"),
        ({"query_category": (3,)}, "query_category"),
        ({"voices": ("bark",), "voice_category": (3,)}, "voice_category"),
        ({"class_rows": 5}, "members"),
        ({"channels": 12}, "channels"),
    ):
        with pytest.raises(ModelError, match=words):
            small_config(**wrong)
    with pytest.raises(ModelError, match="avsc_light, avsc_pvt, avsc_swin"):
        configuration("avsc_b7")


def test_ready_forms_have_the_categories_they_say() -> None:
    light, full = configuration("avsc_light"), configuration("avsc_swin")
    assert len(light.categories) == 29 and len(full.categories) == 70
    assert light.query_category.count(light.categories.index("person")) == 6
    assert full.with_(categories=("a", "b"), voices=(), voice_category=()).voices == ("a", "b")


# --- the file


def test_file_round_trip(tmp_path: Path) -> None:
    net = small_network(
        class_rows=9, members=((0,), (1,), (2,)), query_category=(0, -1, 2), folded=True,
        voices=("speech", "baby", "bark", "meow"), voice_category=(0, 0, 1, 2),
    )  # fmt: skip
    path = tmp_path / "small.safetensors"
    save_avsc(path, net, {"calibration": {"score": 0.2}, "licence": "none"})
    loaded = load_avsc(path)
    assert loaded.network.config == net.config
    assert loaded.metadata["calibration"] == {"score": 0.2}
    assert not loaded.network.training
    frames, sound = torch.rand(1, 3, 64, 64) * 2 - 1, torch.randn(1, 16000) * 0.1
    with torch.no_grad():
        for before, after in zip(
            (*net.segment(frames)[:2], *net.hearing(sound)),
            (*loaded.network.segment(frames)[:2], *loaded.network.hearing(sound)),
            strict=True,
        ):
            # Half precision, and a mask that flips a cell of the attention.
            assert float((before - after).abs().mean()) < 0.02 * float(before.abs().max())
    sizes = {t.element_size() for t in net.state_dict().values() if t.is_floating_point()}
    assert sizes == {4} and path.stat().st_size < 2.2 * sum(
        t.numel() for t in net.state_dict().values()
    )
    assert not list(tmp_path.glob("*.part"))


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
