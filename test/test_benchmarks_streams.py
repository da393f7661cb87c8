"""Throughput through the pipeline, and latency through the real node."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
from fakes import BrightnessSegmenter
from ros_packages import require_ros

from avs_ros.benchmarks import streams
from avs_ros.benchmarks.plot import plot
from avs_ros.benchmarks.streams import measure_node, measure_throughput
from avs_ros.benchmarks.subject import HEIGHT, WIDTH, SceneStream, Subject
from avs_ros.benchmarks.tables import show
from avs_ros.errors import RosError
from avs_ros.sound import SAMPLE_RATE

SMALL = Subject("pvt_v2_b0", "efficientat_mn04", frames_per_clip=2, image_size=64, channels=16)
MACHINE = {"cpu": "x", "cores": 2, "torch_threads": 1, "gpu": None, "libraries": {}, "load": 0.1}


class SlowSegmenter(BrightnessSegmenter):
    """Takes its time, like a model."""

    def step(self, frame, window, stamp_ns):
        time.sleep(0.02)
        return super().step(frame, window, stamp_ns)


def test_scene_repeats_and_is_heard():
    scene = SceneStream()
    assert scene.frame(3).shape == (HEIGHT, WIDTH, 3) and scene.frame(3).dtype == np.uint8
    assert scene.sound(-100, SAMPLE_RATE).shape == (SAMPLE_RATE,)
    assert np.array_equal(scene.sound(5, 10), scene.sound(5 + 3 * SAMPLE_RATE, 10))
    assert np.abs(scene.sound(0, 3 * SAMPLE_RATE)).max() > 0.01


def test_throughput_accounts_for_every_frame(tmp_path, capsys, monkeypatch):
    model = SlowSegmenter()
    monkeypatch.setattr(streams, "segmenter", lambda *_: model)
    monkeypatch.setenv("COLUMNS", "120")
    found = measure_throughput(Subject(), "auto", "cpu", 0.5, factors=(0.5, 4.0))
    assert found["step_ms"] >= 20 and model.closed
    for run in found["runs"]:
        assert run["offered"] == run["answered"] + run["dropped"]
        assert run["dropped"] == run["dropped_busy"]
        assert run["latency_ms"]["p90"] >= run["latency_ms"]["p50"] > 0
    # Four times too fast: not even half can be answered.
    assert found["runs"][1]["dropped"] > found["runs"][1]["offered"] / 2
    show({"machine": MACHINE, "throughput": found})
    assert "4 x model" in capsys.readouterr().out
    assert plot({"machine": MACHINE, "throughput": found}, tmp_path / "a.png").stat().st_size


def test_through_the_real_node(tmp_path, capsys):
    require_ros()
    said: list[str] = []
    domain = int(os.environ["ROS_DOMAIN_ID"])
    found = measure_node(SMALL, "torch", "cpu", 2, 0.5, said.append, domain)
    assert list(found["states"]) == ["unconfigured", "inactive", "active, idle", "active, 10 Hz"]
    memory = [state["rss_mib"] for state in found["states"].values()]
    assert 0 < memory[0] < memory[1], "the model comes in with configure"
    assert found["states"]["active, 10 Hz"]["sent"] == 5
    assert len(found["ms"]["end_to_end"]["samples"]) == 2
    gaps = np.subtract(
        found["ms"]["end_to_end"]["samples"], found["ms"]["bare_step"]["samples"])
    assert found["overhead_ms"] == pytest.approx(np.median(gaps))
    assert any("end to end" in arguments for arguments in said)
    show({"machine": MACHINE, "node": found})
    assert "unconfigured" in capsys.readouterr().out
    assert plot({"machine": MACHINE, "node": found}, tmp_path / "a.png").stat().st_size


@pytest.mark.slow
def test_a_node_that_cannot_start_is_one_message():
    require_ros()
    with pytest.raises(RosError, match="refuses to configure"):
        measure_node(SMALL, "warp", "cpu", rounds=1, seconds=0.5)
