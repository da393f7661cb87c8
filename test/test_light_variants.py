"""The light model's company: its C3N, the class head alone, and the training-free baseline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avs_ros.errors import ModelError
from avs_ros.gate import GateConfig
from avs_ros.inference import Segmenter, create_segmenter
from avs_ros.inference.consensus_cam import cam_program
from avs_ros.inference.engines import build_runner
from avs_ros.inference.light import BUNDLED, LightSegmenter
from avs_ros.inference.model_steps import detecting_bundle
from avs_ros.inference.registry import MODELS, step_program
from avs_ros.models.c3n.backbone import MobileNetV2
from avs_ros.models.c3n.c3im import CognitiveConsensusInference
from avs_ros.models.c3n.streaming import C3NStep
from avs_ros.models.light.checkpoint import load_light
from avs_ros.models.light.consensus_cam import ConsensusCam

# One worker opens the models.
pytestmark = pytest.mark.xdist_group("light_variants")

RATE, SECOND = 16000, 1_000_000_000


@pytest.fixture(scope="module")
def clip() -> tuple[np.ndarray, np.ndarray]:
    """Five frames at the network's size, so that nothing is resized, and their seconds."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 255, (5, 14, 14, 3), dtype=np.uint8)
    frames = coarse.repeat(16, axis=1).repeat(16, axis=2)
    seconds = rng.normal(0, 0.05, (5, RATE)).astype(np.float32)
    return frames, seconds


@pytest.fixture(scope="module")
def paper() -> Segmenter:
    return create_segmenter("c3n_light_paper", engine="torch", device="cpu")


@pytest.fixture(scope="module")
def light() -> LightSegmenter:
    return LightSegmenter()


def test_paper_variant_is_the_trunk_over_a_clip_of_five(
    clip: tuple[np.ndarray, np.ndarray], paper: Segmenter
) -> None:
    frames, seconds = clip
    model = load_light(BUNDLED)
    trunk = model.network.c3n
    with torch.no_grad():
        feature, logits = model.network.audio_encoder(torch.from_numpy(seconds))
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1
        whole = trunk.forward_detailed(pixels, feature, logits, frames_per_clip=5)
    paper.reset()
    for index in range(5):
        answer = paper.step(frames[index], seconds[index], (index + 1) * SECOND)
    # A live stream knows the past only: its fifth frame has the whole clip.
    expected = torch.sigmoid(whole.logits[4, 0]).numpy()
    np.testing.assert_allclose(answer.probability, expected, rtol=0, atol=2e-3)
    assert answer.label_index == int(whole.labels[4])
    assert answer.layers == ()


def test_paper_variant_has_no_gate_against_silence(paper: Segmenter) -> None:
    data = pytest.importorskip("skimage.data")
    window = np.zeros(RATE, np.float32)
    astronaut = np.asarray(data.astronaut())
    paper.reset()
    assert paper.step(astronaut, window, 0).score > 0
    light = create_segmenter("c3n_light", engine="torch", device="cpu")
    assert light.step(astronaut, window, 0).score == 0


@pytest.mark.parametrize("name", ["c3n_light_paper", "consensus_cam"])
def test_variants_can_be_chosen_and_exported_by_name(name: str) -> None:
    assert name in MODELS
    program = step_program(name)
    assert program.name == name and program.inputs["frame"] == (1, 3, 224, 224)
    assert "gate" not in program.outputs


def small_cam(sharpness: float) -> ConsensusCam:
    torch.manual_seed(0)
    backbone = MobileNetV2("mobilenetv2_100", num_classes=12)
    similarity = torch.rand(12, 527)
    return ConsensusCam(backbone, CognitiveConsensusInference(similarity), 64, sharpness)


def test_cam_is_the_activation_of_the_consensus_class() -> None:
    module = small_cam(sharpness=0.0)
    frame, sound = torch.rand(1, 3, 64, 64) * 2 - 1, torch.randn(1, 527)
    out = module(frame, sound)
    net, x = module.backbone.net, frame
    for index in range(4):
        x = module.backbone.stage(index, x)
    hidden = net.bn2(net.conv_head(x))
    scores = module.c3im.confidence_matrix(net.classifier(hidden.mean((2, 3))), sound)
    row = int(scores[0].amax(dim=1).argmax())
    raw = (net.classifier.weight[row][:, None, None] * hidden[0]).sum(0)
    raw = torch.nn.functional.interpolate(
        raw[None, None], scale_factor=8, mode="bilinear", align_corners=False
    ).clamp(min=0)
    assert int(out.label) == row
    assert torch.allclose(out.cam, raw / raw.max(), atol=1e-5)
    assert out.cam.shape == (1, 1, 16, 16)


def test_a_very_sharp_consensus_is_the_arg_max() -> None:
    frame, sound = torch.rand(1, 3, 64, 64) * 2 - 1, torch.randn(1, 527)
    hard, soft, sharp = (small_cam(s)(frame, sound).cam for s in (0.0, 1.0, 1e5))
    assert torch.allclose(sharp, hard, atol=1e-3)
    assert not torch.allclose(soft, hard, atol=1e-2)


