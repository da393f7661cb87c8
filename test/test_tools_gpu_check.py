"""The tool that runs every engine once for real, where there is no GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

TOOLS = Path(__file__).resolve().parents[1] / "tools"
sys.path.insert(0, str(TOOLS))
from gpu_check import main as gpu_check_main  # noqa: E402

pytestmark = pytest.mark.xdist_group("tools_gpu")


def gpu_check(out: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict]:
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(TOOLS / "gpu_check.sh"), str(out), *arguments], env=environment, check=False,
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    path = out / "gpu_check.json"
    return done, json.loads(path.read_text()) if path.is_file() else {}


def test_the_tool_runs_where_there_is_no_gpu(tmp_path: Path) -> None:
    sections = ("c3n_pvt_panns", "training", "slow engines", "soak")
    done, found = gpu_check(
        tmp_path, "--device", "cpu", "--small", "--soak", "0.5", "--only", ",".join(sections)
    )
    assert "verdict" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "gpu_check.log").read_text() == done.stdout
    assert tuple(found["sections"]) == sections
    engines = found["sections"]["c3n_pvt_panns"]
    assert engines["torch"]["status"] == "agrees" and engines["torch"]["p99_ms"] > 0
    assert engines["torch"]["scene_difference"] <= 1e-4
    # What is not here is told, never left out.
    assert engines["cuda-graph"] == {"status": "absent", "reason": "is not made for cpu"}
    assert "tensorrt" in found["sections"]["slow engines"]["reason"]
    for trainer in ("c3n", "avsc"):
        assert np.isfinite(found["sections"]["training"][trainer]["loss"])
    soak = found["sections"]["soak"]
    assert soak["steps"] >= 10 and soak["changed"] == 0 and len(soak["windows"]) == 10
    assert found["machine"]["gpu"] is None or isinstance(found["machine"]["gpu"], str)


def test_the_tool_says_what_is_missing_or_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*arguments: str) -> tuple[int, str]:
        """In this process, as the script ends; status and words."""
        monkeypatch.setattr(sys, "argv", ["gpu_check.py", str(tmp_path), *arguments])
        return gpu_check_main(), "".join(capsys.readouterr())

    if not torch.cuda.is_available():
        status, said = check()
        assert status == 2 and "device cuda is not there" in said
    status, said = check("--device", "cpu", "--only", "warp")
    assert status == 2 and "unknown section 'warp'; known: c3n_light" in said
    assert not list(tmp_path.iterdir())
    status, said = check("--device", "cpu", "--limit", "1", "--soak", "0")
    found = json.loads((tmp_path / "gpu_check.json").read_text())
    assert {entry["status"] for entry in found["sections"].values()} == {"left out"}
    assert status == 0 and "verdict" in said


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_tool_on_a_cpu(tmp_path: Path) -> None:
    done, found = gpu_check(tmp_path, "--device", "cpu", "--small", "--soak", "1")
    assert found["verdict"]["status"] == "agrees", done.stdout
    forms = found["sections"]["speed"]["forms"]
    assert forms["torch"]["ms"]["ratio"] > 1 and forms["torch"]["difference"] < 1e-3
    assert found["sections"]["node"]["in_process"]["step_ms"] > 0
