"""``avs info``: the same facts for people and for programs."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluation_bags import lamp_scene
from ros_packages import require_ros
from run_command import avs
from without import start_without_ros

import avs_ros
from avs_ros.cli.main import main
from avs_ros.inference.engines import ENGINES
from avs_ros.inference.registry import DEFAULT_MODEL, MODELS


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What ``avs info`` prints, in this process."""
    assert main(["info", *arguments]) == 0
    return capsys.readouterr().out


def test_json_names_every_engine_model_and_device() -> None:
    done = avs("info", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["avs_ros"] == avs_ros.__version__
    assert found["python"] == platform.python_version()
    assert found["packages"]["numpy"] == np.__version__
    assert found["devices"][0]["device"] == "cpu"
    assert found["devices"][0]["threads"] >= 1
    engines = {one["engine"]: one for one in found["engines"]}
    assert set(engines) == set(ENGINES)
    assert engines["torch"]["available"]
    for one in found["engines"]:
        assert one["available"] == (one["lacks"] == "")
    models = {one["model"]: one for one in found["models"]}
    assert set(MODELS) <= set(models)
    assert [name for name, one in models.items() if one["default"]] == [DEFAULT_MODEL]
    assert {name for name, one in models.items() if one["bundled"]} == {
        "c3n_light", "c3n_light_paper", "consensus_cam", "avsc_light"}
    assert "non-commercial" in models["avsc_light"]["licence"]


def test_the_table_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    table = told(capsys)
    for description in (f"avs_ros {avs_ros.__version__}", "ROS 2", "Devices", *ENGINES, *MODELS):
        assert description in table


def test_of_a_model_it_tells_the_gate_in_force(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(told(capsys, "c3n_light", "--json"))
    assert found["model"] == "c3n_light" and "cat" in found["categories"]
    assert list(found["weights"]) == ["c3n_light.safetensors"] and found["licence"]
    assert found["gate"]["hold"]["from"] == "weight file"
    assert found["gate"]["silence_dbfs"] == {"value": -60.0, "from": "default"}
    table = told(capsys, "c3n_light")
    assert all(name in table for name in found["gate"]) and "weight file" in table
    assert main(["info", "kat"]) == 2
    assert "unknown model 'kat'" in capsys.readouterr().err


def test_ros_is_told_where_it_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    require_ros()
    ros = json.loads(told(capsys, "--json"))["ros"]
    assert ros["installed"] and ros["lacks"] == ""
    assert ros["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


# Commands one after another in one process, each with its status and what it says.
IN_TURN = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from avs_ros.cli.main import main
found = []
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(arguments)
    found.append([status, out.getvalue(), err.getvalue()])
print(json.dumps(found))
"""


def test_what_is_missing_of_ros_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag = lamp_scene(tmp_path / "a.mcap", frames=2)
    start_without_ros(tmp_path, monkeypatch)
    out = ("-o", str(tmp_path / "out"))
    needing = [
        ["benchmark", "--node", "--engines", "torch", *out],
        ["evaluate", "bag", str(bag), "--live-only", *out],
    ]
    done = subprocess.run(
        [sys.executable, "-c", IN_TURN,
         json.dumps([["info", "--json"], ["info"], *needing])],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data, table, *refused = json.loads(done.stdout)
    assert (data[0], table[0]) == (0, 0)
    ros = json.loads(data[1])["ros"]
    assert not ros["installed"]
    assert ros["lacks"] == "No module named 'rclpy'"
    assert "not for the nodes: No module named 'rclpy'" in table[1]
    for (verb, *_), (status, _, said) in zip(needing, refused, strict=True):
        assert status == 2, said
        last = said.splitlines()[-1]
        assert last.startswith(
            f"avs {verb}: ROS 2 cannot be used here (No module named 'rclpy'): source ROS 2's")
        assert "Traceback" not in said
