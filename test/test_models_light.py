"""The light model: folding, the streaming step, hearing context, and the bundled file itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from avs_ros.errors import AudioFormatError, CheckpointError
from avs_ros.inference.cached_audio_encoder import SoundContext
from avs_ros.inference.light import BUNDLED, LightSegmenter
from avs_ros.models.light.checkpoint import load_light, save_light, tensors_of
from avs_ros.models.light.folding import fold_batch_norm
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.selection import AcceptGate, ClassAudioAffinity, raise_to_visible
from avs_ros.models.light.similarity import light_similarity
from avs_ros.models.light.steps import LightStep

# One worker opens the model.
pytestmark = pytest.mark.xdist_group("models_light")

RATE = 16000
SECOND = 1_000_000_000


def small_network() -> LightC3N:
    torch.manual_seed(0)
    members = torch.zeros(3, 8)
    members[0, [0, 5]] = members[1, [1, 6]] = members[2, [2, 7]] = 1
    net = LightC3N(torch.rand(8, 527), members, [0, 1, 1, 2], channels=8, image_size=64).fold()
    for block in net.c3n.tpavi:  # trained networks do listen
        nn.init.normal_(block.project_norm.weight)
    return net.eval()


def test_folding_changes_no_output() -> None:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU()).eval()
    norm = net[1]
    nn.init.uniform_(norm.weight)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2.0)
    x = torch.randn(2, 3, 9, 9)
    before = net(x)
    fold_batch_norm(net)
    assert torch.allclose(net(x), before, atol=1e-5)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    assert "0.bias" in net.state_dict()
    assert not any("running" in name for name in net.state_dict())


def test_step_gives_the_networks_numbers() -> None:
    net = small_network()
    frames, sound = torch.rand(1, 3, 64, 64) * 2 - 1, torch.randn(1, RATE) * 0.1
    with torch.no_grad():
        feature, logits = net.audio_encoder(sound)
        whole = net(frames, feature, logits)
        past, shares = torch.zeros(0, 4, 17), torch.ones(1)
        out = LightStep(net)(frames, feature, logits, whole.heard, past, shares)
    assert out.masks.shape == (1, 3, 16, 16)
    # The step lifts timid maps; apart from that it must give the plain network's.
    assert torch.allclose(out.masks, raise_to_visible(whole.masks), atol=1e-4)
    assert torch.allclose(out.gate, whole.gate, atol=1e-4)
    assert out.label.tolist() == whole.labels.tolist()


def test_affinity_takes_the_loudest_sound_class_of_a_category() -> None:
    affinity = ClassAudioAffinity([0, 1, 1], categories=3)
    sound_classes = torch.tensor([[0.5, -1.0, 2.0]])
    assert affinity.by_category(sound_classes).tolist() == [[0.5, 2.0, -20.0]]


def test_affinity_rises_with_a_class_it_is_close_to() -> None:
    affinity = ClassAudioAffinity([0], categories=1)
    with torch.no_grad():
        affinity.log_affinity.fill_(-9.0)
        affinity.log_affinity[0, 74] = 0.0
    quiet, loud = torch.full((1, 527), -8.0), torch.full((1, 527), -8.0)
    loud[0, 74] = 2.0
    assert float(affinity(loud)) > float(affinity(quiet)) + 2


def test_gate_judges_every_category_by_the_same_rule() -> None:
    torch.manual_seed(0)
    gate = AcceptGate()
    heard, seen = torch.randn(2, 5), torch.randn(2, 5, 3)
    order = torch.tensor([3, 1, 0, 4, 2])
    mixed = gate(heard[:, order], seen[:, order])
    assert torch.allclose(mixed, gate(heard, seen)[:, order], atol=1e-5)


def test_a_held_thing_wins_its_pixels_when_it_is_the_one_heard() -> None:
    torch.manual_seed(0)
    members = torch.eye(3, 6)
    net = LightC3N(
        torch.rand(6, 527), members, [0, 1, 2], channels=8, image_size=64, overlaps=[(1, 0)]
    ).eval()
    semantic = torch.full((1, 3, 4, 4), -5.0)
    semantic[:, 0], semantic[:, 1] = 4.0, 1.0  # a guitar in a person's arms
    flat = torch.zeros(1, 1, 4, 4)
    with torch.no_grad():
        played = net.masks(semantic, flat, torch.tensor([[-4.0, 4.0, 0.0]]))
        spoken = net.masks(semantic, flat, torch.tensor([[4.0, -4.0, 0.0]]))
    assert float(played[0, 1].min()) > 0 > float(spoken[0, 1].max())
    # A rival that does not hold it gives nothing away.
    assert torch.equal(played[0, 2], spoken[0, 2])


def one_of(index: int, size: int = 4) -> np.ndarray:
    logits = np.full(size, -4.0, np.float32)
    logits[index] = 4.0
    return logits


def test_context_averages_what_belongs_together() -> None:
    context = SoundContext()
    for tenth in range(20):
        heard, context_logits = context.hear(tenth * SECOND // 10, one_of(1), -20.0, lambda x: x)
    assert heard.argmax() == 1
    # One weak window between strong ones is outvoted.
    _, context_logits = context.hear(2 * SECOND, np.zeros(4, np.float32), -20.0, lambda x: x)
    assert context_logits.argmax() == 1


def test_context_is_dropped_when_another_sound_takes_over() -> None:
    context = SoundContext()
    for tenth in range(20):
        context.hear(tenth * SECOND // 10, one_of(1), -20.0, lambda x: x)
    heard, context_logits = context.hear(2 * SECOND, one_of(2), -20.0, lambda x: x)
    assert heard.argmax() == context_logits.argmax() == 2


def test_context_ends_with_silence_and_reset() -> None:
    for forget in (
        lambda c: c.hear(SECOND, one_of(3), -80.0, lambda x: x),
        lambda c: c.reset(),
    ):
        context = SoundContext()
        context.hear(0, one_of(1), -20.0, lambda x: x)
        forget(context)
        _, context_logits = context.hear(2 * SECOND, np.zeros(4, np.float32), -20.0, lambda x: x)
        assert np.array_equal(context_logits, np.zeros(4))


def test_file_round_trip(tmp_path: Path) -> None:
    names = {
        "rows": [f"row{i}" for i in range(1003)],
        "categories": ["a", "b", "c"],
        "sound_classes": ["a", "b", "b2", "c"],
        "sound_class_category": [0, 1, 1, 2],
        "direct": [[0], [74], [75], [137]],
        "loose": [[1], [72], [], []],
        "members": [[5, 1000], [6, 7, 1001], [1002]],
        "overlaps": [[1, 0]],
        "audioset": [str(i) for i in range(527)],
    }
    members = torch.zeros(3, 1003)
    for category, rows in enumerate(names["members"]):
        members[category, rows] = 1
    similarity = light_similarity(
        names["members"], names["sound_class_category"], names["direct"], names["loose"]
    )
    assert similarity.shape == (1003, 527)
    assert similarity[1001, 75] == 1 and similarity[1001, 72] >= 0.4
    torch.manual_seed(0)
    net = LightC3N(similarity, members, [0, 1, 1, 2], channels=8, image_size=64, overlaps=[(1, 0)])
    net.fold().eval()
    path = tmp_path / "small.safetensors"
    save_light(path, net, names, {"licence": "x"})
    model = load_light(path)
    assert model.categories == ("a", "b", "c")
    assert model.metadata["licence"] == "x"
    frames = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        sound = net.audio_encoder(torch.ones(1, RATE) * 0.01)
        expected, found = net(frames, *sound), model.network(frames, *sound)
    assert torch.equal(model.network.overlaps, net.overlaps)
    # Stored in half precision.
    assert torch.allclose(found.masks, expected.masks, atol=0.1)


def test_another_file_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, str(path))
    with pytest.raises(CheckpointError, match="not a light C3N file"):
        load_light(path)


def test_bundled_file_is_small_half_precision_and_says_what_it_is() -> None:
    assert BUNDLED.stat().st_size <= 40 * 2**20
    tensors = tensors_of(BUNDLED)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert not any("running" in name for name in tensors)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())
    about = load_light(BUNDLED).metadata
    assert "non-commercial" in about["licence"]
    assert {"image", "sound"} <= set(about["preprocessing"])
    assert 0 < about["calibration"]["threshold"] < 1
    assert about["provenance"]["started_from"]


def test_every_bundled_tensor_is_trained(shared: Path) -> None:
    from recipes.c3n_light.export import untouched

    assert untouched(load_light(BUNDLED).network, shared / "data") == []


@pytest.fixture(scope="module")
def segmenter() -> LightSegmenter:
    return LightSegmenter()


def test_silence_marks_nothing(segmenter: LightSegmenter) -> None:
    data = pytest.importorskip("skimage.data")
    segmenter.reset()
    prediction = segmenter.step(data.chelsea(), np.zeros(RATE, np.float32), 0)
    assert prediction.score < 0.5
    assert prediction.layers == ()
    assert prediction.label == "" and prediction.label_index == -1
    assert float(prediction.probability.max()) <= 0.5


def test_wrong_window_is_refused(segmenter: LightSegmenter) -> None:
    frame = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(AudioFormatError):
        segmenter.step(frame, np.zeros(100, np.float32), 0)
    with pytest.raises(AudioFormatError):
        segmenter.step(frame, np.full(RATE, np.nan, np.float32), 0)


def test_answer_has_the_protocols_shape(segmenter: LightSegmenter) -> None:
    segmenter.reset()
    frame = np.full((90, 160, 3), 127, np.uint8)
    sound = np.random.default_rng(0).normal(0, 0.05, RATE).astype(np.float32)
    prediction = segmenter.step(frame, sound, 0)
    assert prediction.probability.dtype == np.float32
    assert prediction.probability.shape == (56, 56)
    assert 0 <= prediction.score <= 1
    assert set(prediction.ms) == {"audio", "visual"}
    assert len(segmenter.labels) == 1029


@pytest.mark.parametrize(("second", "label", "left"), [(3.0, "cat", True), (9.0, "person", False)])
def test_the_one_that_sounds_is_marked(
    segmenter: LightSegmenter, second: float, label: str, left: bool
) -> None:
    """Least for the shipped weights: cat left, astronaut right, one of them sounds."""
    pytest.importorskip("skimage.data")
    soxr = pytest.importorskip("soxr")
    from avs_ros.media import scene

    frame = next(iter(scene.images(1.0)))
    track = soxr.resample(scene.soundtrack(), scene.RATE_HZ, RATE).astype(np.float32)
    end = int(second * RATE)
    segmenter.reset()
    prediction = segmenter.step(frame, track[end - RATE : end], 0)
    assert prediction.label == label
    assert [layer.label for layer in prediction.layers] == [label]
    marked = prediction.probability > 0.5
    middle = marked.shape[1] // 2
    here, there = marked[:, :middle], marked[:, middle:]
    if not left:
        here, there = there, here
    assert here.mean() > 0.3
    assert here.sum() / marked.sum() > 0.9


def test_a_sound_of_nothing_visible_marks_nothing(segmenter: LightSegmenter) -> None:
    data = pytest.importorskip("skimage.data")
    rng = np.random.default_rng(0)
    hiss = rng.normal(0, 0.05, RATE).astype(np.float32)
    for image in (data.chelsea(), data.astronaut(), data.coffee()):
        segmenter.reset()
        prediction = segmenter.step(np.ascontiguousarray(image), hiss, 0)
        assert prediction.layers == () and prediction.score < 0.5


def test_the_mask_ends_soon_after_the_sound(segmenter: LightSegmenter) -> None:
    pytest.importorskip("skimage.data")
    soxr = pytest.importorskip("soxr")
    from avs_ros.media import scene

    frame = next(iter(scene.images(1.0)))
    track = soxr.resample(scene.soundtrack(), scene.RATE_HZ, RATE).astype(np.float32)
    segmenter.reset()
    window = track[2 * RATE : 3 * RATE].copy()
    assert segmenter.step(frame, window, 0).layers
    ended = np.concatenate([window[RATE * 6 // 10 :], np.zeros(RATE * 6 // 10, np.float32)])
    assert segmenter.step(frame, ended, SECOND // 2).layers == ()
