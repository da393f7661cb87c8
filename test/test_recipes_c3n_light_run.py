"""The light model's stages: settings, resuming, switches, data."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from light_training_data import CONFIGS, Reporter, make_work

from avs_ros.errors import DatasetError, ParameterError
from avs_ros.evaluation.composite import held_out_pairs
from avs_ros.inference.light import BUNDLED
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.vocabulary import CATEGORY_NAMES, SOUND_CLASSES
from avs_ros.sound import SAMPLE_RATE
from avs_ros.training.config import load_settings
from recipes.c3n_light import evidence, gate_training, spoken
from recipes.c3n_light.images import IGNORE, TrainingImage, outlined
from recipes.c3n_light.joint import PairSampler
from recipes.c3n_light.recipe import load_start
from recipes.c3n_light.recordings import SoundDataset
from recipes.c3n_light.refine import RefineStage
from recipes.c3n_light.scenes import SceneSampler
from recipes.c3n_light.settings import C3NLightSettings
from recipes.c3n_light.stages import learn
from recipes.c3n_light.trunk import Trunk, TrunkStage, answers_of, sense_all
from recipes.curves import draw_curves


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_work(tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def bundled() -> LightC3N:
    return load_start(BUNDLED)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"gates": "soft"}, "gates is 'soft'; choose one of ccam, cam_prior, strong"),
        ({"image_size": "100"}, "image_size is 100; a multiple of 32"),
        ({"batch": "0"}, "batch is 0; it must be at least 1"),
        ({"tpavi": "false"}, "set part to trunk"),
        ({"steps": "3"}, "unknown setting 'steps'"),
        ({"refine_steps": "many"}, "refine_steps is 'many'"),
        ({"part": "trunk", "backbone": "frozen", "trunk_pairs": "4"}, "trunk_pairs is 4"),
    ],
)
def test_wrong_settings_are_refused_by_name(changes: dict[str, str], told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        load_settings(C3NLightSettings, CONFIGS / "light.yaml", changes)


def test_a_recipe_without_stages_is_refused() -> None:
    nothing = {name: "0" for name in asdict(C3NLightSettings()) if name.endswith("_steps")}
    nothing |= {"trunk_steps": "1", "gate_steps": "1"}
    with pytest.raises(ParameterError, match="nothing to learn"):
        load_settings(C3NLightSettings, CONFIGS / "light.yaml", nothing)


@pytest.mark.parametrize("name", ["light", "light_continue", "light_trunk"])
def test_shipped_configurations_load(name: str) -> None:
    settings = load_settings(C3NLightSettings, CONFIGS / f"{name}.yaml")
    assert settings.part == ("trunk" if name == "light_trunk" else "whole")
    assert (settings.init_from == "bundled") == (name == "light_continue")


def refine_stage(net: LightC3N, work: Path) -> RefineStage:
    pairs = PairSampler(work, 3, 64)
    return RefineStage(copy.deepcopy(net), SceneSampler(work, False, 64, 3), pairs, 2, 3)


def test_an_interrupted_stage_ends_with_the_same_weights(
    tmp_path: Path, work: Path, bundled: LightC3N
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    learn(refine_stage(bundled, work), 4, whole, Reporter(), seed=3)
    with pytest.raises(KeyboardInterrupt):
        learn(refine_stage(bundled, work), 4, cut, Reporter(until=3), seed=3)
    stopped = torch.load(cut / "refine.pt", weights_only=True)
    assert stopped["progress"]["step"] == 3
    again = Reporter()
    cost = learn(refine_stage(bundled, work), 4, cut, again, seed=3)
    assert (again.steps, cost.steps) == (1, 4) and cost.cpu_s > 0
    one, other = (torch.load(f / "refine.pt", weights_only=True)["network"] for f in (whole, cut))
    assert all(torch.equal(one[name], other[name]) for name in one)
    start = bundled.state_dict()
    moved = [name for name in one if not torch.equal(one[name], start[name])]
    assert any(name.startswith("c3n.backbone") for name in moved)
    # The last stage leaves the audio encoder alone.
    assert not any(name.startswith(("audio_encoder", "affinity")) for name in moved)


@pytest.mark.parametrize(
    ("gates", "part", "heeded"),
    [("ccam", "prior", False), ("cam_prior", "prior", True), ("cam_prior", "strength", False),
     ("strong", "strength", True), ("strong", "prior", True)],
)  # fmt: skip
def test_gates_change_what_they_say(
    gates: str, part: str, heeded: bool, bundled: LightC3N
) -> None:
    rng = np.random.default_rng(1)
    frames = [rng.integers(0, 255, (64, 64, 3), np.uint8)]
    sensed = sense_all(
        bundled, frames, [rng.standard_normal(SAMPLE_RATE).astype(np.float32) * 0.1]
    )
    trunk = Trunk(bundled, gates)
    before = answers_of(trunk, sensed)[0]
    with torch.no_grad():
        for tensor in (trunk.strength,) if part == "strength" else trunk.prior.parameters():
            tensor.add_(0.7)
    assert (np.abs(answers_of(trunk, sensed)[0] - before).max() > 1e-4) == heeded


def test_without_tpavi_the_sound_changes_nothing_but_the_label(bundled: LightC3N) -> None:
    rng = np.random.default_rng(2)
    frames = [rng.integers(0, 255, (64, 64, 3), np.uint8)]
    sensed = sense_all(bundled, frames, [np.zeros(SAMPLE_RATE, np.float32)])
    other = copy.copy(sensed)
    object.__setattr__(other, "sound", sensed.sound + 1.0)
    with_it, without = Trunk(bundled, tpavi=True), Trunk(bundled, tpavi=False)
    assert np.abs(answers_of(with_it, sensed)[0] - answers_of(with_it, other)[0]).max() > 1e-5
    assert np.array_equal(answers_of(without, sensed)[0], answers_of(without, other)[0])


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_backbone_stays(
    frozen: bool, tmp_path: Path, work: Path, bundled: LightC3N
) -> None:
    net = copy.deepcopy(bundled)
    stage = TrunkStage(net, Trunk(net), PairSampler(work, 3, 64), 64, 2, 3)
    if frozen:
        stage.prepare(4)
    learn(stage, 2, tmp_path, Reporter(), seed=3)
    start = dict(bundled.c3n.backbone.named_parameters())
    moved = [n for n, p in net.c3n.backbone.named_parameters() if not torch.equal(p, start[n])]
    assert bool(moved) != frozen
    decoder = dict(bundled.c3n.decoder.named_parameters())
    assert any(not torch.equal(p, decoder[n]) for n, p in net.c3n.decoder.named_parameters())


def test_without_teachers_only_outlines_count() -> None:
    mask = np.array([[0, 1, 2, IGNORE]], np.uint8)
    kept = {
        source: outlined(TrainingImage(source, "blackswan/00000", row, False), mask)[0].tolist()
        for source, row in (("coco", -1), ("people", -1), ("davis", -1), ("imagenet", 0))
    }
    assert kept["coco"] == mask[0].tolist()
    assert kept["people"] == [0, 1, IGNORE, IGNORE]
    assert kept["davis"] == kept["imagenet"] == [IGNORE] * 4


def test_training_never_pairs_what_is_held_out(work: Path) -> None:
    category_of = {sound_class.name: sound_class.category for sound_class in SOUND_CLASSES}
    sounding = set(category_of.values())
    apart: dict[str, set[str]] = {}
    for category, kind in held_out_pairs():
        if kind in sounding:
            apart.setdefault(category, set()).add(kind)
    category = max(sorted(apart), key=lambda name: len(apart[name]))
    mask = np.zeros((64, 64), np.uint8)
    mask[10:50, 10:50] = CATEGORY_NAMES.index(category) + 1
    sampler, heard = PairSampler(work, 0, 64), set()
    for step in range(150):
        sampler.seed(0, step)
        target = sampler.sound_for(mask)[1]
        heard |= {category_of[SOUND_CLASSES[v].name] for v in np.nonzero(target > 0)[0]}
    assert len(heard) > 5 and not heard & apart[category]


def test_the_gate_learns_nothing_from_held_out_pairs() -> None:
    images = evidence.Evidence(torch.zeros(4, 3, 3), torch.eye(4, 3))
    barred = torch.zeros(3, 3)
    barred[1, 0] = 1
    sounds = evidence.Sounds(torch.zeros(3, 527), torch.eye(3), torch.eye(3), barred)
    sound, _, target = gate_training.Pairs(images, sounds).draw(
        400, torch.Generator().manual_seed(0)
    )
    unknown = (target < 0).all(1)
    assert bool(unknown.any()) and set(sound[unknown].tolist()) == {1}


def test_lifting_moves_each_group_by_its_own_step(work: Path, bundled: LightC3N) -> None:
    net = copy.deepcopy(bundled)
    lifts = gate_training.lift_maps(net, work)
    before, after = bundled.semantic.bias, net.semantic.bias
    assert before is not None and after is not None
    moved = (after - before).detach()
    for k, name in enumerate(CATEGORY_NAMES):
        group = "vehicles" if name in gate_training.VEHICLES else "others"
        assert float(moved[k]) == pytest.approx(lifts[group], abs=1e-5)
    # No vehicle is held out here, so nothing speaks for moving them.
    assert lifts["vehicles"] == 0.0 and lifts["others"] in gate_training.LIFTS


def test_espeak_sentences_join_the_training_speech_alone(work: Path, tmp_path: Path) -> None:
    if not spoken.available():
        pytest.skip("espeak-ng is not installed")
    for name in ("sounds.npy", "sounds.json"):
        (tmp_path / name).symlink_to(work / name)
    before = [len(SoundDataset(tmp_path, held).by_sound["speech"]) for held in (False, True)]
    assert spoken.gather(tmp_path, 3) == 3
    library = SoundDataset(tmp_path, held_out=False)
    assert len(library.by_sound["speech"]) == before[0] + 3
    assert len(SoundDataset(tmp_path, held_out=True).by_sound["speech"]) == before[1]
    said = library.samples(library.by_sound["speech"][-1])
    assert len(said) > SAMPLE_RATE // 2 and np.abs(said).max() > 0.05


def test_without_espeak_the_recordings_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert spoken.gather(tmp_path, 3) == 0 and not list(tmp_path.iterdir())
    assert spoken.sentences(20) == spoken.sentences(20)
    assert len({(s.speaker, s.speed) for s in spoken.sentences(20)}) > 15


def test_curves_have_a_panel_for_each_stage(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    lines = [{"kind": k, "at": i, "smooth": 1 / (i + 1)} for k in ("a", "b") for i in range(9)]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    one = draw_curves(log, tmp_path / "curves.png")
    assert one is not None
    two_panels = cv2.imread(str(one))
    log.write_text(json.dumps(lines[0]) + "\n")
    draw_curves(log, one)
    one_panel = cv2.imread(str(one))
    assert two_panels is not None and one_panel is not None
    assert two_panels.shape[0] == 2 * one_panel.shape[0]
    log.write_text("no line\n")
    with pytest.raises(DatasetError, match="no line"):
        draw_curves(log, one)
