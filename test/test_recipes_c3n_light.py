"""The light model's training: tables, sounds, losses, pairs (the data itself stays outside)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from avs_ros.models.labels import audioset
from avs_ros.models.light.vocabulary import (
    CATEGORIES,
    CATEGORY_NAMES,
    SOUND_CLASS_CATEGORY,
    SOUND_CLASS_NAMES,
    SOUND_CLASSES,
    SOUNDS,
)
from avs_ros.sound import SAMPLE_RATE
from recipes.c3n_light import evidence, gate_training, joint
from recipes.c3n_light.audio_stage import last_second, sound_class_loss, sound_class_targets
from recipes.c3n_light.distortion import distort, level
from recipes.c3n_light.images import OUTLINES, SIZE, TrainingImage
from recipes.c3n_light.recordings import SoundDataset, TrainingSound
from recipes.c3n_light.scenes import SceneSampler
from recipes.c3n_light.similarity import log_affinity, members
from recipes.c3n_light.synthetic_sounds import GENERATORS
from recipes.c3n_light.visual_stage import coarse_loss, map_losses


def test_every_sound_class_points_at_a_category_and_names_its_sounds() -> None:
    assert len(set(CATEGORY_NAMES)) == len(CATEGORIES)
    assert len(set(SOUND_CLASS_NAMES)) == len(SOUND_CLASSES)
    for sound_class, category in zip(SOUND_CLASSES, SOUND_CLASS_CATEGORY, strict=True):
        assert CATEGORIES[category].name == sound_class.category
        assert sound_class.direct and not set(sound_class.direct) & set(sound_class.loose)
        assert max(sound_class.direct + sound_class.loose) < 527
    assert {category.name for category in CATEGORIES} == {
        sound_class.category for sound_class in SOUND_CLASSES
    }


@pytest.mark.parametrize(
    ("sound_class", "sound"),
    [("dog", "Bark"), ("cat", "Meow"), ("person", "Singing"), ("baby", "Baby cry, infant cry"),
     ("clock", "Tick-tock"), ("gun", "Gunshot, gunfire"), ("keyboard", "Typing")],
)  # fmt: skip
def test_a_sound_class_knows_the_sound_it_makes(sound_class: str, sound: str) -> None:
    index = list(audioset().names).index(sound)
    assert index in SOUND_CLASSES[SOUND_CLASS_NAMES.index(sound_class)].direct
    assert log_affinity()[:, index].argmax() in [
        v for v in range(len(SOUND_CLASSES)) if index in SOUND_CLASSES[v].direct
    ]


def test_every_class_row_belongs_to_one_category_at_most() -> None:
    table = members()
    assert table.shape == (len(CATEGORIES), 1000 + len(CATEGORIES))
    assert float(table.sum(0).max()) == 1


def test_targets_leave_open_what_cannot_be_said() -> None:
    siren = sound_class_targets("siren")
    assert siren[SOUND_CLASS_NAMES.index("siren")] == 1
    assert siren[SOUND_CLASS_NAMES.index("truck")] == -1
    assert siren[SOUND_CLASS_NAMES.index("dog")] == 0
    categories = evidence.category_truth(torch.from_numpy(siren)[None])[0]
    assert categories[CATEGORY_NAMES.index("emergency vehicle")] == 1
    assert categories[CATEGORY_NAMES.index("truck")] == -1
    assert categories[CATEGORY_NAMES.index("dog")] == 0
    assert all(v in SOUND_CLASS_NAMES for pair in SOUNDS.values() for part in pair for v in part)


def test_outlines_belong_to_categories() -> None:
    rings = json.loads(OUTLINES.read_text())
    rows = {row for category in CATEGORIES for row in category.imagenet}
    assert {int(row) for row in rings} <= rows
    assert all(0 <= x <= 10 and 0 <= y <= 10 for r in rings.values() for q in r for x, y in q)


@pytest.mark.parametrize("name", list(GENERATORS))
def test_synthetic_sounds_are_sounds(name: str) -> None:
    sound = GENERATORS[name](np.random.default_rng(0), 1.5)
    assert sound.shape == (SAMPLE_RATE * 3 // 2,) and sound.dtype == np.float32
    assert np.isfinite(sound).all() and 0.5 < np.abs(sound).max() <= 0.71


def test_distortion_keeps_length_and_range() -> None:
    rng = np.random.default_rng(0)
    tone = np.sin(np.arange(SAMPLE_RATE) * 0.2).astype(np.float32)
    for _ in range(10):
        out = distort(rng, tone)
        assert out.shape == tone.shape and np.abs(out).max() <= 1 and level(out) > 1e-4


def test_last_second_is_a_loud_one() -> None:
    context = np.zeros(3 * SAMPLE_RATE, np.float32)
    context[2 * SAMPLE_RATE :] = 0.5
    window = last_second(context, np.random.default_rng(0))
    assert window.shape == (SAMPLE_RATE,) and float(np.mean(window)) > 0.1


def library(tmp_path: Path) -> SoundDataset:
    pcm = np.zeros(6 * SAMPLE_RATE, np.int16)
    pcm[: SAMPLE_RATE // 2] = 9000
    pcm[4 * SAMPLE_RATE : 5 * SAMPLE_RATE] = 16000
    np.save(tmp_path / "sounds.npy", pcm)
    rows = [
        TrainingSound("dog", 0, SAMPLE_RATE // 2, False),
        TrainingSound("cat", SAMPLE_RATE // 2, len(pcm) - SAMPLE_RATE // 2, False),
        TrainingSound("cat", 0, SAMPLE_RATE, True),
    ]
    (tmp_path / "sounds.json").write_text(json.dumps([asdict(row) for row in rows]))
    return SoundDataset(tmp_path, held_out=False)


def test_cuts_pad_what_is_short_and_find_what_is_loud(tmp_path: Path) -> None:
    sounds = library(tmp_path)
    rng = np.random.default_rng(0)
    assert sounds.by_sound == {"dog": [0], "cat": [1]}
    short = sounds.cut(0, 1.0, rng)
    assert short.shape == (SAMPLE_RATE,) and np.count_nonzero(short) == SAMPLE_RATE // 2
    assert np.abs(sounds.cut(1, 1.0, rng)).max() > 0.4


def test_scenes_hold_back_what_is_held_out(tmp_path: Path) -> None:
    table = [TrainingImage("coco", "a", -1, False), TrainingImage("coco", "b", -1, True)]
    images = np.stack([np.full((SIZE, SIZE, 3), c, np.uint8) for c in (90, 200)])
    masks = np.zeros((2, SIZE, SIZE), np.uint8)
    masks[0, 40:200, 40:200] = 2
    masks[1, :100] = 3
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "masks.npy", masks)
    (tmp_path / "images.json").write_text(json.dumps([asdict(row) for row in table]))
    sampler = SceneSampler(tmp_path, False, 64, seed=0)
    for _ in range(20):
        image, mask, row = sampler.draw()
        assert image.shape == (64, 64, 3) and image.dtype == np.uint8
        assert mask.shape == (64, 64) and set(np.unique(mask)) <= {0, 2}
        assert row == -1


def test_map_losses_reward_the_right_maps() -> None:
    masks = torch.zeros(1, 32, 32, dtype=torch.long)
    masks[:, :16] = 2
    right = torch.full((1, len(CATEGORIES), 8, 8), -8.0)
    right[:, 1, :4] = 8.0
    wrong = right.roll(1, 1)
    maps = torch.full((1, len(CATEGORIES), 2, 2), -6.0)
    assert float(map_losses(right, maps, masks)) < float(map_losses(wrong, maps, masks)) - 2
    hidden = masks.clone().fill_(255)
    assert (
        float(coarse_loss(maps, torch.zeros(1, len(CATEGORIES), 8, 8), torch.zeros(1, 8, 8))) == 0
    )
    assert hidden.unique().tolist() == [255]


def test_masked_loss_ignores_unknown_pixels() -> None:
    target, known = torch.zeros(1, 4, 4), torch.ones(1, 4, 4)
    logits = torch.full((1, 4, 4), -20.0)
    logits[0, 0, 0] = 20.0
    assert float(joint.masked_loss(logits, target, known)) > 1
    known[0, 0, 0] = 0
    assert float(joint.masked_loss(logits, target, known)) < 1e-6


def test_unknown_sound_classes_cost_nothing() -> None:
    logits = torch.full((1, len(SOUND_CLASSES)), -9.0)
    logits[0, 0] = 5.0
    targets = torch.zeros(1, len(SOUND_CLASSES))
    known = float(sound_class_loss(logits, targets))
    targets[0, 0] = -1.0
    assert known > 0.1 > float(sound_class_loss(logits, targets))
    # A sound class without a single sound is never told to be quiet.
    horse = SOUND_CLASS_NAMES.index("horse")
    louder = logits.clone()
    louder[0, horse] = 9.0
    assert torch.equal(sound_class_loss(louder, targets), sound_class_loss(logits, targets))


def test_pairs_are_matched_half_of_the_time() -> None:
    images = evidence.Evidence(torch.zeros(4, 3, 3), torch.eye(4, 3))
    sounds = evidence.Sounds(torch.zeros(3, 527), torch.eye(3), torch.eye(3), torch.zeros(3, 3))
    generator = torch.Generator().manual_seed(0)
    sound, seen, target = gate_training.Pairs(images, sounds).draw(400, generator)
    assert sound.shape == (400,) and seen.shape == (400, 3, 3)
    assert (target[:200].sum(1) == 1).all()
    assert 0 < float(target[200:].sum(1).mean()) < 0.6
