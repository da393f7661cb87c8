"""The recipe of avsc_light: instances, scenes, what is scored, and a run on a tiny set."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avs_ros.errors import ParameterError
from avs_ros.models.avsc import AVSC, SegmenterOutput, Target, configuration, load_avsc
from avs_ros.models.light.vocabulary import CATEGORIES, CATEGORY_NAMES
from avs_ros.training.config import load_settings
from avs_ros.training.report import RunReporter
from recipes.avsc_light import calibration, correlation, instances, pairs, scenes, validation
from recipes.avsc_light.__main__ import CONFIG, main
from recipes.avsc_light.buffer import SceneBuffer, target
from recipes.avsc_light.instances import Part
from recipes.avsc_light.light import train_light
from recipes.avsc_light.settings import AVSCLightSettings
from recipes.c3n_light.images import IGNORE, SIZE, TrainingImage
from recipes.c3n_light.recordings import TrainingSound

DOG, CAT = CATEGORY_NAMES.index("dog"), CATEGORY_NAMES.index("cat")


# -- settings -----------------------------------------------------------------------------------
def test_the_shipped_configuration_loads() -> None:
    light = load_settings(AVSCLightSettings, CONFIG)
    assert 0 < light.live_epochs < light.epochs and light.empty_on_mismatch == 0.945


def test_wrong_settings_are_refused_by_name() -> None:
    with pytest.raises(ParameterError, match="mode is 'none'"):
        load_settings(AVSCLightSettings, CONFIG, {"mode": "none"})
    with pytest.raises(ParameterError, match="capacity is 3"):
        AVSCLightSettings(capacity=3)


# -- instances and scenes -----------------------------------------------------------------------
def two_dogs() -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[20:120, 20:120] = DOG + 1
    mask[150:270, 150:270] = DOG + 1
    mask[150:160, 10:20] = CAT + 1
    mask[:10, 200:] = IGNORE
    return mask


def test_connected_parts_are_instances_and_specks_are_unknown() -> None:
    ids, parts = instances.components(two_dogs(), frozenset({DOG}))
    assert parts == [Part(DOG, False), Part(DOG, False)]
    assert sorted(np.unique(ids)) == [0, 1, 2, IGNORE]
    assert (ids[155, 15], ids[5, 250]) == (IGNORE, IGNORE)
    _, doubted = instances.components(two_dogs(), frozenset())
    assert all(part.silent for part in doubted)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Six images: a dark square of a dog or a bright one of a cat; the last two held out."""
    work = tmp_path / "cache"
    work.mkdir()
    images, masks, table, parts = [], [], [], []
    rng = np.random.default_rng(0)
    for number in range(6):
        category = (DOG, CAT)[number % 2]
        image = rng.integers(100, 140, (SIZE, SIZE, 3)).astype(np.uint8)
        mask = np.zeros((SIZE, SIZE), np.uint8)
        at = 30 + 10 * number
        mask[at : at + 140, at : at + 140] = category + 1
        image[mask > 0] = (30, 30, 60) if category == DOG else (230, 210, 180)
        images.append(image)
        masks.append(mask)
        table.append(asdict(TrainingImage("coco", str(number), -1, number >= 4)))
        parts.append([asdict(Part(category, number == 0))])
    np.save(work / "images.npy", np.stack(images))
    np.save(work / "masks.npy", np.stack(masks))
    np.save(work / "instances.npy", (np.stack(masks) > 0).astype(np.uint8))
    (work / "images.json").write_text(json.dumps(table))
    (work / "instances.json").write_text(json.dumps(parts))
    return work


def test_scenes_keep_things_apart_and_hold_back_what_is_held_out(cache: Path) -> None:
    sampler = scenes.InstanceSampler(cache, False, 96, seed=0)
    assert sampler.indices == [0, 1, 2, 3]
    twins = 0
    for _ in range(40):
        scene = sampler.scene()
        assert scene.image.shape == (96, 96, 3) and scene.image.dtype == np.uint8
        assert set(np.unique(scene.ids)) <= {scenes.UNKNOWN, *range(len(scene.parts) + 1)}
        assert {part.category for part in scene.parts} <= {DOG, CAT}
        for number in range(1, len(scene.parts) + 1):
            assert (scene.ids == number).any()
        categories = [part.category for part in scene.parts]
        twins += len(set(categories)) < len(categories)
    assert twins >= 5
    whole = scenes.InstanceSampler(cache, True, 96, seed=0)
    assert [whole.whole(i).parts[0].category for i in whole.indices] == [DOG, CAT]


