"""``avs info``: the same facts for people and for programs."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import numpy as np
import pytest
from ros_packages import require_ros
from run_command import avs

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
    for words in (f"avs_ros {avs_ros.__version__}", "ROS 2", "Devices", *ENGINES, *MODELS):
        assert words in done.stdout


def test_ros_is_told_where_it_is_installed() -> None:
    require_ros()
    ros = json.loads(avs("info", "--json").stdout)["ros"]
    assert ros["installed"] and ros["lacks"] == ""
    assert ros["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


def test_what_is_missing_of_ros_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vision_msgs.py").write_text("raise ImportError('no vision_msgs here')")
    (tmp_path / "rclpy.py").write_text("raise ImportError('no rclpy here')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(
        filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))))
    done = avs("info", "--json")
    assert done.returncode == 0, done.stderr
    ros = json.loads(done.stdout)["ros"]
    assert not ros["installed"]
    assert ros["lacks"] in ("no rclpy here", "no vision_msgs here")
    assert "not for the nodes" in avs("info").stdout
