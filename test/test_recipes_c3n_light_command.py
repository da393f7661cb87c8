"""``python -m recipes.c3n_light train`` from its command line, on a made-up data set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from light_training_data import CONFIGS, TINY, make_data, make_work
from safetensors.torch import load_file

from avs_ros.models.light.checkpoint import load_light
from avs_ros.models.light.vocabulary import CATEGORY_NAMES
from recipes.c3n_light.__main__ import main
from recipes.c3n_light.export import STARTED_FROM


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_work(tmp_path_factory.mktemp("work"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What a run reads beside the caches: names and the digests of what it started from."""
    folder = tmp_path / "data"
    (folder / "labels").mkdir(parents=True)
    (folder / "labels" / "imagenet1k_names.txt").write_text("name\n" * 1000)
    (folder / "weights").mkdir()
    for name in STARTED_FROM:
        (folder / "weights" / name).write_bytes(b"start")
    return folder


def arguments(data: Path, work: Path, output: Path, config: str, *more: str) -> list[str]:
    settings = [w for name, value in TINY.items() for w in ("--set", f"{name}={value}")]
    return [
        "train", "--config", str(CONFIGS / config), "--data", str(data),
        "--work", str(work), "-o", str(output), "--device", "cpu", *settings, *more,
    ]  # fmt: skip


def test_a_run_from_the_bundled_weights(tmp_path: Path, data: Path, work: Path) -> None:
    output = tmp_path / "run"
    command = arguments(data, work, output, "light_continue.yaml")
    assert main(command) == 0
    made = load_light(output / "c3n_light.safetensors")
    log = made.metadata["provenance"]["log"]
    assert log["stages"]["refine"]["steps"] == 4 and log["device"] == "cpu"
    assert log["cpu_minutes"] >= 0 and log["settings"]["init_from"] == "bundled"
    assert made.network.c3n.image_size == 64
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    assert [line["at"] for line in lines if line["kind"] == "refine"] == [1, 2, 3, 4]
    assert (output / "curves.png").is_file()
    # A second start must not overwrite the run; continuing a finished one repeats nothing.
    assert main(command) == 2
    first = load_file(output / "c3n_light.safetensors")
    assert main([*command, "--resume"]) == 0
    second = load_file(output / "c3n_light.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_of_the_trunk_is_scored(
    tmp_path: Path, work: Path, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    more = ("--set", "gates=strong", "--set", "backbone=frozen")
    (tmp_path / "data").mkdir()
    data = make_data(tmp_path / "data", shared)
    assert main(arguments(data, work, output, "light_trunk.yaml", *more)) == 0
    assert "M_J: 0." in capsys.readouterr().out
    found = json.loads((output / "scores.json").read_text())
    assert found["cost"]["steps"] == 2
    scores = found["scores"]
    assert (scores["matched"], scores["silent"], scores["two"]) == (2, 2, 0)
    assert 0 <= scores["m_j"] <= 1


def test_the_whole_recipe_starts_from_public_classifiers(
    tmp_path: Path, work: Path, shared: Path
) -> None:
    output = tmp_path / "run"
    stages = ("audio", "visual", "joint", "settle", "refine")
    steps = [w for name in stages for w in ("--set", f"{name}_steps=1")]
    more = (*steps, "--set", "audio_batch=2", "--set", "teachers=false")
    assert main(arguments(shared / "data", work, output, "light.yaml", *more)) == 0
    made = load_light(output / "c3n_light.safetensors")
    assert list(made.metadata["provenance"]["log"]["stages"]) == list(stages)
    assert made.categories == CATEGORY_NAMES
    assert made.network.image_size == made.network.c3n.image_size == 64
    assert set(made.metadata["provenance"]["started_from"]) == set(STARTED_FROM)


def test_wrong_verbs_and_settings_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["learn"]) == 2
    assert "choose train, detect, ablate, thresholds" in capsys.readouterr().err
    config = ["--config", str(CONFIGS / "light_trunk.yaml"), "--set", "gates"]
    assert main(["ablate", *config, "--data", str(tmp_path), "-o", str(tmp_path)]) == 2
    assert "write NAME=VALUE" in capsys.readouterr().err


def test_missing_data_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = arguments(tmp_path / "none", tmp_path, tmp_path / "run", "light.yaml")
    assert main(command) == 2
    assert "is no folder" in capsys.readouterr().err
