"""AVSC on AVSBench's layout: binary masks of the sounding object teach segmenter and audio
head.
"""

from __future__ import annotations

import json
from pathlib import Path

import avsbench_tree
import numpy as np
import pytest
import torch

from avs_ros.cli.main import main
from avs_ros.errors import ParameterError
from avs_ros.models.avsc import load_avsc
from avs_ros.training.avsc import BenchSettings
from avs_ros.training.config import load_settings

CONFIGS = Path(__file__).resolve().parents[1] / "config" / "train"


def test_the_shipped_configuration_loads() -> None:
    shipped = load_settings(BenchSettings, CONFIGS / "avsc_pvt.yaml")
    assert (shipped.mode, shipped.subset, shipped.audio) == ("ignore", "s4", "beats")
    with pytest.raises(ParameterError, match="init_from"):
        BenchSettings(mode="pseudo")


def bench(root: Path, output: Path, **values: object) -> list[str]:
    merged = {
        "visual": "mobilenetv2_100", "audio": "efficientat_mn04", "channels": 16,
        "image_size": 64, "queries": 8, "workers": 0, "augment": "false", **values,
    }  # fmt: skip
    sets = [word for name, value in merged.items() for word in ("--set", f"{name}={value}")]
    return [
        "train", "avsc", "--config", str(CONFIGS / "avsc_pvt.yaml"), "--data", str(root),
        "-o", str(output), "--device", "cpu", *sets,
    ]  # fmt: skip


def log(output: Path, kind: str) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def test_avsbench_is_learned_and_carried_on(tmp_path: Path) -> None:
    root = avsbench_tree.make_s4(tmp_path / "s4", train=2, val=2, size=64)
    output = tmp_path / "s4_run"
    arguments = bench(root, output, epochs=8, learning_rate=3e-3, learning_rate_end=1e-3)
    assert main(arguments) == 0
    losses = [line["loss"] for line in log(output, "train")]
    assert losses[-1] < 0.8 * losses[0]
    best, _ = load_avsc(output / "best.safetensors")
    assert best.config.categories == ("dog_barking", "playing_piano")
    assert main(arguments) == 2  # the folder holds a run already

    # MS3 says nothing about classes: the S4 network's audio head alone learns from its masks.
    ms3 = avsbench_tree.make_ms3(tmp_path / "ms3", train=2, val=1, size=64)
    carried = tmp_path / "ms3_run"
    more = {"subset": "ms3", "supervise": "all", "init_from": output / "best.safetensors"}
    assert main(bench(ms3, carried, epochs=2, mode="frozen", **more)) == 0
    old = best.state_dict()
    new = load_avsc(carried / "best.safetensors")[0].state_dict()
    same = {name.split(".")[0] for name in old if torch.equal(old[name], new[name])}
    moved = {name.split(".")[0] for name in old if not torch.equal(old[name], new[name])}
    assert "segmenter" in same - moved and "audio_head" in moved


def test_silent_things_come_from_a_trained_network(tmp_path: Path) -> None:
    root = avsbench_tree.make_s4(tmp_path / "s4", train=2, val=1, size=64)
    first = tmp_path / "first"
    assert main(bench(root, first, epochs=1)) == 0
    second = tmp_path / "second"
    start = {"mode": "pseudo", "init_from": first / "best.safetensors"}
    assert main(bench(root, second, epochs=1, **start)) == 0
    assert np.isfinite(log(second, "train")[-1]["loss"])
