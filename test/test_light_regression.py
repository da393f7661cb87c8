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
from avs_ros.inference.light import BUNDLED, create
from avs_ros.models.checkpoints import save_checkpoint
from avs_ros.models.light.checkpoint import load_light, tensors_of

LEAST = {
    "m_j": 0.8,
    "label_accuracy": 1.0,
    # Of four: a cat that fills the image may be the person who speaks.
    "mismatch_empty": 0.75,
    "silence_empty": 1.0,
    "two_share": 0.9,
    "two_answered": 0.75,
}


def scores_of(checkpoint: Path) -> dict[str, float]:
    """What a file scores; a score that nothing gave counts as 0."""
    pytest.importorskip("skimage")
    segmenter = create("c3n_light", "torch", "cpu", checkpoint=checkpoint)
    benchmark = CompositeBenchmark(segmenter)
    cases = make_cases(generated_dataset(), seed=0, limit=4)
    scores = score([benchmark.ask(case) for case in cases])
    segmenter.close()
    return {name: float(value or 0.0) for name, value in scores.items()}


def below_least(checkpoint: Path) -> set[str]:
    """Names of the scores that a file does not reach."""
    scores = scores_of(checkpoint)
    return {name for name, least in LEAST.items() if scores[name] < least}


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


def changed(tmp_path: Path, **parts: dict[str, object]) -> Path:
    """The shipped file with other values in its gate or calibration."""
    tensors, about = bundled()
    told = dict(about["detecting"])  # type: ignore[call-overload]
    for part, values in parts.items():
        told[part] = {**told[part], **values}
    path = tmp_path / "changed.safetensors"
    save_checkpoint(path, tensors, {**about, "detecting": told})
    return path


def test_a_gate_that_accepts_everything_falls_through(tmp_path: Path) -> None:
    assert "mismatch_empty" in below_least(changed(tmp_path, gate={"bias": 20.0}))


def test_the_companion_gate_decides_what_is_marked_beside_the_first(tmp_path: Path) -> None:
    companion = bundled()[1]["detecting"]["gate"]["companion"]  # type: ignore[index]
    bias = companion["bias"] + 6.0
    lenient = changed(tmp_path, gate={"companion": {**companion, "bias": bias}})
    scores = scores_of(lenient)
    # Both are marked whenever one is, also where the other one is silent.
    assert scores["both_marked"] == 1.0 and scores["two_share"] < 0.7
    # The first gate stays as it is.
    assert scores["silence_empty"] == 1.0
    assert scores["mismatch_empty"] >= LEAST["mismatch_empty"]