def test_buffer_replaces_the_oldest_and_gives_targets(cache: Path) -> None:
    sampler = scenes.InstanceSampler(cache, False, 64, seed=0)

    def see(frames: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        mean = frames.mean((1, 2, 3))
        half = frames.new_full((len(frames), 1, 2, 2), 0.5)
        return (mean[:, None, None, None].expand(-1, 2, 4, 4),), half

    buffer = SceneBuffer(sampler.scene, see, capacity=6, side=16)
    buffer.refresh(6)
    before = buffer.rows(range(6)).features[0]
    buffer.refresh(2)
    after = buffer.rows(range(6)).features[0]
    assert len(buffer) == 6
    assert not torch.equal(before[:2], after[:2]) and torch.equal(before[2:], after[2:])
    batch = buffer.batch(4, np.random.default_rng(0))
    assert batch.features[0].shape == (4, 2, 4, 4) and len(batch.targets) == 4
    assert float(batch.teacher.max()) == pytest.approx(0.5, abs=0.01)
    ids = np.zeros((16, 16), np.int16)
    ids[:4], ids[4:8] = 1, scenes.UNKNOWN
    made = target(ids, (Part(CAT, True), Part(DOG, False)))
    assert made.classes.tolist() == [CAT] and made.silent.tolist() == [True]
    assert made.known is not None and float(made.known.mean()) == 0.75


# -- what is scored -----------------------------------------------------------------------------
def answer(category: int, cells: slice) -> SegmenterOutput:
    """One sure query that marks some rows of 8 x 8 cells, and one that is nothing."""
    classes = torch.zeros(1, 2, len(CATEGORIES) + 1)
    classes[0, 0, category] = 9.0
    classes[0, 1, -1] = 9.0
    masks = torch.full((1, 2, 8, 8), -9.0)
    masks[0, 0, cells] = 9.0
    return SegmenterOutput(classes, masks, ())


def test_scores_tell_right_from_wrong() -> None:
    mask = torch.zeros(1, 8, 8)
    mask[0, :4] = 1
    truth = Target(torch.tensor([DOG]), mask, torch.tensor([False]), torch.ones(8, 8))
    right = validation.scores([answer(DOG, slice(0, 4))], [truth])
    assert right["val_miou"] == right["val_recall"] == 1.0 and right["val_spurious"] == 0
    misnamed = validation.scores([answer(CAT, slice(0, 4))], [truth])
    assert misnamed["val_miou"] == misnamed["val_recall"] == 0.0
    elsewhere = validation.scores([answer(DOG, slice(4, 8))], [truth])
    assert elsewhere["val_recall"] == 0.0 and elsewhere["val_spurious"] == 1.0
    # Where nobody knows what is there, nothing counts against it.
    unknown = truth._replace(known=torch.cat([torch.ones(4, 8), torch.zeros(4, 8)]))
    assert validation.scores([answer(DOG, slice(4, 8))], [unknown])["val_spurious"] == 0


def test_truth_of_a_pair_is_what_sounds() -> None:
    ids = np.zeros((4, 4), np.int16)
    ids[0], ids[1], ids[2] = 1, 2, scenes.UNKNOWN
    parts = (Part(DOG, False), Part(CAT, False))
    sounding = torch.zeros(len(CATEGORIES))
    sounding[DOG], sounding[CAT] = 1, -1
    truth, known = pairs.attended_truth(ids, parts, sounding)
    assert truth.sum() == 4 and bool((truth[0] == 1).all())
    assert known.sum(1).tolist() == [4, 0, 0, 4]
    truth, known = pairs.attended_truth(ids, parts, torch.zeros(len(CATEGORIES)))
    assert truth.sum() == 0 and bool((known == 1).all())


# -- the second step ----------------------------------------------------------------------------
def seen_and_heard() -> tuple[pairs.Seen, pairs.Heard]:
    """Scenes with dog above and cat below; AudioSet rows 3 and 5 are their sounds here."""
    categories = torch.zeros(4, len(CATEGORIES))
    categories[:, [DOG, CAT]] = 1
    above, below = answer(DOG, slice(0, 4)), answer(CAT, slice(4, 8))
    classes = torch.cat([above.class_logits[:, :1], below.class_logits[:, :1]], 1)
    masks = torch.cat([above.mask_logits[:, :1], below.mask_logits[:, :1]], 1)
    ids = np.ones((8, 8), np.int16)
    ids[4:] = 2
    parts = (Part(DOG, False), Part(CAT, False))
    seen = pairs.Seen(
        classes.repeat(4, 1, 1),
        masks.repeat(4, 1, 1, 1).half(),
        [ids] * 4,
        [parts] * 4,
        categories,
    )
    logits, truth = torch.full((30, 527), -12.0), torch.zeros(30, len(CATEGORIES))
    logits[:10, 3], logits[10:20, 5] = 3.0, 3.0
    truth[:10, DOG], truth[10:20, CAT] = 1, 1
    return seen, pairs.Heard(torch.zeros(30, 384), logits, truth)


def small_net() -> AVSC:
    return AVSC(configuration("avsc_light").with_(channels=16, layers=1, feedforward=16))


def test_masks_alone_teach_which_sound_is_whose() -> None:
    net = small_net()
    seen, heard = seen_and_heard()
    rows = torch.tensor([0, 10, 20])

    def right() -> float:
        scores = torch.sigmoid(net.audio_scores(heard.logits[rows], heard.feature[rows]))
        return float((scores[0, DOG] - scores[0, CAT] + scores[1, CAT] - scores[1, DOG]).detach())

    before = right()
    settings = AVSCLightSettings(
        pairs_steps=60, pairs_batch=16, pairs_rate=0.1, label_weight=0.0, pull=0.0
    )
    losses: list[float] = []
    correlation.train_correlation(
        net, list(net.audio_head.parameters()), seen, heard, settings, range(60),
        lambda _, loss: losses.append(loss),
    )  # fmt: skip
    assert right() > before + 0.5
    assert losses[-1] < 0.7 * losses[0]
    silent = torch.sigmoid(net.audio_scores(heard.logits[rows], heard.feature[rows]))[2]
    assert float(silent[[DOG, CAT]].max().detach()) < 0.3


def test_calibration_keeps_mismatches_empty() -> None:
    net = small_net()
    seen, heard = seen_and_heard()
    with torch.no_grad():
        net.audio_head.affinity.log_affinity.fill_(-7.0)
        net.audio_head.affinity.log_affinity[net.config.sound_classes.index("dog"), 3] = 0.0
    lines: list[str] = []
    found = calibration.calibrate(net, seen, heard, 0.9, lines.append)
    assert 0 < found["score"] < 0.9 and len(lines) == len(calibration.SET_BACKS)
    strength = calibration.strength(seen.class_logits)
    assert float(strength[0, DOG]) > 0.9 and float(strength[0].sum()) < 2.1


# -- the light recipe ---------------------------------------------------------------------------
TINY: dict[str, Any] = {
    "image_size": 64, "epochs": 2, "epoch_steps": 2, "live_epochs": 1, "batch": 2,
    "live_batch": 1, "capacity": 4, "fresh": 1, "learning_rate": 0.05, "live_rate": 0.05,
    "backbone_rate": 0.01, "pairs_scenes": 8, "pairs_sounds": 16, "pairs_steps": 4,
    "pairs_batch": 8, "pairs_rate": 0.1,
}  # fmt: skip


def light(shared: Path, output: Path, *more: str) -> list[str]:
    sets = [word for name, value in TINY.items() for word in ("--set", f"{name}={value}")]
    return ["--data", str(shared / "data"), "-o", str(output), *sets, *more]


class Stopping(RunReporter):
    """Presses Ctrl-C in the second epoch."""

    def step(self, epoch: int, step: int, steps: int, values: dict[str, float]) -> None:
        super().step(epoch, step, steps, values)
        if epoch == 1:
            raise KeyboardInterrupt


@pytest.fixture
def with_sounds(cache: Path) -> Path:
    rng = np.random.default_rng(0)
    np.save(cache / "sounds.npy", rng.normal(0, 3000, 4 * 48000).astype(np.int16))
    rows = [
        TrainingSound(("dog", "cat")[n % 2], n * 48000, 48000, held_out=n >= 2) for n in range(4)
    ]
    (cache / "sounds.json").write_text(json.dumps([asdict(row) for row in rows]))
    return cache.parent


def test_interrupted_segmenter_goes_on(shared: Path, with_sounds: Path) -> None:
    settings = AVSCLightSettings(**{**TINY, "epochs": 3})
    with Stopping(with_sounds, settings) as reporter, pytest.raises(KeyboardInterrupt):
        train_light(settings, shared / "data", with_sounds, reporter, resume=False)
    state = torch.load(with_sounds / "segmenter.pt", weights_only=True)
    assert state["progress"]["epoch"] == 1
    assert not list(with_sounds.glob("*.safetensors")) and not list(with_sounds.glob("*.part"))
    with RunReporter(with_sounds, settings) as reporter:
        file = train_light(settings, shared / "data", with_sounds, reporter, resume=True)
    assert load_avsc(file).network.config.categories == CATEGORY_NAMES
    lines = [json.loads(line) for line in (with_sounds / "log.jsonl").read_text().splitlines()]
    assert [line["at"] for line in lines if line["kind"] == "val"] == [0, 1, 2]


def test_light_recipe_ends_in_one_file(shared: Path, with_sounds: Path) -> None:
    output = with_sounds
    assert main(light(shared, output)) == 0
    file = output / "avsc_light.safetensors"
    made = load_avsc(file)
    assert made.network.config.categories == CATEGORY_NAMES
    assert 0 < made.metadata["calibration"]["score"] < 1
    assert "non-commercial" in made.metadata["licence"]
    assert made.metadata["provenance"]["settings"]["epochs"] == 2
    kinds = {json.loads(line)["kind"] for line in (output / "log.jsonl").read_text().splitlines()}
    assert kinds == {"train", "val", "correlation", "calibration"}
    assert (output / "curves.png").is_file()
    assert main(light(shared, output)) == 2
    file.unlink()
    assert main(light(shared, output, "--resume")) == 0
    again, before = load_avsc(file).network.state_dict(), made.network.state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in before.items())
