"""The regression gate of the second model: what the shipped weights must reach on a small set.

The least values lie below what the weights score, with a margin for other processors; weights that
are spoilt must fall through them.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from avs_ros.evaluation.composite import make_cases
from avs_ros.evaluation.composite_benchmark import CompositeBenchmark
from avs_ros.evaluation.composite_generated import generated_dataset
from avs_ros.evaluation.composite_scores import score
from avs_ros.inference import create_segmenter
from avs_ros.inference.avsc import BUNDLED
from avs_ros.models.avsc import load_avsc, save_avsc

MOST_BYTES = 16 * 2**20
LEAST = {
    "m_j": 0.5,
    "label_accuracy": 1.0,
    "mismatch_empty": 1.0,
    "silence_empty": 1.0,
    "two_share": 0.9,
    "two_answered": 0.75,
}


def below_least(checkpoint: Path) -> set[str]:
    """Names of the scores that a file does not reach (a score that nothing gave counts as 0)."""
    pytest.importorskip("skimage")
    segmenter = create_segmenter(checkpoint, engine="torch", device="cpu")
    benchmark = CompositeBenchmark(segmenter)
    cases = make_cases(generated_dataset(), seed=0, limit=4)
    scores = score([benchmark.ask(case) for case in cases])
    segmenter.close()
    return {name for name, least in LEAST.items() if (scores[name] or 0.0) < least}


def test_shipped_weights_reach_the_least_values() -> None:
    assert below_least(BUNDLED) == set()


def test_file_is_small_and_says_what_it_is() -> None:
    assert BUNDLED.stat().st_size <= MOST_BYTES
    about = load_avsc(BUNDLED).metadata
    assert "non-commercial" in about["licence"]
    assert 0 < about["calibration"]["score"] < 1
    assert about["provenance"]["started_from"] and about["preprocessing"]
    assert len(about["build"]["categories"]) == 29


def test_noise_on_the_weights_falls_through(tmp_path: Path) -> None:
    loaded = load_avsc(BUNDLED)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in loaded.network.parameters():
            size = tensor.square().mean().sqrt()
            tensor += 0.15 * size * torch.randn(tensor.shape, generator=generator)
    path = tmp_path / "noisy.safetensors"
    save_avsc(path, loaded.network, {"calibration": loaded.metadata["calibration"]})
    assert {"m_j", "two_answered"} <= below_least(path)


def test_an_audio_head_that_hears_everything_falls_through(tmp_path: Path) -> None:
    loaded = load_avsc(BUNDLED)
    with torch.no_grad():
        loaded.network.audio_head.affinity.bias += 20
    path = tmp_path / "credulous.safetensors"
    save_avsc(path, loaded.network, {"calibration": loaded.metadata["calibration"]})
    assert {"mismatch_empty", "two_share"} <= below_least(path)