def test_a_step_without_memory_runs_on_engines() -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    program = cam_program(small_cam(1.0), "small_cam")
    runner = build_runner(program, "onnxruntime", "cpu")  # raises where the numbers differ
    cam, label = runner(*program.example)
    runner.close()
    assert np.asarray(cam).shape == (1, 1, 16, 16) and int(label[0]) in range(12)


def test_baseline_refuses_silence_alone_and_an_impossible_level() -> None:
    data = pytest.importorskip("skimage.data")
    cat = np.asarray(data.chelsea())
    segmenter = create_segmenter("consensus_cam", engine="torch", device="cpu")
    assert segmenter.step(cat, np.zeros(RATE, np.float32), 0).score == 0
    hiss = np.random.default_rng(0).normal(0, 0.05, RATE).astype(np.float32)
    answer = segmenter.step(cat, hiss, SECOND)
    assert answer.score == 1 and answer.label in segmenter.labels
    assert 0 < float((answer.probability > 0.5).mean()) < 1
    with pytest.raises(ModelError, match="between 0 and 1"):
        create_segmenter("consensus_cam", engine="torch", device="cpu", level=1.5)


def test_baseline_on_public_classifiers_finds_the_cat(shared: Path) -> None:
    from avs_ros.evaluation.composite_generated import generated_dataset

    weights = shared / "data" / "weights"
    segmenter = create_segmenter(
        "consensus_cam",
        engine="torch",
        device="cpu",
        visual_weights=weights / "mobilenet_v2_imagenet.safetensors",
        audio_weights=weights / "efficientat_mn04_audioset.safetensors",
    )
    library = generated_dataset()
    view = library.images[0].view()
    answer = segmenter.step(view.rgb, library.recordings[0].second(), 0)
    assert "cat" in answer.label.lower()
    assert len(segmenter.labels) == 1000


def test_a_category_may_have_a_threshold_of_its_own(
    light: LightSegmenter, tmp_path: Path
) -> None:
    pytest.importorskip("skimage")
    from avs_ros.evaluation.composite_generated import generated_dataset
    from avs_ros.models.checkpoints import save_checkpoint
    from avs_ros.models.light.checkpoint import tensors_of

    about = dict(load_light(BUNDLED).metadata)
    about["calibration"] = {**about["calibration"], "thresholds": {"cat": 0.9999999}}
    path = tmp_path / "strict.safetensors"
    save_checkpoint(path, tensors_of(BUNDLED), about)
    library = generated_dataset()
    rgb, meow = library.images[0].view().rgb, library.recordings[0].second()
    light.reset()
    assert light.step(rgb, meow, 0).label == "cat"
    assert LightSegmenter(path).step(rgb, meow, 0).layers == ()
    # What is asked for counts on the file's own scale.
    gate = GateConfig(category_thresholds={"Cat": 0.1})
    eager = create_segmenter(path, engine="torch", device="cpu", gate=gate)
    assert eager.step(rgb, meow, 0).label == "cat"


def test_a_window_that_stands_alone_is_judged_whole(light: LightSegmenter) -> None:
    """A meow early in the second: marked by itself; ended where the stream had it before."""
    pytest.importorskip("skimage")
    from avs_ros.evaluation.composite_generated import generated_dataset

    library = generated_dataset()
    rgb, sound = library.images[0].view().rgb, library.recordings[0].second()
    early = np.concatenate([sound[-8000:], np.zeros(8000, np.float32)])
    light.reset()
    assert light.step(rgb, early, SECOND).layers
    assert not light.step(rgb, early, SECOND + SECOND // 10).layers
    # A second later no sound is shared any more.
    assert light.step(rgb, early, 3 * SECOND).layers
    light.reset()
    assert light.step(rgb, early, 0).layers


def test_the_class_head_shows_at_every_position_what_c3n_pools() -> None:
    """The step's cells, and those of the streaming backbone that C3N itself runs on."""
    model = load_light(BUNDLED)
    c3n, told = model.network.c3n, model.metadata["detecting"]
    program = detecting_bundle(BUNDLED, "c3n_light").visual
    frame, whole = (
        torch.rand(shape, generator=torch.Generator().manual_seed(6)) * 2 - 1
        for shape in program.inputs.values()
    )
    outputs = program.module(frame, whole)
    cells = outputs[program.outputs.index("cells")]
    with torch.no_grad():
        trace = C3NStep(c3n, 1).backbone(model.network.trunk_view(frame))
        assert trace.hidden is not None
        rows = c3n.backbone.net.classifier(trace.hidden.permute(0, 2, 3, 1))[..., :1000].softmax(3)
    expected = torch.stack([rows[..., own].sum(3) for own in told["imagenet"]], dim=1)
    torch.testing.assert_close(cells, expected, rtol=1e-4, atol=1e-6)
