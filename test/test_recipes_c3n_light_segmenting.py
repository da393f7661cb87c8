"""Teaching the segmentation network, and where it starts."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from light_training_data import make_work
from torch.nn.functional import interpolate

from avs_ros.errors import CheckpointError
from avs_ros.inference.light import BUNDLED
from avs_ros.models.light.category_segmenter import CategorySegmenter, DeepLabV3
from avs_ros.models.light.folding import fold_batch_norm
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.vocabulary import CATEGORIES, CATEGORY_NAMES, SOUND_CLASS_NAMES
from avs_ros.sound import SAMPLE_RATE
from recipes.c3n_light import motors
from recipes.c3n_light.audio_stage import sound_classes_without_recordings
from recipes.c3n_light.baselines import VOC_FILE, VocNetwork
from recipes.c3n_light.evidence import gather_gate_dataset
from recipes.c3n_light.gate_training import train_gate
from recipes.c3n_light.recipe import load_start
from recipes.c3n_light.recordings import SoundDataset
from recipes.c3n_light.scenes import SceneSampler
from recipes.c3n_light.segmenting import (
    SegmentingStage,
    add_segmenter,
    lead_segmenter_back,
    voc_of_category,
)
from recipes.c3n_light.stages import learn
from recipes.c3n_light.voc_network import voc_network


class Reporter:
    """Interrupts after a number of steps."""

    def __init__(self, until: int = 1000) -> None:
        self.until, self.steps = until, 0

    def track(self, items: Iterable[int], total: int, what: str) -> Iterator[int]:
        yield from items

    def say(self, line: str) -> None:
        pass

    def log(self, kind: str, at: int, values: dict[str, float]) -> None:
        self.steps += 1
        if self.steps >= self.until:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_work(tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def start() -> LightC3N:
    torch.manual_seed(0)
    net = load_start(BUNDLED)
    net.segmenter = CategorySegmenter(len(CATEGORIES), net.c3n.channels, [1] * len(CATEGORIES))
    net.image_size = 64
    fold_batch_norm(net.segmenter)
    return net


def stage(net: LightC3N, work: Path, teacher: DeepLabV3 | None = None) -> SegmentingStage:
    return SegmentingStage(copy.deepcopy(net), SceneSampler(work, False, 64, 3), 2, 3, teacher)


def test_it_moves_alone_and_goes_on_where_it_stopped(
    tmp_path: Path, work: Path, start: LightC3N
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    learn(stage(start, work), 3, whole, Reporter(), seed=3)
    with pytest.raises(KeyboardInterrupt):
        learn(stage(start, work), 3, cut, Reporter(until=2), seed=3)
    learn(stage(start, work), 3, cut, Reporter(), seed=3)
    one, other = (
        torch.load(f / "segmenting.pt", weights_only=True)["network"] for f in (whole, cut)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    before = start.state_dict()
    moved = {name for name in one if not torch.equal(one[name], before[name])}
    assert "segmenter.network.classify.weight" in moved and "segmenter.share" in moved
    assert all(name.startswith("segmenter.") for name in moved)


def test_joining_leaves_the_segmentation_network_alone(
    tmp_path: Path, work: Path, start: LightC3N
) -> None:
    scenes = SceneSampler(work, False, 64, 3)
    alone = SegmentingStage(copy.deepcopy(start), scenes, 2, 3, joining=True)
    learn(alone, 2, tmp_path, Reporter(), seed=3)
    found = torch.load(tmp_path / "joining.pt", weights_only=True)["network"]
    before = start.state_dict()
    moved = {name for name in found if not torch.equal(found[name], before[name])}
    assert "segmenter.share" in moved and "segmenter.join.weight" in moved
    assert not any(name.startswith("segmenter.network") for name in moved)


def test_it_goes_part_of_the_way_back(shared: Path) -> None:
    net = add_segmenter(load_start(BUNDLED), shared / "data", 288)
    before = net.segmenter.network.classify.weight.detach().clone()
    with torch.no_grad():
        net.segmenter.network.classify.weight.add_(1.0)
    lead_segmenter_back(net, shared / "data", 0.75)
    assert torch.allclose(net.segmenter.network.classify.weight, before + 0.25, atol=1e-6)


def test_the_teacher_holds_it_back(work: Path, start: LightC3N) -> None:
    torch.manual_seed(1)
    other = fold_batch_norm(DeepLabV3()).eval().requires_grad_(False)
    assert isinstance(other, DeepLabV3)
    own = copy.deepcopy(start.segmenter.network).requires_grad_(False)
    alone, with_own, with_other = (
        float(stage(start, work, teacher).loss(0, 0.0).detach()) for teacher in (None, own, other)
    )
    assert with_other > with_own + 1e-3
    assert with_own >= alone - 1e-5


def test_the_starting_network_says_what_its_file_says(shared: Path) -> None:
    data = pytest.importorskip("skimage.data")
    folder = shared / "data"
    teacher = VocNetwork(folder / "weights" / VOC_FILE, folder / "labels" / "voc21_names.txt")
    image = cv2.resize(data.chelsea(), (513, 513), interpolation=cv2.INTER_LINEAR)
    frames = torch.from_numpy(image[:512, :512]).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        classes = voc_network(folder / "weights" / VOC_FILE)(frames).classes
    large = interpolate(classes, (513, 513), mode="bilinear", align_corners=True)
    mine = large.argmax(1)[0].numpy() == voc_of_category(folder)[CATEGORY_NAMES.index("cat")]
    theirs = teacher(image)[0] == CATEGORY_NAMES.index("cat") + 1
    assert theirs.mean() > 0.2
    assert (mine == theirs).mean() > 0.98


def test_another_file_is_refused(tmp_path: Path, shared: Path) -> None:
    with pytest.raises(CheckpointError, match="is missing"):
        voc_network(tmp_path / VOC_FILE)
    other = shared / "data" / "weights" / "yamnet_audio_classifier_with_metadata.tflite"
    with pytest.raises(CheckpointError, match="tensors are missing, among them"):
        voc_network(other)


def test_a_network_gets_it_from_the_data_folder(shared: Path) -> None:
    net = add_segmenter(load_start(BUNDLED), shared / "data", 288)
    assert net.image_size == 288 and net.segmenter is not None
    person, guitar = CATEGORY_NAMES.index("person"), CATEGORY_NAMES.index("guitar")
    with torch.no_grad():
        mixed = net.segmenter.mix.weight.abs().sum((1, 2, 3))
    assert float(mixed[person]) == 1.0 and float(mixed[guitar]) == 0.0


def test_people_are_given_things_to_hold(work: Path) -> None:
    rng = np.random.default_rng(0)
    sampler = SceneSampler(work, False, 64, 3, in_hands=1.0)
    guitar, person = (CATEGORY_NAMES.index(name) for name in ("guitar", "person"))
    # The tiny data set's dog stands in for a guitar.
    sampler.by_category[guitar] = sampler.by_category[CATEGORY_NAMES.index("dog")]
    sampler._masks = np.where(np.asarray(sampler._masks) == 2, guitar + 1, sampler._masks)
    image = rng.integers(0, 255, (64, 64, 3), np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    mask[10:60, 20:45] = person + 1
    for _ in range(5):
        given, named = sampler._give(image, mask)
        here = named == guitar + 1
        assert 20 < here.sum() < 45 * 45
        assert (here & (mask > 0)).any()
        assert np.array_equal(named[~here], mask[~here])
        assert np.array_equal(given[:5, :5], image[:5, :5]) or here[:8, :8].any()


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


def test_sound_classes_that_nobody_recorded_keep_their_affinity(work: Path) -> None:
    net = load_start(BUNDLED)
    before = net.affinity.log_affinity.detach().clone()
    unrecorded = sound_classes_without_recordings()
    guitar, dog = SOUND_CLASS_NAMES.index("guitar"), SOUND_CLASS_NAMES.index("dog")
    assert guitar in unrecorded and dog not in unrecorded
    train_gate(net, gather_gate_dataset(net, work, 8, 160), lambda _: None, steps=3)
    after = net.affinity.log_affinity.detach()
    assert torch.equal(after[unrecorded], before[unrecorded])
    assert not torch.equal(after[dog], before[dog])
