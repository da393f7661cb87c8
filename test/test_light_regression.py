"""The regression gate: what the shipped weights must reach on a small generated set.

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
from avs_ros.inference.light import BUNDLED, LightSegmenter
from avs_ros.models.checkpoints import save_checkpoint
from avs_ros.models.light.checkpoint import load_light, tensors_of

LEAST = {
    "m_j": 0.8,
    "label_accuracy": 1.0,
    "mismatch_empty": 1.0,
    "silence_empty": 1.0,
    "two_share": 0.9,
    "two_answered": 0.75,
    "both_marked": 0.75,
}


def below_least(checkpoint: Path) -> set[str]:
    """Names of the scores that a file does not reach (a score that nothing gave counts as 0)."""
    pytest.importorskip("skimage")
    segmenter = LightSegmenter(checkpoint)
    benchmark = CompositeBenchmark(segmenter)
    cases = make_cases(generated_dataset(), seed=0, limit=4)
    scores = score([benchmark.ask(case) for case in cases])
    segmenter.close()
    return {name for name, least in LEAST.items() if (scores[name] or 0.0) < least}


def bundled() -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    return tensors_of(BUNDLED), dict(load_light(BUNDLED).metadata)


def test_shipped_weights_reach_the_least_values() -> None:
    assert below_least(BUNDLED) == set()


def test_noise_on_the_weights_falls_through(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors, about = bundled()
    noisy = {}
    for name, tensor in tensors.items():
        values = tensor.float()
        noise = torch.randn(values.shape, generator=generator) * values.square().mean().sqrt()
        noisy[name] = (values + 0.1 * noise).half()
    path = tmp_path / "noisy.safetensors"
    save_checkpoint(path, noisy, about)
    assert {"m_j", "two_answered"} <= below_least(path)


def test_a_gate_that_accepts_everything_falls_through(tmp_path: Path) -> None:
    tensors, about = bundled()
    tensors["gate.score.bias"] = tensors["gate.score.bias"] + 20
    path = tmp_path / "credulous.safetensors"
    save_checkpoint(path, tensors, about)
    assert {"mismatch_empty", "two_share"} <= below_least(path)


def test_one_thing_at_a_time_falls_through(tmp_path: Path) -> None:
    tensors, about = bundled()
    calibration = dict(about["calibration"])  # type: ignore[call-overload]
    del calibration["companion_threshold"]
    path = tmp_path / "lonely.safetensors"
    save_checkpoint(path, tensors, {**about, "calibration": calibration})
    assert below_least(path) == {"both_marked"}
