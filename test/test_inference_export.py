"""``avs export`` and the bundled model on exported engines."""

from __future__ import annotations

import c3n_networks as networks
import numpy as np
import pytest

from avs_ros.cli.main import main
from avs_ros.inference import create_segmenter
from avs_ros.inference.registry import MODELS, step_program
from avs_ros.models.c3n import C3N
from avs_ros.models.checkpoints import save_c3n

pytestmark = pytest.mark.xdist_group("exports")


@pytest.fixture(scope="module", autouse=True)
def cache(exports):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVS_CACHE", str(exports))
        yield


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    net = C3N("pvt_v2_b0", 24, networks.small_similarity(5), channels=16, image_size=32)
    save_c3n(path, networks.lively(net), "efficientat_mn04", list("abcde"))
    return path


def test_export_writes_a_checked_file_and_says_its_shapes(checkpoint, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    target = tmp_path / "step.onnx"
    assert main(["export", "--model", str(checkpoint), "-o", str(target)]) == 0
    said = capsys.readouterr().out
    assert target.stat().st_size > 1e6 and "of PyTorch in ONNX Runtime" in said
    assert "frame [1, 3, 32, 32]" in said and "past [4, 4, 33]" in said


def test_a_stream_can_be_run_from_the_file_alone(checkpoint, tmp_path):
    """What another program would do with the exported step: keep states, set shares."""
    onnxruntime = pytest.importorskip("onnxruntime")
    from avs_ros.inference.export import export_onnx

    program = step_program(checkpoint)
    session = onnxruntime.InferenceSession(
        str(export_onnx(program, tmp_path / "step.onnx")), providers=["CPUExecutionProvider"]
    )
    frames, sound, heard = (x.numpy() for x in networks.inputs(3, 32, 24))
    past = np.zeros((4, 4, 33), np.float32)
    for i in range(3):
        shares = np.zeros(5, np.float32)
        shares[:i] = shares[4] = 1 / (i + 1)
        feed = {
            "frame": frames[i : i + 1],
            "audio_feature": sound[i : i + 1],
            "audio_logits": heard[i : i + 1],
            "past": past,
            "shares": shares,
        }
        logits, label, _, state = session.run(None, feed)
        past[i] = state
    net = program.module
    from avs_ros.models.checkpoints import load_c3n

    network = load_c3n(checkpoint).network
    plain = network.forward_detailed(*networks.inputs(3, 32, 24), frames_per_clip=3)
    assert label[0] == plain.labels[-1].item() and not net.training
    np.testing.assert_allclose(logits[0], plain.logits[-1].detach().numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "description"),
    [
        (["--model", "nothing"], "unknown model 'nothing'"),
        (["--build-only"], "--build-only goes with --engine tensorrt"),
        (["--model", "c3n_pvt_panns"], "has no published weights"),
    ],
)
def test_export_that_cannot_be(arguments, description, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *arguments]) == 2
    assert description in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_bundled_model_gives_the_same_answer_on_every_engine(engine):
    pytest.importorskip(engine)
    random = np.random.RandomState(0)
    frame = random.randint(0, 256, (120, 160, 3), dtype=np.uint8)
    window = (0.1 * random.standard_normal(16000)).astype(np.float32)
    answers = []
    for name in ("torch", engine):
        segmenter = create_segmenter("c3n_light", engine=name, device="cpu")
        assert segmenter.engine == name
        answers.append(segmenter.step(frame, window, 1_000_000_000))
        segmenter.close()
    one, other = answers
    assert (one.label, one.audio_label) == (other.label, other.audio_label)
    assert one.score == pytest.approx(other.score, abs=1e-3)
    np.testing.assert_allclose(one.probability, other.probability, rtol=0, atol=1e-3)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_what_hardly_sounds_is_as_unlikely_on_every_engine(engine):
    """Log-odds of a probability of 1e-6, by both audio networks."""
    pytest.importorskip(engine)
    random = np.random.RandomState(0)
    window = (0.1 * random.standard_normal(16000)).astype(np.float32)
    heard = []
    for name in ("torch", engine):
        segmenter = create_segmenter("c3n_light", engine=name, device="cpu")
        heard.append(segmenter.audio_logits(window))
        segmenter.close()
    for one, other in zip(*heard, strict=True):
        assert one.min() < -9
        np.testing.assert_allclose(other, one, rtol=0, atol=2e-4)


def test_every_model_has_words_and_a_way_to_be_built():
    import importlib

    for model in MODELS.values():
        module = importlib.import_module(model.module)
        assert model.description and callable(module.create) and callable(module.program)
