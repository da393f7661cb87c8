"""A model is kept ready for engines: the second start needs no networks and no PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys

import c3n_networks as networks
import numpy as np
import pytest
import torch

from avs_ros.errors import EngineError
from avs_ros.inference import create_segmenter
from avs_ros.inference.bundle import identity_of, load_bundle, open_runners
from avs_ros.inference.class_affinity import ClassAffinity
from avs_ros.inference.engines import build_runner
from avs_ros.inference.engines.portable import drop_pages
from avs_ros.inference.model_steps import affinity_metadata, audio_program, c3n_bundle
from avs_ros.models import audio
from avs_ros.models.c3n import C3N
from avs_ros.models.light.selection import ClassAudioAffinity

pytestmark = pytest.mark.xdist_group("exports")
SECOND = 1_000_000_000


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVS_CACHE", str(folder))
        yield folder / "engines"


def tiny_bundle():
    torch.manual_seed(0)
    encoder = audio.build("efficientat_mn04")
    net = C3N("mobilenetv2_100", 384, networks.small_similarity(40), channels=8, image_size=32)
    return c3n_bundle(networks.lively(net), encoder, [f"class {i}" for i in range(40)], "tiny", 3)


def test_the_second_opening_builds_nothing_and_answers_the_same():
    pytest.importorskip("onnxruntime")
    made = []

    def make():
        made.append(1)
        return tiny_bundle()

    identity = identity_of("tiny")
    first = open_runners("tiny", identity, make, "onnxruntime", "cpu")
    second = open_runners("tiny", identity, make, "onnxruntime", "cpu")
    assert made == [1]
    assert first.metadata == second.metadata and second.metadata["labels"][39] == "class 39"
    kept = load_bundle("tiny", identity)
    assert kept is not None
    for one, other, step in (
        (first.visual, second.visual, kept.visual),
        (first.audio, second.audio, kept.audio),
    ):
        for expected, found in zip(one(*step.example), other(*step.example), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert not hasattr(kept.visual, "module")
    with pytest.raises(EngineError, match="torch needs the network itself"):
        build_runner(kept.visual, "torch", "cpu")


def test_what_is_kept_and_does_not_fit_is_built_anew(cache):
    pytest.importorskip("onnxruntime")
    identity = identity_of("tiny", "damaged")
    open_runners("tiny", identity, tiny_bundle, "onnxruntime", "cpu").close()
    kept = load_bundle("tiny", identity)
    assert kept is not None
    graph = kept.visual.graph
    graph.with_name(f"{graph.name}.data").write_bytes(b"")
    with pytest.raises(EngineError):
        build_runner(kept.visual, "onnxruntime", "cpu")
    for file in cache.glob("tiny_*"):
        if "bundle" not in file.name:
            file.unlink()
    assert load_bundle("tiny", identity) is None
    open_runners("tiny", identity, tiny_bundle, "onnxruntime", "cpu").close()
    assert load_bundle("tiny", identity) is not None


def test_identity_follows_words_and_files(tmp_path):
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    first = identity_of("a", files=(file,))
    assert first == identity_of("a", files=(file,)) != identity_of("b", files=(file,))
    file.write_bytes(b"two")
    assert first != identity_of("a", files=(file,))


_START = """
import json, sys
import numpy as np
from avs_ros.inference import create_segmenter
made = create_segmenter("c3n_light", engine="onnxruntime", device="auto")
random = np.random.RandomState(0)
frame = random.randint(0, 256, (48, 64, 3), dtype=np.uint8)
answer = made.step(frame, (0.1 * random.standard_normal(16000)).astype(np.float32), 10**9)
print(json.dumps([answer.audio_label, answer.audio_score, answer.score,
                  float(answer.probability.sum()), "torch" in sys.modules]))
"""


def test_a_second_start_does_not_load_pytorch(exports, monkeypatch):
    monkeypatch.setenv("AVS_CACHE", str(exports))
    pytest.importorskip("onnxruntime")
    if torch.cuda.is_available():
        pytest.skip("with a GPU, PyTorch is asked for it")
    create_segmenter("c3n_light", engine="onnxruntime", device="cpu").close()
    random = np.random.RandomState(0)
    frame = random.randint(0, 256, (48, 64, 3), dtype=np.uint8)
    window = (0.1 * random.standard_normal(16000)).astype(np.float32)
    expected = create_segmenter("c3n_light", engine="torch", device="cpu").step(
        frame, window, SECOND
    )
    command = [sys.executable, "-c", _START]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    label, score, sounding, area, with_torch = json.loads(ran.stdout)
    assert label == expected.audio_label
    assert score == pytest.approx(expected.audio_score, abs=1e-4)
    assert sounding == pytest.approx(expected.score, abs=1e-3)
    assert area == pytest.approx(float(expected.probability.sum()), rel=1e-3)
    assert not with_torch or sys.platform != "linux"


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", ["efficientat_mn04", "beats"])
def test_audio_networks_hear_the_same_on_every_engine(name, engine):
    """From the samples on: the exported spectrum is a matrix product, PyTorch's a transform."""
    pytest.importorskip(engine)
    torch.manual_seed(0)
    if name == "beats":
        from avs_ros.models.audio.beats import BEATs, BEATsConfig

        network = BEATs(
            BEATsConfig(
                embed_dim=16, encoder_layers=2, encoder_embed_dim=32, encoder_ffn_embed_dim=64,
                encoder_attention_heads=4, conv_pos=16, conv_pos_groups=4,
            )
        ).eval()  # fmt: skip
    else:
        network = audio.build(name)
    program = audio_program(network, f"audio_encoder_{name}")
    runner = build_runner(program, engine, "cpu")
    random = np.random.RandomState(1)
    for level in (0.3, 1e-3):
        window = (level * random.standard_normal((1, 16000))).astype(np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(window))
        for wanted, found in zip(expected, runner(window), strict=True):
            np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=2e-4)
    runner.close()


def test_categories_are_heard_as_the_trained_affinity_hears_them():
    torch.manual_seed(0)
    affinity = ClassAudioAffinity([0, 1, 1], categories=3)
    with torch.no_grad():
        affinity.log_affinity.normal_(-3.0)
        affinity.gain.uniform_(0.5, 2.0)
        affinity.bias.normal_()
        logits = torch.randn(1, 527) * 3
        expected = affinity(logits)
        categories = affinity.by_category(expected)
    plain = ClassAffinity(json.loads(json.dumps(affinity_metadata(affinity))))
    heard = logits[0].numpy()
    np.testing.assert_allclose(
        plain.sound_classes(heard), expected[0].numpy(), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(plain(heard), categories[0].numpy(), rtol=1e-5, atol=1e-5)


def test_dropped_pages_are_read_again(tmp_path):
    path = tmp_path / "weights.data"
    np.arange(1 << 18, dtype=np.float32).tofile(path)
    mapped = np.memmap(path, np.float32, "r")
    before = float(mapped.sum(dtype=np.float64))
    dropped = drop_pages(path)
    assert dropped in (0, path.stat().st_size)  # 0 off Linux
    assert float(mapped.sum(dtype=np.float64)) == before
    assert drop_pages(tmp_path / "nothing") == 0
