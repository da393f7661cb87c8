"""``avs info``: the same facts for people and for programs."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import numpy as np
import pytest
from evaluation_bags import lamp_scene
from ros_packages import require_ros
from run_command import avs
from without import start_without_ros

import avs_ros
from avs_ros.inference.engines import ENGINES
from avs_ros.inference.registry import DEFAULT_MODEL, MODELS


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


def test_the_table_says_the_same() -> None:
    done = avs("info")
    assert done.returncode == 0, done.stderr
    for description in (f"avs_ros {avs_ros.__version__}", "ROS 2", "Devices", *ENGINES, *MODELS):
        assert description in done.stdout


def test_of_a_model_it_tells_the_gate_in_force() -> None:
    done = avs("info", "c3n_light", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["model"] == "c3n_light" and "cat" in found["categories"]
    assert list(found["weights"]) == ["c3n_light.safetensors"] and found["licence"]
    assert found["gate"]["hold"]["from"] == "weight file"
    assert found["gate"]["silence_dbfs"] == {"value": -60.0, "from": "default"}
    table = avs("info", "c3n_light").stdout
    assert all(name in table for name in found["gate"]) and "weight file" in table
    assert "unknown model 'kat'" in avs("info", "kat").stderr


def test_ros_is_told_where_it_is_installed() -> None:
    require_ros()
    ros = json.loads(avs("info", "--json").stdout)["ros"]
    assert ros["installed"] and ros["lacks"] == ""
    assert ros["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


def test_what_is_missing_of_ros_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_without_ros(tmp_path, monkeypatch)
    done = avs("info", "--json")
    assert done.returncode == 0, done.stderr
    ros = json.loads(done.stdout)["ros"]
    assert not ros["installed"]
    assert ros["lacks"] == "No module named 'rclpy'"
    assert "not for the nodes: No module named 'rclpy'" in avs("info").stdout


@pytest.mark.parametrize("description", [
    ("benchmark", "--node", "--engines", "torch"), ("evaluate", "bag", "BAG", "--live-only"),
])
def test_what_needs_the_node_says_so_in_one_message(
    description: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag = lamp_scene(tmp_path / "a.mcap", frames=2)
    start_without_ros(tmp_path, monkeypatch)
    done = avs(
        *(str(bag) if word == "BAG" else word for word in description), "-o", tmp_path / "out"
    )
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        f"avs {description[0]}: ROS 2 cannot be used here (No module named 'rclpy'): source ROS "
        f"2's"
    )
    assert "Traceback" not in done.stderr
