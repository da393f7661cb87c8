"""Training through the command line, on a tiny data set that the test makes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import avsbench_tree
import pytest
import torch
from safetensors.torch import load_file

from avs_ros.cli.main import main
from avs_ros.errors import ParameterError
from avs_ros.training.config import TrainConfig, load_settings

CONFIGS = Path(__file__).resolve().parents[1] / "config" / "train"
TINY = {
    "visual": "mobilenetv2_100",
    "audio": "efficientat_mn04",
    "channels": "16",
    "image_size": "64",
    "workers": "0",
    "augment": "false",
}


def settings(**values: object) -> list[str]:
    merged = {**TINY, **{k: str(v) for k, v in values.items()}}
    return [word for name, value in merged.items() for word in ("--set", f"{name}={value}")]


def command(root: Path, output: Path, config: str = "ms3.yaml", **values: object) -> list[str]:
    return [
        "train", "c3n", "--config", str(CONFIGS / config), "--data", str(root),
        "-o", str(output), "--device", "cpu", *settings(**values),
    ]  # fmt: skip


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*s[34]*.yaml")), ids=lambda p: p.stem)
def test_shipped_configurations_load(path: Path) -> None:
    config = load_settings(TrainConfig, path)
    assert config.subset == path.stem.split("_")[0]
    heavier = path.stem.startswith("ms3") and path.stem.endswith("beats")
    assert config.bce_weight == (1.5 if heavier else 1.0)


def test_s4_schedule_is_the_published_one() -> None:
    config = load_settings(TrainConfig, CONFIGS / "s4.yaml")
    rates = [config.learning_rate_at(epoch) for epoch in range(config.epochs)]
    assert rates[0] == pytest.approx(9.4e-5)
    assert rates[13] == pytest.approx(1.6e-5)
    assert rates[14:] == pytest.approx([1e-5] * 6)


def test_wrong_settings_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="unknown setting 'epoch'"):
        load_settings(TrainConfig, CONFIGS / "s4.yaml", {"epoch": "3"})
    with pytest.raises(ParameterError, match="epochs is 'many'"):
        load_settings(TrainConfig, CONFIGS / "s4.yaml", {"epochs": "many"})
    with pytest.raises(ParameterError, match="image_size is 100"):
        TrainConfig(image_size=100)
    with pytest.raises(ParameterError, match="no_such"):
        load_settings(TrainConfig, tmp_path / "no_such.yaml")


def test_a_tiny_set_is_learned(tmp_path: Path) -> None:
    root = avsbench_tree.make_ms3(tmp_path / "data", train=2, val=2, size=64)
    # The network is to learn this set by heart: it is validated on what it was trained on.
    meta = root / "Multi-sources" / "ms3_meta_data.csv"
    rows = ["name,split", "train_0,train", "train_1,train", "train_0,val", "train_1,val"]
    meta.write_text("\n".join(rows) + "\n")
    data = root / "Multi-sources" / "ms3_data"
    for name in ("train_0", "train_1"):
        os.symlink(data / "gt_masks" / "train" / name, data / "gt_masks" / "val" / name)
        wav = data / "audio_wav" / "val" / f"{name}.wav"
        os.symlink(data / "audio_wav" / "train" / f"{name}.wav", wav)
    output = tmp_path / "run"
    arguments = command(root, output, channels=32, epochs=42, batch_clips=2, learning_rate=1.5e-3)
    assert main(arguments) == 0
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    assert max(line["val_miou"] for line in lines if line["kind"] == "val") > 0.9
    assert (output / "best.safetensors").is_file() and list((output / "tensorboard").iterdir())
    # a second start without --resume must not overwrite the run
    assert main(arguments) == 2


def wait_for(condition: object, process: subprocess.Popen[bytes], limit_s: float = 120.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():  # type: ignore[operator]
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < end, "nothing was written"
        time.sleep(0.02)


def network_of(output: Path) -> dict[str, torch.Tensor]:
    state = torch.load(output / "state.pt", weights_only=True)
    assert state["progress"]["epoch"] == 2
    return dict(state["network"])


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """As in a process of its own with ``OMP_NUM_THREADS=1``: the same order of every sum."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize(
    "kind", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path, kind: signal.Signals) -> None:
    root = avsbench_tree.make_ms3(tmp_path / "data", train=4, val=1, size=64)
    values = {"epochs": 2, "checkpoint_every": 1, "augment": "true", "accumulate": 2}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    # Only what is killed needs a process of its own.
    process = subprocess.Popen(
        [sys.executable, "-m", "avs_ros.cli", *command(root, cut, **values)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    log = cut / "log.jsonl"
    wait_for(lambda: log.is_file() and len(log.read_text().splitlines()) >= 2, process)
    process.send_signal(kind)
    process.wait(60)
    assert (cut / "state.pt").is_file()
    assert torch.load(cut / "state.pt", weights_only=True)["progress"]["epoch"] < 2
    assert main([*command(root, cut, **values), "--resume"]) == 0
    assert main(command(root, whole, **values)) == 0
    expected, found = network_of(whole), network_of(cut)
    assert expected.keys() == found.keys()
    for name in expected:
        assert torch.equal(expected[name], found[name]), name


def test_ms3_starts_from_a_network_trained_on_s4(tmp_path: Path) -> None:
    s4 = avsbench_tree.make_s4(tmp_path / "s4", train=1, val=1, size=64)
    ms3 = avsbench_tree.make_ms3(tmp_path / "ms3", train=1, val=1, size=64)
    assert main(command(s4, tmp_path / "a", "s4.yaml", epochs=1)) == 0
    start = tmp_path / "a" / "best.safetensors"
    rate = {"learning_rate": 1e-12, "learning_rate_end": 1e-12}
    assert main(command(ms3, tmp_path / "b", epochs=1, init_from=start, **rate)) == 0
    before, after = load_file(start), load_file(tmp_path / "b" / "best.safetensors")
    head = (
        "decoder.path1.fuse.conv1.weight" if "decoder.path1.fuse.conv1.weight" in before else None
    )
    names = [head] if head else [n for n in before if n.startswith("decoder.")]
    assert names
    for name in names:
        assert torch.allclose(before[name], after[name], atol=1e-6), name


def test_two_processes_train_one_network(tmp_path: Path) -> None:
    root = avsbench_tree.make_ms3(tmp_path / "data", train=4, val=2, size=64)
    arguments = command(root, tmp_path / "run", epochs=1)
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, "-m", "avs_ros.cli", *arguments],
        env=environment,
        capture_output=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert done.stdout.decode().count("best M_J on val") == 1
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    steps = [json.loads(line) for line in lines if '"train"' in line]
    assert len(steps) == 2  # four clips, two processes, one clip a step
