"""C3N behind the segmenter protocol: images and windows in, predictions out."""

from __future__ import annotations

import c3n_networks as networks
import cv2
import numpy as np
import pytest
import torch

from avs_ros.errors import AudioFormatError, CheckpointError, ImageFormatError, ModelError
from avs_ros.inference import Segmenter, create_segmenter
from avs_ros.inference.bundle import Bundle, open_runners
from avs_ros.inference.c3n import C3NSegmenter
from avs_ros.inference.cached_audio_encoder import CachedAudioEncoder
from avs_ros.inference.frames import FramePreparation
from avs_ros.inference.model_steps import c3n_bundle
from avs_ros.inference.registry import describe
from avs_ros.models import audio
from avs_ros.models.c3n import C3N
from avs_ros.models.checkpoints import save_c3n
from avs_ros.weights.sources import sha256_of

SECOND = 1_000_000_000
LABELS = [f"class {i}" for i in range(40)]


def served(network: C3N, audio_encoder: audio.AudioNetwork) -> C3NSegmenter:
    def make() -> Bundle:
        return c3n_bundle(network, audio_encoder, LABELS, "tiny", frames_per_clip=5)

    return C3NSegmenter("tiny", open_runners("tiny", None, make, "torch", "cpu"))


@pytest.fixture(scope="module")
def audio_encoder():
    torch.manual_seed(0)
    return audio.build("efficientat_mn04")


@pytest.fixture(scope="module")
def network():
    return networks.lively(
        C3N("pvt_v2_b0", 384, networks.small_similarity(40), channels=16, image_size=64)
    )


@pytest.fixture
def segmenter(network, audio_encoder):
    made = served(network, audio_encoder)
    yield made
    made.close()


def scene(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    random = np.random.RandomState(seed)
    frames = [random.randint(0, 256, (48, 80, 3), dtype=np.uint8) for _ in range(count)]
    sounds = [(random.standard_normal(16000) * 0.1).astype(np.float32) for _ in range(count)]
    return frames, sounds


def test_steps_at_one_frame_a_second_are_the_plain_clip(segmenter, network, audio_encoder):
    frames, sounds = scene(6)
    assert isinstance(segmenter, Segmenter)
    for i, (frame, sound) in enumerate(zip(frames, sounds, strict=True)):
        answer = segmenter.step(frame, sound, (10 + i) * SECOND)
    mean, std = (
        torch.tensor(x)[:, None, None]
        for x in (network.backbone.image_mean, network.backbone.image_std)
    )
    images = torch.stack(
        [torch.from_numpy(cv2.resize(f, (64, 64))).permute(2, 0, 1) / 255.0 for f in frames[1:]]
    )
    with torch.no_grad():
        feature, logits = audio_encoder(torch.from_numpy(np.stack(sounds[1:])))
        out = network.forward_detailed((images - mean) / std, feature, logits)
    expected = out.logits[-1, 0].sigmoid().numpy()
    np.testing.assert_allclose(answer.probability, expected, rtol=0, atol=2e-5)
    assert answer.probability.dtype == np.float32
    assert answer.label_index == out.labels[-1].item()
    assert answer.label == LABELS[answer.label_index]
    assert answer.audio_score == pytest.approx(float(logits[-1].sigmoid().max()), abs=1e-4)
    strongest = np.sort(expected.ravel())[-round(expected.size / 100) :].mean()
    assert answer.score == pytest.approx(float(strongest), abs=1e-4)
    assert set(answer.ms) == {"prepare", "audio", "network", "finish"}


def test_reset_forgets(segmenter):
    frames, sounds = scene(2)
    alone = segmenter.step(frames[1], sounds[1], 8 * SECOND).probability
    segmenter.reset()
    segmenter.step(frames[0], sounds[0], 7 * SECOND)
    after = segmenter.step(frames[1], sounds[1], 8 * SECOND).probability
    segmenter.reset()
    again = segmenter.step(frames[1], sounds[1], 8 * SECOND).probability
    np.testing.assert_array_equal(alone, again)
    assert np.abs(after - alone).max() > 1e-5


@pytest.mark.parametrize(
    ("window", "arguments"),
    [
        (np.zeros(8000, np.float32), r"16000 finite samples \(1 s\), got \[8000\]"),
        (np.zeros((2, 16000), np.float32), r"got \[2, 16000\]"),
        (np.full(16000, np.nan, np.float32), "NaN"),
    ],
)
def test_windows_that_cannot_be_heard(segmenter, window, arguments):
    with pytest.raises(AudioFormatError, match=arguments):
        segmenter.step(np.zeros((8, 8, 3), np.uint8), window, 0)


@pytest.mark.parametrize(
    "frame",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3), np.float32)],
)
def test_images_that_cannot_be_seen(segmenter, frame):
    with pytest.raises(ImageFormatError, match=r"uint8 \[H, W, 3\] RGB"):
        segmenter.step(frame, np.zeros(16000, np.float32), 0)


