"""Made-up motors as training sounds, and sound classes that nobody recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from light_training_data import make_work

from avs_ros.inference.light import BUNDLED
from avs_ros.models.light.vocabulary import SOUND_CLASS_NAMES
from avs_ros.sound import SAMPLE_RATE
from recipes.c3n_light import motors
from recipes.c3n_light.audio_stage import sound_classes_without_recordings
from recipes.c3n_light.evidence import gather_gate_dataset
from recipes.c3n_light.gate_training import train_gate
from recipes.c3n_light.recipe import load_start
from recipes.c3n_light.recordings import SoundDataset


def scores(motor: float, music: float = 0.0) -> np.ndarray:
    out = np.full(527, np.nan, np.float32)
    out[300], out[137] = motor, music  # Vehicle, Music
    return out


def test_a_motor_is_a_sound_of_its_own_each_time() -> None:
    rng = np.random.default_rng(0)
    one, other = motors.motor(rng), motors.motor(rng)
    assert one.dtype == np.float32 and one.shape == (3 * SAMPLE_RATE,)
    assert np.isfinite(one).all() and np.abs(one).max() == pytest.approx(0.7)
    assert np.abs(one - other).max() > 0.1


@pytest.mark.parametrize(
    ("motor", "music", "taken"), [(0.5, 0.0, True), (0.1, 0.0, False), (0.5, 0.4, False)]
)
def test_the_judge_decides_what_is_a_motor(motor: float, music: float, taken: bool) -> None:
    sound = np.zeros(3 * SAMPLE_RATE, np.float32)
    assert motors.sounds_like_a_motor(sound, lambda _: scores(motor, music)) == taken


def test_every_second_must_sound_like_one() -> None:
    sound = np.zeros(3 * SAMPLE_RATE, np.float32)
    sound[SAMPLE_RATE : 2 * SAMPLE_RATE] = 1.0
    assert not motors.sounds_like_a_motor(sound, lambda x: scores(0.0 if x.any() else 0.9))


def test_motors_are_for_training_only(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    assert motors.gather(work, lambda _: scores(0.9), 3) == 3
    # Made once: another judge changes nothing.
    assert motors.gather(work, lambda _: scores(0.0), 3) == 3
    training, judging = SoundDataset(work, held_out=False), SoundDataset(work, held_out=True)
    assert len(training.by_sound[motors.SOUND]) >= 3
    assert all(len(judging.samples(i)) == SAMPLE_RATE for i in judging.by_sound[motors.SOUND])


def test_no_motors_where_the_judge_takes_none(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    assert motors.gather(work, lambda _: scores(0.0), 1) == 0
    assert SoundDataset(work, held_out=False).recordings


def test_sound_classes_that_nobody_recorded_keep_their_affinity(tmp_path: Path) -> None:
    net, work = load_start(BUNDLED), make_work(tmp_path)
    before = net.affinity.log_affinity.detach().clone()
    unrecorded = sound_classes_without_recordings()
    guitar, dog = SOUND_CLASS_NAMES.index("guitar"), SOUND_CLASS_NAMES.index("dog")
    assert guitar in unrecorded and dog not in unrecorded
    train_gate(net, gather_gate_dataset(net, work, 8, 160), lambda _: None, steps=3)
    after = net.affinity.log_affinity.detach()
    assert torch.equal(after[unrecorded], before[unrecorded])
    assert not torch.equal(after[dog], before[dog])
