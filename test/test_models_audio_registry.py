"""Every registered audio network keeps the one protocol."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from avs_ros.errors import AudioFormatError, CheckpointError, ModelError
from avs_ros.models import audio

WIDTHS = {"beats": 768, "panns": 2048, "vggish": 128, "efficientat_mn04": 384}


def test_the_four_networks_are_there() -> None:
    assert set(audio.names()) == set(WIDTHS)


@pytest.mark.parametrize("name", sorted(WIDTHS))
def test_one_second_in_feature_and_audioset_logits_out(name: str) -> None:
    network = audio.build(name)
    assert not network.training
    assert network.sample_rate == 16000 and network.feature_width == WIDTHS[name]
    with torch.no_grad():
        feature, logits = network(0.1 * torch.randn(2, 16000))
    assert feature.shape == (2, WIDTHS[name]) and feature.dtype == torch.float32
    assert logits.shape == (2, 527) and logits.dtype == torch.float32
    assert bool(torch.isfinite(feature).all() and torch.isfinite(logits).all())
    with pytest.raises(AudioFormatError, match="NaN"):
        network(torch.full((1, 16000), float("nan")))


def test_unknown_names_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="beats, panns, vggish, efficientat_mn04"):
        audio.build("wav2vec")
    with pytest.raises(CheckpointError, match=r"absent\.pth"):
        audio.build("efficientat_mn04", tmp_path / "absent.pth")
