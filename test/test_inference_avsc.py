"""AVSC behind the segmenter protocol: instances, their own labels and masks, two rates."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from avs_ros.errors import AudioFormatError, ModelError
from avs_ros.gate import GateConfig
from avs_ros.inference import create_segmenter
from avs_ros.inference.light import BUNDLED
from avs_ros.inference.registry import step_program
from avs_ros.inference.segmenter import Segmenter
from avs_ros.media.bag_types import BAG
from avs_ros.models.avsc import AVSC, AVSCConfig, save_avsc
from avs_ros.models.light.checkpoint import load_light
from avs_ros.postprocess import PostprocessConfig, Postprocessor

# One worker has the model and what is exported of it.
pytestmark = pytest.mark.xdist_group("avsc")

RATE = 16000
SECOND = 1_000_000_000


def talkative(path: Path) -> Path:
    """A small network that sees a person on the left and one on the right of any image.

    Their outlines follow the image a little; people and dogs are heard in every sound.
    """
    torch.manual_seed(5)
    net = AVSC(
        AVSCConfig(
            categories=("person", "dog"), sound_classes=("person", "baby", "dog"),
            sound_class_category=(0, 0, 1), image_size=64, queries=8, channels=16,
            heads=2, layers=2, feedforward=32, folded=True,
        )
    )  # fmt: skip
    net.audio_encoder.load_state_dict(load_light(BUNDLED).network.audio_encoder.state_dict())
    with torch.no_grad():
        head = net.segmenter
        head.classes.weight.zero_()
        head.classes.bias.copy_(torch.tensor([5.0, 0.0, 0.0]))
        # Channel 0 of a cell: a wave that is positive on the left and negative on the right.
        head.cell_places.weight[0, 4] = 1.0
        head.pixels.embedding.weight.mul_(0.3)
        # Even queries are sure to like it, odd ones sure to dislike it.
        head.queries.weight[0::2, 0] = head.queries.weight[1::2, 1] = 1000.0
        for part in (0, 2):
            head.mask[part].weight.zero_()
            head.mask[part].bias.zero_()
        head.mask[0].weight.copy_(torch.eye(16))
        head.mask[2].weight[0, :2] = torch.tensor([12.0, -12.0])
        net.audio_head.affinity.bias.copy_(torch.tensor([12.0, -9.0, 12.0]))
    save_avsc(path, net, {"calibration": {"score": 0.4}})
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("avsc")
    before = os.environ.get("AVS_CACHE")
    os.environ["AVS_CACHE"] = str(folder / "cache")
    yield talkative(folder / "talkative.safetensors")
    if before is None:
        del os.environ["AVS_CACHE"]
    else:
        os.environ["AVS_CACHE"] = before


@pytest.fixture(scope="module")
def segmenter(checkpoint: Path) -> Segmenter:
    return create_segmenter(checkpoint, engine="torch", device="cpu")


def image(height: int = 120, width: int = 160) -> np.ndarray:
    coarse = np.random.default_rng(1).integers(0, 255, (height // 20, width // 20, 3), np.uint8)
    return np.ascontiguousarray(coarse.repeat(20, axis=0).repeat(20, axis=1))


def hum(pitch: float = 220.0, level: float = 0.1) -> np.ndarray:
    time = np.arange(RATE) / RATE
    return (level * np.sin(2 * np.pi * pitch * time)).astype(np.float32)


@dataclass(frozen=True)
class Pair:
    image: np.ndarray
    stamp_ns: int = 0
    coverage: float = 1.0
    level_dbfs: float = -20.0


def test_instances_of_one_label_reach_label_mask_and_detections_apart(
    segmenter: Segmenter,
) -> None:
    from avs_ros.conversions.detections import make_detections, read_detections
    from avs_ros.conversions.messages import make_header

    frame = image()
    segmenter.reset()
    prediction = segmenter.step(frame, hum(), 0)
    assert [layer.label for layer in prediction.layers] == ["person", "person"]
    left, right = ((layer.probability > 0.5).mean(axis=0) for layer in prediction.layers)
    if left[0] < left[-1]:
        left, right = right, left
    assert left[1:7].mean() > 0.8 > 0.1 > left[9:].mean()
    assert right[9:15].mean() > 0.8 > 0.1 > right[:7].mean()
    assert prediction.label == "person" and segmenter.labels[prediction.label_index] == "person"
    assert prediction.score > 0.5
    assert prediction.layers[0].score == pytest.approx(prediction.score)
    for smoothing in (0.0, 0.5):
        answer = Postprocessor(PostprocessConfig(smoothing=smoothing)).process(
            prediction, Pair(frame)
        )
        people = [one for one in answer.instances if one.label == "person"]
        assert len(people) == 2
        values = answer.label_mask()
        assert values.shape == frame.shape[:2]
        assert {one.index for one in people} <= set(np.unique(values).tolist())
        found = read_detections(make_detections(BAG, make_header(BAG, 0, "camera"), answer))
        assert [one.index for one in found] == [one.index for one in answer.instances]
        assert len({one.box for one in found if one.label == "person"}) == 2


def test_silence_and_the_end_of_a_sound_leave_nothing(segmenter: Segmenter) -> None:
    ended = hum()
    ended[RATE // 2 - 800 :] = 0
    for window in (np.zeros(RATE, np.float32), hum(level=1e-4), ended):
        segmenter.reset()
        prediction = segmenter.step(image(), window, 0)
        assert prediction.layers == () and prediction.label == ""
        assert prediction.label_index == -1 and prediction.score < 0.5
        assert float(prediction.probability.max()) <= 0.5
    segmenter.reset()
    assert segmenter.step(image(), hum(level=0.01), 0).layers


def test_a_higher_threshold_leaves_nothing(checkpoint: Path) -> None:
    gate = GateConfig(sounding_threshold=1.0)
    strict = create_segmenter(checkpoint, engine="torch", device="cpu", gate=gate)
    prediction = strict.step(image(), hum(), 0)
    assert prediction.layers == () and prediction.gated and 0 < prediction.score < 1
    answer = Postprocessor().process(prediction, Pair(image()))
    assert not answer.sounding and not answer.probability_map.any()


def test_frames_share_what_is_heard_and_each_has_its_own_masks(checkpoint: Path) -> None:
    """The audio network runs every half second, the segmenter at every frame."""
    model = create_segmenter(
        checkpoint, engine="torch", device="cpu",
        gate=GateConfig(audio_period=0.5, context=0.0),
    )
    rng = np.random.default_rng(2)
    other = rng.normal(0, 0.2, RATE).astype(np.float32)
    first = model.step(image(), hum(), 0)
    shared = model.step(image()[::-1].copy(), other, SECOND // 10)
    assert shared.audio_score == first.audio_score
    assert not np.allclose(shared.probability, first.probability, atol=0.05)
    later = model.step(image(), other, SECOND // 2)
    assert later.audio_score != first.audio_score
    # A frame that is seen again is the same, whatever was heard before it.
    model.reset()
    assert model.step(image(), other, 0).audio_score == later.audio_score


def test_wrong_windows_are_refused(segmenter: Segmenter) -> None:
    for window in (np.zeros(100, np.float32), np.full(RATE, np.nan, np.float32)):
        with pytest.raises(AudioFormatError, match="16000 finite samples"):
            segmenter.step(image(), window, 0)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_other_engines_say_the_same(checkpoint: Path, segmenter: Segmenter, engine: str) -> None:
    pytest.importorskip(engine)
    pytest.importorskip("onnx")
    # Numbers that differ by more than 1e-3 would be refused here.
    model = create_segmenter(checkpoint, engine=engine, device="cpu")
    assert model.engine == engine
    segmenter.reset()
    ours, theirs = (one.step(image(), hum(), 0) for one in (segmenter, model))
    model.close()
    assert len(ours.layers) == len(theirs.layers)
    assert ours.score == pytest.approx(theirs.score, abs=1e-3)
    assert float(np.abs(ours.probability - theirs.probability).mean()) < 1e-3
    # What is kept of it needs no networks to say the same again.
    kept = create_segmenter(checkpoint, engine=engine, device="cpu")
    again = kept.step(image(), hum(), 0)
    kept.close()
    assert np.allclose(again.probability, theirs.probability, atol=1e-5)
    assert kept.labels == ["person", "dog"]


def test_full_forms_say_what_they_need() -> None:
    for name in ("avsc_pvt", "avsc_swin"):
        with pytest.raises(ModelError, match=r"needs weights.*avs train avsc"):
            create_segmenter(name, engine="torch", device="cpu")


def test_a_full_form_can_be_measured_untrained() -> None:
    program = step_program("avsc_pvt", random_weights=True)
    assert program.inputs["frame"] == (1, 3, 224, 224) and program.name == "avsc_pvt"
