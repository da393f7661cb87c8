"""``avs info``: the same facts for people and for programs."""

from __future__ import annotations

import json
import platform

import numpy as np
from run_command import avs

import avs_ros
from avs_ros.inference.engines import ENGINES
from avs_ros.inference.registry import DEFAULT_MODEL, MODELS
from avs_ros.middleware import MIDDLEWARE


def test_json_names_every_engine_model_device_and_the_middleware() -> None:
    done = avs("info", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["avs_ros"] == avs_ros.__version__
    assert found["python"] == platform.python_version()
    assert found["packages"]["numpy"] == np.__version__
    assert found["devices"][0]["device"] == "cpu"
    assert found["devices"][0]["threads"] >= 1
    assert found["middleware"]["middleware"] == MIDDLEWARE
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
    for words in (f"avs_ros {avs_ros.__version__}", "Middleware", MIDDLEWARE, "Devices",
                  *ENGINES, *MODELS):
        assert words in done.stdout


def test_a_middleware_that_cannot_be_had_is_told_not_raised(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("AVS_ROS_MIDDLEWARE", "nonsense")
    done = avs("info", "--json")
    assert done.returncode == 0, done.stderr
    middleware = json.loads(done.stdout)["middleware"]
    assert middleware["middleware"] is None
    assert "nonsense" in middleware["lacks"]
