"""EfficientAT mn04: parity with the authors' code, the common protocol, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avs_ros.errors import AudioFormatError
from avs_ros.models import audio
from avs_ros.models.audio.spectrum import DoubleRate


@pytest.fixture(scope="module")
def network() -> audio.AudioNetwork:
    torch.manual_seed(0)
    return audio.build("efficientat_mn04")


@torch.no_grad()
def test_equals_the_authors_network_stage_by_stage(shared: Path) -> None:
    weights = shared / "data" / "weights" / "efficientat_mn04_audioset.safetensors"
    expected = np.load(shared / "data" / "reference" / "efficientat_mn04.npz")
    network = audio.build("efficientat_mn04", checkpoint=weights)
    waveform = torch.from_numpy(expected["waveform"])

    log_mel = network.log_mel.native(waveform)
    feature = network.encode(log_mel)
    logits = network.classify(feature)

    # In nearly silent bands the logarithm shows the last bits of the FFT, which processors round
    # differently; the network is held to what it makes of the very same spectrum.
    np.testing.assert_allclose(log_mel, expected["mel"], atol=1e-3)
    same = network.encode(torch.from_numpy(expected["mel"]))
    np.testing.assert_allclose(same, expected["embedding"], atol=2e-5)
    np.testing.assert_allclose(network.classify(same), expected["logits"], atol=2e-5)
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-3)


@torch.no_grad()
def test_hearing_at_16_khz_differs_little_from_32_khz_below_8_khz(shared: Path) -> None:
    weights = shared / "data" / "weights" / "efficientat_mn04_audioset.safetensors"
    network = audio.build("efficientat_mn04", checkpoint=weights)
    time = np.arange(32000) / 32000
    tones = sum(np.sin(2 * np.pi * f * time) for f in (220, 440, 660, 880, 1320)) / 10
    fine = torch.from_numpy(tones.astype(np.float32))[None]

    native = network.classify(network.encode(network.log_mel.native(fine)))
    _, upsampled = network(fine[:, ::2])

    top = native[0].topk(3).indices
    assert set(top.tolist()) & set(upsampled[0].topk(3).indices.tolist())
    assert (native - upsampled).abs().mean() < 1.0


@torch.no_grad()
def test_one_second_gives_feature_and_audioset_logits(network: audio.AudioNetwork) -> None:
    feature, logits = network(torch.randn(3, 16000))
    assert feature.shape == (3, network.feature_width) == (3, 384)
    assert logits.shape == (3, 527)
    assert network.sample_rate == 16000
    assert network.front_end(torch.randn(2, 16000)).shape == (2, 128, 100)


@torch.no_grad()
def test_a_clip_is_heard_second_by_second(network: audio.AudioNetwork) -> None:
    seconds = 0.1 * torch.randn(3, 16000)
    torch.testing.assert_close(network.hear_clip(seconds), network(seconds))


def test_gradient_reaches_the_waveform_and_every_weight(network: audio.AudioNetwork) -> None:
    waveform = torch.randn(2, 16000, requires_grad=True)
    feature, logits = network(waveform)
    (feature.square().mean() + logits.square().mean()).backward()
    assert waveform.grad is not None and waveform.grad.abs().sum() > 0
    assert all(p.grad is not None for p in network.parameters())
    network.zero_grad()


@pytest.mark.parametrize(
    ("waveform", "arguments"),
    [
        (torch.zeros(16000), "batch"),
        (torch.zeros(1, 2, 16000), "mono"),
        (torch.zeros(1, 100), "pad"),
        (torch.zeros(1, 16000, dtype=torch.int16), "32768"),
        (torch.zeros(1, 16000, dtype=torch.float64), "float32"),
        (torch.full((1, 16000), float("nan")), "NaN"),
        (torch.full((1, 16000), float("inf")), "infinite"),
    ],
)
def test_sound_that_cannot_be_heard_is_refused_in_words(
    network: audio.AudioNetwork, waveform: torch.Tensor, arguments: str
) -> None:
    with pytest.raises(AudioFormatError, match=arguments):
        network(waveform)


@pytest.mark.parametrize("frequency", [50, 1000, 5000, 7000])
def test_doubling_the_rate_keeps_a_tone(frequency: int) -> None:
    coarse = torch.sin(2 * torch.pi * frequency * torch.arange(4000, dtype=torch.float64) / 16000)
    fine = torch.sin(2 * torch.pi * frequency * torch.arange(8000, dtype=torch.float64) / 32000)
    doubled = DoubleRate()(coarse.float()[None])[0]
    assert doubled.shape == fine.shape
    assert torch.equal(doubled[::2], coarse.float())
    # Away from the ends, where sound outside the window counts as zero.
    assert (doubled - fine.float())[200:-200].abs().max() < 5e-4
