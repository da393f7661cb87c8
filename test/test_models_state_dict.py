"""Strict loading: every problem named, nothing copied unless everything fits."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from avs_ros.errors import CheckpointError
from avs_ros.models.weight_file import load_state_dict_strictly, read_weight_file


def small_network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_fitting_weights_are_copied() -> None:
    source, target = small_network(), small_network()
    load_state_dict_strictly(target, source.state_dict(), "file.pth")
    assert torch.equal(target[0].weight, source[0].weight)


def test_missing_and_mismatching_tensors_are_named_with_both_shapes() -> None:
    network = small_network()
    before = network[0].bias.clone()
    state = {name: value + 1 for name, value in network.state_dict().items()}
    state["0.weight"] = torch.zeros(2, 5)
    del state["1.running_mean"]
    state["2.extra"] = torch.zeros(4)
    with pytest.raises(CheckpointError) as caught:
        load_state_dict_strictly(network, state, "some/file.pth")
    message = str(caught.value)
    assert "some/file.pth" in message
    assert "0.weight: expected [2, 3], found [2, 5]" in message
    assert "1.running_mean: expected [2], missing" in message
    assert "2.extra: not part of the network, found [4]" in message
    assert torch.equal(network[0].bias, before)


def test_known_extra_tables_and_missing_counters_are_accepted() -> None:
    network = small_network()
    state = dict(network.state_dict())
    del state["1.num_batches_tracked"]
    state["table"] = torch.zeros(4)
    load_state_dict_strictly(network, state, "file.pth", ignore=("table",))


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
def test_tensors_are_found_inside_wrappers_and_module_prefixes(
    tmp_path: Path, wrapper: str | None
) -> None:
    weights = {"module.a.weight": torch.ones(2), "module.b": np.ones(3, np.float32)}
    content = {wrapper: weights, "iteration": 5} if wrapper else weights
    torch.save(content, tmp_path / "weights.pth")
    state = read_weight_file(tmp_path / "weights.pth").state_dict()
    assert sorted(state) == ["a.weight", "b"]
    assert state["b"].shape == (3,)


def test_safetensors_are_recognised_whatever_their_suffix(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "download.bin", metadata={"license": "MIT"})
    file = read_weight_file(tmp_path / "download.bin")
    assert torch.equal(file.state_dict()["a"], torch.ones(2))
    assert file.metadata["license"] == "MIT"


def test_arrays_written_under_numpy_1_are_read(tmp_path: Path) -> None:
    torch.save({"table": np.arange(6, dtype=np.float32)}, tmp_path / "new.pth")
    with (
        zipfile.ZipFile(tmp_path / "new.pth") as new,
        zipfile.ZipFile(tmp_path / "old.pth", "w") as old,
    ):
        for entry in new.infolist():
            data = new.read(entry)
            if entry.filename.endswith("data.pkl"):
                data = data.replace(b"numpy._core.", b"numpy.core.")
            old.writestr(entry.filename, data)
    state = read_weight_file(tmp_path / "old.pth").state_dict()
    assert torch.equal(state["table"], torch.arange(6.0))


class Harmful:
    def __reduce__(self) -> tuple:
        return (print, ("ran code from a weight file",))


def test_code_in_a_weight_file_is_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"a": Harmful()}, tmp_path / "bad.pth")
    with pytest.raises(CheckpointError, match="safely"):
        read_weight_file(tmp_path / "bad.pth")
    assert "ran code" not in capsys.readouterr().out


def test_missing_truncated_and_foreign_files_say_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        read_weight_file(tmp_path / "absent.pth")
    torch.save({"a": torch.ones(1000)}, tmp_path / "whole.pth")
    (tmp_path / "half.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:1500])
    with pytest.raises(CheckpointError, match=r"half\.pth"):
        read_weight_file(tmp_path / "half.pth")
    save_file({"a": torch.ones(1000)}, tmp_path / "whole.safetensors")
    (tmp_path / "half.safetensors").write_bytes(
        (tmp_path / "whole.safetensors").read_bytes()[:100]
    )
    with pytest.raises(CheckpointError, match=r"half\.safetensors"):
        read_weight_file(tmp_path / "half.safetensors")
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    with pytest.raises(CheckpointError, match=r"page\.pth"):
        read_weight_file(tmp_path / "page.pth")
    (tmp_path / "empty.pth").touch()
    with pytest.raises(CheckpointError, match=r"empty\.pth"):
        read_weight_file(tmp_path / "empty.pth")
    torch.save(torch.ones(3), tmp_path / "tensor.pth")
    with pytest.raises(CheckpointError, match="Tensor"):
        read_weight_file(tmp_path / "tensor.pth")