def test_frames_are_normalised_and_stretched():
    prepare = FramePreparation(32, (0.5, 0.25, 0.0), (0.5, 0.25, 1.0))
    frame = np.zeros((10, 20, 3), np.uint8)
    frame[:] = (255, 51, 102)
    out = prepare(frame)
    assert out.shape == (1, 3, 32, 32) and out.dtype == np.float32
    np.testing.assert_allclose(out[0, :, 5, 7], [1.0, -0.2, 0.4], atol=1e-6)


def test_each_window_is_heard_once(audio_encoder):
    class Counting:
        calls = 0

        def __call__(self, waveform):
            self.calls += 1
            with torch.no_grad():
                return tuple(part.numpy() for part in audio_encoder(torch.from_numpy(waveform)))

    counting = Counting()
    hear = CachedAudioEncoder(counting, remembered=2)
    one, two, three = (np.full(16000, v, np.float32) for v in (0.0, 0.1, 0.2))
    first = hear(one)
    assert hear(one.copy())[1] is first[1]
    hear(two), hear(one), hear(three), hear(one)
    assert counting.calls == 3
    hear(two)  # forgotten in favour of three
    assert counting.calls == 4


def test_a_checkpoint_file_is_a_model(network, audio_encoder, tmp_path):
    path = tmp_path / "mine.safetensors"
    save_c3n(
        path, network, "efficientat_mn04", LABELS, {"licence": "none"}, audio_encoder=audio_encoder
    )
    made = create_segmenter(path, engine="torch", device="cpu")
    assert (made.name, made.engine, made.device) == ("mine", "torch", "cpu")
    assert describe(made, path)["weights"] == {path.name: sha256_of(path)}
    frames, sounds = scene(1)
    direct = served(network, audio_encoder)
    np.testing.assert_array_equal(
        made.step(frames[0], sounds[0], SECOND).probability,
        direct.step(frames[0], sounds[0], SECOND).probability,
    )


def test_a_checkpoint_without_its_audio_network_says_where_to_get_it(
    network, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "mine.safetensors"
    save_c3n(path, network, "efficientat_mn04", LABELS)
    with pytest.raises(ModelError, match="avs weights download efficientat_mn04"):
        create_segmenter(path, engine="torch", device="cpu")


def test_models_that_are_not_there(tmp_path):
    with pytest.raises(
        ModelError, match=r"unknown model 'resnet'; known: c3n_light, .*c3n_pvt_panns"
    ):
        create_segmenter("resnet")
    with pytest.raises(ModelError, match=r"c3n_pvt_panns has no published weights.*avs weights"):
        create_segmenter("c3n_pvt_panns")
    with pytest.raises(CheckpointError, match="does not exist"):
        create_segmenter(str(tmp_path / "none.pth"))
    text = tmp_path / "notes.safetensors"
    text.write_text("not weights")
    with pytest.raises(CheckpointError, match=r"notes\.safetensors"):
        create_segmenter(text)
