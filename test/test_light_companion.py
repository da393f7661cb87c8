"""Two things that sound in one second: the gate that asks who sounds beside the first."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from avs_ros.inference.light import ALONE, BUNDLED
from avs_ros.models.checkpoints import save_checkpoint
from avs_ros.models.light.checkpoint import load_light, tensors_of
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.selection import NEVER, CompanionGate
from avs_ros.models.light.steps import LightStep
from avs_ros.models.light.vocabulary import CATEGORY_NAMES, SOUND_CLASS_NAMES
from avs_ros.sound import SAMPLE_RATE
from recipes.c3n_light.audio_stage import UNKNOWN, both_targets, sound_class_target
from recipes.c3n_light.companions import (
    Rounds,
    calibrate_companion,
    train_companion,
    usually_heard,
)
from recipes.c3n_light.distortion import COMPANION_DB, level, together
from recipes.c3n_light.evidence import Evidence, GateDataset, Sounds, category_truth

# One worker loads the network.
pytestmark = pytest.mark.xdist_group("light_companion")

CAT, PERSON = CATEGORY_NAMES.index("cat"), CATEGORY_NAMES.index("person")
THINGS = ("person", "dog", "cat", "sheep", "car", "clock")


def gate(categories: int = 4) -> CompanionGate:
    torch.manual_seed(0)
    made = CompanionGate(categories)
    nn.init.normal_(made.usual)
    return made.eval()


def test_the_first_is_never_its_own_companion() -> None:
    heard, seen = torch.randn(3, 4), torch.randn(3, 4, 3)
    with torch.no_grad():
        out = gate()(heard, seen, torch.tensor([2, 0, 3]))
    assert (out == NEVER).nonzero().tolist() == [[0, 2], [1, 0], [2, 3]]


def test_a_companion_counts_against_what_the_first_lets_hear() -> None:
    made = gate()
    heard, seen = torch.randn(1, 4), torch.randn(1, 4, 3)
    with torch.no_grad():
        before = made(heard, seen, torch.tensor([0]))
        made.usual[1] += 3.0  # what is heard when another one is first
        assert torch.equal(made(heard, seen, torch.tensor([0])), before)
        made.usual[0, 2] += 3.0
        after = made(heard, seen, torch.tensor([0]))
    assert after[0, 2] != before[0, 2] and torch.equal(after[0, [1, 3]], before[0, [1, 3]])


@pytest.fixture(scope="module")
def bundled() -> LightC3N:
    return load_light(BUNDLED).network.requires_grad_(False)


def test_the_step_asks_beside_the_one_that_the_gate_likes_best(bundled: LightC3N) -> None:
    size = bundled.image_size
    frame, sound = torch.rand(1, 3, size, size) * 2 - 1, torch.randn(1, SAMPLE_RATE) * 0.1
    with torch.no_grad():
        feature, logits = bundled.audio_encoder(sound)
        whole = bundled(frame, feature, logits)
        width = LightStep(bundled).trunk.state_width
        past, shares = torch.zeros(0, 4, width), torch.ones(1)
        step = LightStep(bundled)(frame, feature, logits, whole.heard, past, shares)
    assert torch.allclose(step.companion_logits, whole.companion_logits, atol=1e-3)
    assert whole.companion_logits.argmin() == whole.gate.argmax()


def test_a_file_without_companions_marks_none(bundled: LightC3N, tmp_path: Path) -> None:
    about = dict(load_light(BUNDLED).metadata)
    about["build"] = {k: v for k, v in about["build"].items() if k != "companions"}
    tensors = {n: t for n, t in tensors_of(BUNDLED).items() if not n.startswith("companion.")}
    save_checkpoint(tmp_path / "older.safetensors", tensors, about)
    older = load_light(tmp_path / "older.safetensors").network
    assert older.companion is None and bundled.companion is not None
    gates = torch.randn(1, len(CATEGORY_NAMES))
    assert (
        float(older.companion_logits(gates, gates, gates[..., None].expand(-1, -1, 3)).max())
        == NEVER
    )


def sounds(sound_classes: list[Tensor], net: LightC3N) -> Sounds:
    """Nothing is heard but the classes that the sound classes are nearest to, rather faint the
    second.
    """
    generator = torch.Generator().manual_seed(len(sound_classes))
    logits = []
    for targets in sound_classes:
        heard = torch.full((527,), -7.0) + 0.3 * torch.randn(527, generator=generator)
        for number, sound_class in enumerate(torch.nonzero(targets > 0)[:, 0].tolist()):
            classes = net.affinity.log_affinity[sound_class].topk(3).indices
            heard[classes] = 3.0 - 3.0 * number
        logits.append(heard)
    stacked = torch.stack(sound_classes)
    truth = category_truth(stacked)
    return Sounds(torch.stack(logits), stacked, truth, torch.zeros_like(truth))


def images(shown: list[tuple[str, ...]]) -> Evidence:
    """Things are clearly seen or not at all."""
    visible = torch.zeros(len(shown), len(CATEGORY_NAMES))
    for row, names in zip(visible, shown, strict=True):
        row[[CATEGORY_NAMES.index(name) for name in names]] = 1.0
    clear, absent = torch.tensor([4.0, -1.5, -1.0]), torch.tensor([-7.5, -6.5, -10.0])
    return Evidence(torch.where(visible[..., None] > 0, clear, absent), visible)


def sound_class(name: str) -> Tensor:
    return torch.from_numpy(sound_class_target(name))


@pytest.fixture(scope="module")
def dataset(bundled: LightC3N) -> GateDataset:
    pairs = [(a, b) for a in THINGS for b in THINGS if a != b]
    mixed = [torch.maximum(sound_class(a), sound_class(b)) for a, b in pairs]
    alone = [sound_class(a) for a in THINGS for _ in range(6)]
    shown = [*pairs, *((a,) for a in THINGS)]
    return GateDataset(images(shown), sounds(alone, bundled), sounds(mixed, bundled))


def test_rounds_are_half_of_two_that_sound(bundled: LightC3N, dataset: GateDataset) -> None:
    both = dataset.alone.and_also(dataset.mixed)
    heard = bundled.affinity.by_category(bundled.affinity(both.logits))
    rounds = Rounds(dataset.images, both, heard)
    drawn, seen, target = rounds.draw(200, torch.Generator().manual_seed(0))
    assert drawn.shape == target.shape == (200, len(CATEGORY_NAMES)) and seen.shape[2] == 3
    assert ((target > 0).sum(1) == torch.tensor([2] * 100 + [1] * 100)).all()


def test_training_tells_a_silent_thing_from_one_that_sounds_too(
    bundled: LightC3N, dataset: GateDataset
) -> None:
    net, lines = copy.deepcopy(bundled), []
    train_companion(net, dataset, lines.append, steps=150)
    seen = images([("cat", "person")]).seen
    with torch.no_grad():
        found = []
        for kind in (dataset.alone, dataset.mixed):
            wanted = kind.truth[:, CAT] > 0
            wanted &= (kind.truth[:, PERSON] > 0) == (kind is dataset.mixed)
            heard = net.affinity.by_category(net.affinity(kind.logits[wanted]))[:1]
            gates = net.gate(heard, seen)
            companion_logits = torch.sigmoid(net.companion_logits(gates, heard, seen))[0]
            found.append(float(companion_logits[[CAT, PERSON]].max()))
    assert found[0] < 0.4 < 0.6 < found[1]
    threshold = calibrate_companion(net, dataset.images, dataset.alone, 0.5)
    assert 0.5 <= threshold < 1


def test_without_scenes_of_two_there_is_no_companion(
    bundled: LightC3N, dataset: GateDataset
) -> None:
    net, lines = copy.deepcopy(bundled), []
    lonely = GateDataset(images([(name,) for name in THINGS]), dataset.alone, dataset.mixed)
    train_companion(net, lonely, lines.append, steps=1)
    assert net.companion is None and "one category at a time" in lines[-1]
    assert calibrate_companion(net, lonely.images, lonely.alone, 0.5) == ALONE


def test_what_is_usual_is_the_mean_of_a_categorys_own_sounds() -> None:
    heard = torch.tensor([[4.0, 1.0]] * 200 + [[-2.0, 3.0]] * 200)
    truth = torch.tensor([[1.0, 0.0]] * 200 + [[0.0, 1.0]] * 200)
    usual, spread = usually_heard(heard, truth)
    assert torch.allclose(usual, torch.tensor([[4.0, 1.0], [-2.0, 3.0]]), atol=0.1)
    assert usual.shape == spread.shape == (2, 2) and float(spread.max()) < 1


def test_two_sounds_at_once_have_the_levels_that_are_said() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.normal(0, s, SAMPLE_RATE).astype(np.float32) for s in (0.1, 0.001))
    for _ in range(20):
        mixed, decibels = together(rng, first, second)
        assert COMPANION_DB[0] <= decibels <= COMPANION_DB[1] and mixed.dtype == np.float32
        assert 20 * np.log10(level(mixed - first) / level(first)) == pytest.approx(
            decibels, abs=0.1
        )


def test_a_much_fainter_sound_may_be_missed() -> None:
    cat, speech = sound_class_target("cat"), sound_class_target("person")
    assert both_targets(cat, speech, 0.0).sum() == 2
    faint = both_targets(cat, speech, -11.0)
    assert faint[SOUND_CLASS_NAMES.index("cat")] == 1
    assert faint[SOUND_CLASS_NAMES.index("person")] == UNKNOWN
