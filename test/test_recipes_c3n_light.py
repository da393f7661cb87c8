"""The light model's training: tables, sounds, losses, pairs (the data itself stays outside)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from avs_ros.models.labels import audioset
from avs_ros.models.light.families import (
    FAMILIES,
    FAMILY_NAMES,
    SOUNDS,
    VOICE_FAMILY,
    VOICE_NAMES,
    VOICES,
)
from avs_ros.sound import SAMPLE_RATE
from recipes.c3n_light import deciding, evidence, joint
from recipes.c3n_light.distortion import distort, level
from recipes.c3n_light.hearing import last_second, voice_loss, voice_targets
from recipes.c3n_light.pictures import OUTLINES, SIZE, Picture
from recipes.c3n_light.recordings import Library, Recording
from recipes.c3n_light.scenes import SceneSampler
from recipes.c3n_light.seeing import coarse_loss, map_losses
from recipes.c3n_light.similarity import log_affinity, members
from recipes.c3n_light.synthetic_sounds import GENERATORS


def test_every_voice_points_at_a_family_and_names_its_sounds() -> None:
    assert len(set(FAMILY_NAMES)) == len(FAMILIES)
    assert len(set(VOICE_NAMES)) == len(VOICES)
    for voice, family in zip(VOICES, VOICE_FAMILY, strict=True):
        assert FAMILIES[family].name == voice.family
        assert voice.direct and not set(voice.direct) & set(voice.loose)
        assert max(voice.direct + voice.loose) < 527
    assert {family.name for family in FAMILIES} == {voice.family for voice in VOICES}


@pytest.mark.parametrize(
    ("voice", "sound"),
    [("dog", "Bark"), ("cat", "Meow"), ("person", "Singing"), ("baby", "Baby cry, infant cry"),
     ("clock", "Tick-tock"), ("gun", "Gunshot, gunfire"), ("keyboard", "Typing")],
)  # fmt: skip
def test_a_voice_knows_the_sound_it_makes(voice: str, sound: str) -> None:
    index = list(audioset().names).index(sound)
    assert index in VOICES[VOICE_NAMES.index(voice)].direct
    assert log_affinity()[:, index].argmax() in [
        v for v in range(len(VOICES)) if index in VOICES[v].direct
    ]


def test_every_class_row_belongs_to_one_family_at_most() -> None:
    table = members()
    assert table.shape == (len(FAMILIES), 1000 + len(FAMILIES))
    assert float(table.sum(0).max()) == 1


def test_targets_leave_open_what_cannot_be_said() -> None:
    siren = voice_targets("siren")
    assert siren[VOICE_NAMES.index("siren")] == 1
    assert siren[VOICE_NAMES.index("truck")] == -1
    assert siren[VOICE_NAMES.index("dog")] == 0
    families = evidence.family_truth(torch.from_numpy(siren)[None])[0]
    assert families[FAMILY_NAMES.index("emergency vehicle")] == 1
    assert families[FAMILY_NAMES.index("truck")] == -1
    assert families[FAMILY_NAMES.index("dog")] == 0
    assert all(v in VOICE_NAMES for pair in SOUNDS.values() for part in pair for v in part)


def test_outlines_belong_to_families() -> None:
    rings = json.loads(OUTLINES.read_text())
    rows = {row for family in FAMILIES for row in family.imagenet}
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


def library(tmp_path: Path) -> Library:
    pcm = np.zeros(6 * SAMPLE_RATE, np.int16)
    pcm[: SAMPLE_RATE // 2] = 9000
    pcm[4 * SAMPLE_RATE : 5 * SAMPLE_RATE] = 16000
    np.save(tmp_path / "sounds.npy", pcm)
    rows = [
        Recording("dog", 0, SAMPLE_RATE // 2, False),
        Recording("cat", SAMPLE_RATE // 2, len(pcm) - SAMPLE_RATE // 2, False),
        Recording("cat", 0, SAMPLE_RATE, True),
    ]
    (tmp_path / "sounds.json").write_text(json.dumps([asdict(row) for row in rows]))
    return Library(tmp_path, held_out=False)


def test_cuts_pad_what_is_short_and_find_what_is_loud(tmp_path: Path) -> None:
    sounds = library(tmp_path)
    rng = np.random.default_rng(0)
    assert sounds.by_sound == {"dog": [0], "cat": [1]}
    short = sounds.cut(0, 1.0, rng)
    assert short.shape == (SAMPLE_RATE,) and np.count_nonzero(short) == SAMPLE_RATE // 2
    assert np.abs(sounds.cut(1, 1.0, rng)).max() > 0.4


def test_scenes_hold_back_what_is_held_out(tmp_path: Path) -> None:
    table = [Picture("coco", "a", -1, False), Picture("coco", "b", -1, True)]
    pictures = np.stack([np.full((SIZE, SIZE, 3), c, np.uint8) for c in (90, 200)])
    masks = np.zeros((2, SIZE, SIZE), np.uint8)
    masks[0, 40:200, 40:200] = 2
    masks[1, :100] = 3
    np.save(tmp_path / "pictures.npy", pictures)
    np.save(tmp_path / "masks.npy", masks)
    (tmp_path / "pictures.json").write_text(json.dumps([asdict(row) for row in table]))
    sampler = SceneSampler(tmp_path, False, 64, seed=0)
    for _ in range(20):
        image, mask, row = sampler.draw()
        assert image.shape == (64, 64, 3) and image.dtype == np.uint8
        assert mask.shape == (64, 64) and set(np.unique(mask)) <= {0, 2}
        assert row == -1


def test_map_losses_reward_the_right_maps() -> None:
    masks = torch.zeros(1, 32, 32, dtype=torch.long)
    masks[:, :16] = 2
    right = torch.full((1, len(FAMILIES), 8, 8), -8.0)
    right[:, 1, :4] = 8.0
    wrong = right.roll(1, 1)
    maps = torch.full((1, len(FAMILIES), 2, 2), -6.0)
    assert float(map_losses(right, maps, masks)) < float(map_losses(wrong, maps, masks)) - 2
    hidden = masks.clone().fill_(255)
    assert float(coarse_loss(maps, torch.zeros(1, len(FAMILIES), 8, 8), torch.zeros(1, 8, 8))) == 0
    assert hidden.unique().tolist() == [255]


def test_masked_loss_ignores_unknown_pixels() -> None:
    target, known = torch.zeros(1, 4, 4), torch.ones(1, 4, 4)
    logits = torch.full((1, 4, 4), -20.0)
    logits[0, 0, 0] = 20.0
    assert float(joint.masked_loss(logits, target, known)) > 1
    known[0, 0, 0] = 0
    assert float(joint.masked_loss(logits, target, known)) < 1e-6


def test_unknown_voices_cost_nothing() -> None:
    logits = torch.full((1, len(VOICES)), -9.0)
    logits[0, 0] = 5.0
    targets = torch.zeros(1, len(VOICES))
    known = float(voice_loss(logits, targets))
    targets[0, 0] = -1.0
    assert known > 0.1 > float(voice_loss(logits, targets))
    # A voice without a single sound is never told to be quiet.
    horse = VOICE_NAMES.index("horse")
    louder = logits.clone()
    louder[0, horse] = 9.0
    assert torch.equal(voice_loss(louder, targets), voice_loss(logits, targets))


def test_pairs_are_matched_half_of_the_time() -> None:
    pictures = evidence.Evidence(torch.zeros(4, 3, 3), torch.eye(4, 3))
    sounds = evidence.Sounds(torch.zeros(3, 527), torch.eye(3), torch.eye(3), torch.zeros(3, 3))
    generator = torch.Generator().manual_seed(0)
    sound, seen, target = deciding.Pairs(pictures, sounds).draw(400, generator)
    assert sound.shape == (400,) and seen.shape == (400, 3, 3)
    assert (target[:200].sum(1) == 1).all()
    assert 0 < float(target[200:].sum(1).mean()) < 0.6
