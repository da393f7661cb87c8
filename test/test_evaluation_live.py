"""Live replay: through a real node over DDS, and what a recording of it comes to."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from evaluation_bags import NODE, START, TENTH, lamp_scene, recorded
from ros_packages import require_ros

from avs_ros.cli import main, recorded_play
from avs_ros.conversions.camera import make_camera_info, make_ray, read_camera_info
from avs_ros.conversions.messages import make_header
from avs_ros.evaluation.live import LiveRun, drops_by_reason, pixel_of
from avs_ros.evaluation.run_files import read_run
from avs_ros.evaluation.score_sheet import ScoreSheet
from avs_ros.evaluation.truth import read_truth
from avs_ros.media.bag_types import BAG

# Four times slower than the images come: frames must be dropped.
SLOW_NODE = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from fakes import BrightnessSegmenter
from avs_ros.nodes.entry_point import run_node
from avs_ros.nodes.segmentation_node import SegmentationNode

class Slow(BrightnessSegmenter):
    def step(self, frame, window, stamp_ns):
        time.sleep(0.4)
        return super().step(frame, window, stamp_ns)

sys.exit(run_node(lambda: SegmentationNode(create_segmenter=lambda parameters: Slow())))
"""


@pytest.mark.xdist_group("live")
def test_a_slow_model_misses_frames_and_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_ros()
    bag = lamp_scene(tmp_path / "lamp.mcap", wrong=False)
    monkeypatch.setattr(recorded_play, "SEGMENTATION_NODE", SLOW_NODE)
    arguments = ["evaluate", "bag", str(bag), "--live-only", "-o", str(tmp_path / "out")]
    assert main.main([*arguments, "--domain", os.environ["ROS_DOMAIN_ID"]]) == 0
    scores = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert scores["schema"] == 2 and scores["mode"] == "live"
    assert scores["frames"] + scores["missed_frames"] == 30
    assert scores["missed_frames"] >= 10 and scores["frames"] >= 2
    assert scores["drops"]["frames dropped: a newer one was ready when the worker became free"] > 5
    assert scores["m_f"] is None  # no probability maps were recorded
    assert 400 <= scores["latency_ms"]["p50"] < 60_000
    assert scores["round_trip_ms"]["p50"] > 300
    frames = read_run(tmp_path / "out").frames
    assert [f["stamp_ns"] for f in frames] == [START + n * TENTH for n in range(1, 31)]
    assert sum(f["answered"] for f in frames) == scores["frames"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "a newer one was ready" in page and "through the node over DDS" in page
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "frames.jsonl", "metrics.json", "report.html"]  # fmt: skip


def test_a_recording_becomes_scores_drops_and_latencies(tmp_path: Path) -> None:
    bag = lamp_scene(tmp_path / "lamp.mcap")
    kept = recorded(tmp_path / "kept.mcap", bag, answered=slice(0, 30, 3))
    live = LiveRun(ScoreSheet())
    live.read(kept, "lamp", NODE, read_truth(bag), rate=2.0)
    scores = live.result(probability=False)
    assert scores["frames"] == 10 and scores["missed_frames"] == 20
    assert scores["m_j_frames"] == pytest.approx(1.0)
    # Of the 20 missed frames, those on which the lamp sounds count as empty answers.
    lost = sum(11 <= n <= 19 for n in range(1, 31) if (n - 1) % 3)
    assert scores["m_j_missed_empty"] == pytest.approx((30 - lost) / 30)
    assert scores["latency_ms"]["p50"] == pytest.approx(30.0)  # 60 ms of a bag at double speed
    assert scores["round_trip_ms"]["p95"] == pytest.approx(30.0)
    assert scores["drops"] == {
        "frames dropped: a newer one was ready when the worker became free": 7,
        "frames that never reached the node's stream (lost on the way, or refused)": 2,
    }
    # The newest mask is an older frame's: wrong where the lamp has just changed.
    assert scores["m_j_at_once"] < 1.0
    assert live.sheet.records()[1]["answered"] is False


def test_points_come_back_from_rays() -> None:
    message = make_camera_info(BAG, make_header(BAG, 1), 64, 48, 1.0)
    for distortion in ([0.0] * 5, [-0.2, 0.05, 0.001, 0.0, 0.0]):
        message.d = distortion
        camera = read_camera_info(message)
        assert pixel_of(camera, camera.ray((50.0, 10.0))) == pytest.approx((50.0, 10.0), abs=0.05)
    assert make_ray(BAG, make_header(BAG, 1), camera.ray((1.0, 2.0))).point.z > 0


def test_counters_that_are_no_trouble_are_no_drops() -> None:
    told = drops_by_reason({"frames_received": 9, "audio_chunks": 99, "audio_gaps": 2}, 9)
    assert told == {"gaps in the sound, filled with zeros": 2}


def test_what_cannot_be_played_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = lamp_scene(tmp_path / "a.mcap", frames=2)
    arguments = ["evaluate", "bag", str(bag), "-o", str(tmp_path / "out")]
    assert main.main([*arguments, "--live", "--rate", "0"]) == 2
    assert "--rate" in capsys.readouterr().err
    assert main.main([*arguments, "--live-only", "--truth", "/none"]) == 2
    assert "no topic /none" in capsys.readouterr().err
    assert main.main([*arguments, "--ray", "127.0.0.1:1"]) == 2
    assert "ray" in capsys.readouterr().err.lower()
    assert not (tmp_path / "out").exists()


def test_precision_and_recall_pool_all_frames() -> None:
    from avs_ros.evaluation.score_sheet import ScoredFrame

    truth = np.zeros((10, 10), np.uint8)
    truth[:, :5] = 1
    sure = np.where(truth > 0, 0.9, 0.2).astype(np.float32)
    sheet = ScoreSheet()
    mask = (sure > 0.5).astype(np.uint8)
    sheet.add(ScoredFrame(1, mask, truth, probability=sure))
    sheet.add(ScoredFrame(2, mask, 0 * truth, probability=sure))  # silent: all of it is wrong
    curve = sheet.precision_recall()
    at = int(np.argmin(np.abs(np.array(curve["threshold"]) - 0.5)))
    assert curve["precision"][at] == pytest.approx(0.5) and curve["recall"][at] == 1.0
    assert curve["precision"][0] == pytest.approx(0.25) and curve["recall"][-1] == 0.0
    assert sheet.average_precision() == pytest.approx(0.5)
