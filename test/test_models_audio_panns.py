"""PANNs Cnn14 at 16 kHz: parity with the authors' code, the public file's layout, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from generated_weights import REFERENCE, generated_from_list

from avs_ros.errors import AudioFormatError, CheckpointError
from avs_ros.models import audio
from avs_ros.models.audio.panns import Cnn14, PannsLogMel
from avs_ros.models.audio.spectrum import power_spectrum
from avs_ros.models.weight_file import WeightFile

# One worker makes the weights.
pytestmark = pytest.mark.xdist_group("panns")


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    return dict(np.load(REFERENCE / "panns_cnn14_16k.npz"))


@pytest.fixture(scope="module")
def public_file(expected: dict[str, np.ndarray]) -> WeightFile:
    """A checkpoint laid out as the public one, with generated weights."""
    state = generated_from_list(expected["state_dict_keys"], gain=1.414213562)
    state["bn0.running_mean"] -= 20
    state["bn0.running_var"] *= 50
    return WeightFile({"model": state, "iteration": 1, "sampler": {}}, {}, "Cnn14_16k.pth")


@pytest.fixture(scope="module")
def network(public_file: WeightFile) -> Cnn14:
    network = Cnn14()
    network.load_weight_file(public_file)
    return network.eval()


@torch.no_grad()
def test_equals_the_authors_network_stage_by_stage(
    expected: dict[str, np.ndarray], network: Cnn14
) -> None:
    waveform = torch.from_numpy(expected["wave_int16"] / np.float32(32768))
    power = power_spectrum(waveform, network.log_mel.window, 512, 160)[:, :20]
    np.testing.assert_allclose(
        power, expected["power_spectrum_first20"][:, 0], rtol=1e-5, atol=1e-3
    )
    np.testing.assert_allclose(network.log_mel.mel_bands, expected["mel_filterbank"], atol=1e-6)

    log_mel = network.front_end(waveform)
    np.testing.assert_allclose(log_mel, expected["logmel"], atol=1e-3)

    blocks = network.blocks(log_mel)
    means = torch.stack([maps.mean(dim=(1, 2, 3)) for maps in blocks], dim=1)
    deviations = torch.stack([maps.flatten(1).std(dim=1) for maps in blocks], dim=1)
    np.testing.assert_allclose(means, expected["block_mean"], atol=1e-5)
    np.testing.assert_allclose(deviations, expected["block_std"], atol=1e-5)

    feature, logits = network(waveform)
    np.testing.assert_allclose(feature, expected["embedding"], atol=2e-4)
    np.testing.assert_allclose(logits, expected["clipwise_logits_ms3"], atol=2e-4)
    np.testing.assert_allclose(
        torch.sigmoid(logits), expected["clipwise_probs_s4"], atol=5e-5
    )


def test_a_tensor_of_another_shape_is_named_with_both_shapes(
    network: Cnn14, public_file: WeightFile
) -> None:
    state = {**public_file.content["model"], "fc1.weight": torch.zeros(2048, 512)}
    del state["bn0.bias"]
    with pytest.raises(CheckpointError) as caught:
        network.load_weight_file(WeightFile({"model": state}, {}, "Cnn14_16k.pth"))
    assert "fc1.weight: expected [2048, 2048], found [2048, 512]" in str(caught.value)
    assert "bn0.bias: expected [64], missing" in str(caught.value)


def test_silence_is_the_floor_and_a_tone_stands_above_it() -> None:
    log_mel = PannsLogMel()
    time = torch.arange(16000) / 16000
    both = torch.stack([torch.zeros(16000), torch.sin(2 * torch.pi * 1000 * time)])
    silence, tone = log_mel(both)
    assert silence.shape == (1, 101, 64)
    assert torch.all(silence == -100)
    assert tone[0, 50].max() > 0


def test_too_short_sound_is_refused() -> None:
    network = audio.build("panns")
    assert (network.feature_width, network.sample_rate) == (2048, 16000)
    with pytest.raises(AudioFormatError, match="4960"):
        network(torch.zeros(1, 4000))
    with torch.no_grad():
        feature, logits = network(torch.zeros(1, network.minimum_samples))
    assert feature.shape == (1, 2048) and logits.shape == (1, 527)
