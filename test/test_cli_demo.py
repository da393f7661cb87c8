"""``avs demo``: three processes over DDS, from the scene to film, bag and report."""

from __future__ import annotations

import io
import os
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import av
import numpy as np
import pytest
from demo_command import NODE
from ros_packages import require_ros, ros_drivers_environment
from rosbags.highlevel import AnyReader
from run_command import start
from without import start_without_ros

from avs_ros.cli import recorded_play
from avs_ros.cli.demo_result import judge, summarize
from avs_ros.cli.main import main
from avs_ros.media.recorded_run import RecordedPrediction, RecordedRun, read_run
from avs_ros.media.scene import FPS, turns
from avs_ros.media.source import Sound
from avs_ros.media.video import VideoSource
from avs_ros.ros_installation import python_process

# One worker makes the demo for all tests of this file.
pytestmark = pytest.mark.xdist_group("demo")
COMMAND = Path(__file__).with_name("demo_command.py")
PLAYED_S = 2.5
FILES = ["logs", "output.mcap", "overlay.mp4", "image.jpg", "report.html"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The first seconds through the real node with the brightness model."""
    require_ros()
    folder = tmp_path_factory.mktemp("demo") / "out"
    process = start("demo", "-o", folder, "--duration", str(PLAYED_S),
                    "--domain", os.environ["ROS_DOMAIN_ID"], script=COMMAND)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return folder, out, err


def test_it_ends_by_saying_where_everything_is(demo: tuple[Path, str, str]) -> None:
    folder, out, err = demo
    lines = [line.split() for line in out.splitlines()]
    assert [line[0] for line in lines] == ["video", "bag", "report"]
    for line in lines:
        assert Path(line[1]).is_file()
        assert Path(line[1]).is_absolute()
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert "playing" in err
    assert "Traceback" not in err


def test_the_bag_holds_what_went_over_dds(demo: tuple[Path, str, str]) -> None:
    folder, _, _ = demo
    with AnyReader([folder / "output.mcap"]) as reader:
        counts = {name: info.msgcount for name, info in reader.topics.items()}
        kinds = {name: info.msgtype for name, info in reader.topics.items()}
    assert counts["/image/compressed"] > 0.8 * PLAYED_S * FPS
    assert counts["/audio"] > 55
    for name in ("mask", "label_mask", "detections", "overlay/compressed"):
        assert counts[f"/segmentation_node/{name}"] > 3
    assert counts["/segmentation_node/label_info"] == 1
    assert counts["/diagnostics"] >= 2
    assert kinds["/segmentation_node/detections"] == "vision_msgs/msg/Detection2DArray"


def test_the_masks_belong_to_their_images(demo: tuple[Path, str, str]) -> None:
    folder, _, _ = demo
    run = read_run(folder / "output.mcap", "/segmentation_node", "/image/compressed", "/audio")
    stamps = {stamp for stamp, _ in run.frames}
    assert len(set(run.answers) & stamps) > 3
    # Silent for the first second; the brightness model marks whatever is bright from then on.
    first = run.frames[0][0]
    late = [a for s, a in run.answers.items() if (s - first) * 1e-9 > 1.4]
    marked = [a for a in late if a.label == "lamp" and a.label_mask is not None
              and a.label_mask.any()]
    # On a busy machine sound may come too late for a frame, which then counts as silent.
    assert len(marked) > len(late) / 2
    assert {a.label for a in late} <= {"lamp", ""}
    assert all(a.latency_ms is None or a.latency_ms > 0 for a in late)
    assert run.level_dbfs(first + 2_000_000_000) > -35
    assert run.level_dbfs(first + 200_000_000) < -60


def test_the_film_has_both_panels_and_the_sound(demo: tuple[Path, str, str]) -> None:
    folder, _, _ = demo
    source = VideoSource(folder / "overlay.mp4")
    assert source.info.width == 2 * 640 + 6
    events = list(source.events())
    heard = np.concatenate([e.samples for e in events if isinstance(e, Sound)])[:, 0]
    rate = source.info.audio_rate_hz
    assert np.abs(heard[: round(0.8 * rate)]).max() < 0.02
    assert np.abs(heard[round(1.0 * rate) : round(1.7 * rate)]).max() > 0.2
    with av.open(str(folder / "overlay.mp4")) as container:
        assert float(container.duration) * 1e-6 == pytest.approx(PLAYED_S, abs=0.4)


def test_the_report_tells_of_drops_and_latency(demo: tuple[Path, str, str]) -> None:
    folder, _, _ = demo
    page = (folder / "report.html").read_text()
    for arguments in ("images played", "frames received", "Image to mask, over DDS", "played",
                  "cat sounds alone", "silence: nothing marked", "data:image/jpeg;base64,"):
        assert arguments in page


def test_without_ros_the_scene_goes_through_the_same_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_without_ros(tmp_path, monkeypatch)
    folder = tmp_path / "out"
    process = start("demo", "-o", folder, "--duration", "2.5", script=COMMAND)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert "ROS 2 cannot be used here (No module named 'rclpy')" in err
    assert [line.split()[0] for line in out.splitlines()] == ["video", "bag", "report"]
    run = read_run(folder / "output.mcap", "/segmentation_node", "/image/compressed", "/audio")
    assert len(run.frames) == len(run.answers) == round(2.5 * FPS)  # every one is answered
    late = [run.answers[stamp] for stamp, _ in run.frames[round(1.4 * FPS):]]
    assert all(a.label == "lamp" and a.label_mask is not None and a.label_mask.any()
               for a in late)
    assert run.level_dbfs(run.frames[0][0] + 2_000_000_000) > -35
    page = (folder / "report.html").read_text()
    assert "in one process, without ROS 2" in page and "over DDS" not in page
    assert VideoSource(folder / "overlay.mp4").info.width == 2 * 640 + 6


def test_with_the_other_audio_category_it_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ros_drivers_environment().items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "out"
    process = start("demo", "-o", folder, "--duration", "2.5",
                    "--domain", os.environ["ROS_DOMAIN_ID"], script=COMMAND)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    with AnyReader([folder / "output.mcap"]) as reader:
        kinds = {name: info.msgtype for name, info in reader.topics.items()}
    assert kinds["/audio"] == "audio_common_msgs/msg/AudioDataStamped"
    assert kinds["/audio_info"] == "audio_common_msgs/msg/AudioInfo"
    run = read_run(folder / "output.mcap", "/segmentation_node", "/image/compressed", "/audio")
    assert 1.5 < len(run.sound) / run.rate_hz < 2.8
    assert any(answer.label == "lamp" for answer in run.answers.values())


def demo_here(*arguments: object) -> tuple[int, str, str]:
    """``avs demo`` in this process, as :mod:`demo_command` starts it: status, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorded_play, "SEGMENTATION_NODE", NODE)
        with redirect_stdout(out), redirect_stderr(err):
            status = main(["demo", *map(str, arguments)])
    return status, out.getvalue(), err.getvalue()


def test_a_node_that_dies_is_told_with_its_last_words(tmp_path: Path) -> None:
    require_ros()
    status, out, err = demo_here("-o", tmp_path / "out", "--duration", "2", "--model", "dies",
                                 "--domain", os.environ["ROS_DOMAIN_ID"])
    assert status == 2
    assert out == ""
    assert "segmentation_node has stopped (status 3)" in err
    assert "these are my last words" in err
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_model_that_cannot_be_loaded_is_one_message(tmp_path: Path) -> None:
    require_ros()
    status, _, err = demo_here("-o", tmp_path / "out", "--duration", "2", "--model", "unknown",
                               "--domain", os.environ["ROS_DOMAIN_ID"])
    assert status == 2
    assert "the segmentation node cannot start: no model 'unknown'" in err


def test_a_duration_out_of_range(tmp_path: Path) -> None:
    status, _, err = demo_here("-o", tmp_path / "out", "--duration", "99")
    assert status == 2
    assert "--duration is 99; must be from 2 to 20" in err


def test_a_process_ends_with_its_block_and_is_heard(tmp_path: Path) -> None:
    lines: list[str] = []
    code = ("import os, sys, time; print('words', file=sys.stderr, flush=True); "
            "print(os.environ['WORD'], flush=True); time.sleep(600)")
    with (tmp_path / "log").open("w") as log:
        with python_process(["-c", code], {"WORD": "hello"}, log, lines.append) as sleeper:
            while not lines:
                assert sleeper.poll() is None
                time.sleep(0.01)
        assert sleeper.poll() is not None
    assert lines == ["hello\n"]
    assert (tmp_path / "log").read_text().startswith("words\n")


def recording(mark: str) -> RecordedRun:
    """A recording of a node that always marks this half (or nothing)."""
    run = RecordedRun()
    for i in range(500):
        stamp = 10**9 + i * 40_000_000
        mask = np.zeros((90, 160), np.uint8)
        if mark == "left":
            mask[20:40, 10:60] = 1
        elif mark == "right":
            mask[20:40, 100:150] = 1
        label = "" if mark == "nothing" else "thing"
        run.frames.append((stamp, b""))
        run.answers[stamp] = RecordedPrediction(
            stamp, label, 0.9 if label else 0.0, mask, b"", 30.0
        )
    run.sound = np.zeros(20 * 16000, np.float32)
    run.sound_from_ns = 10**9
    return run


def test_the_judge_counts_the_right_side_and_silence() -> None:
    def told(mark: str) -> dict[str, tuple[int, int]]:
        run = recording(mark)
        stamps = sorted(run.answers)
        times = [(stamp - stamps[0]) * 1e-9 for stamp in stamps]
        arguments = judge(times, [run.answers[one] for one in stamps], turns(), 20.0)
        return {name.split(":")[0]: (int(says.split()[0]), int(says.split()[2]))
                for name, says in arguments.items()}

    left, right, nothing = told("left"), told("right"), told("nothing")
    cat, person, silence = "cat sounds alone", "person sounds alone", "silence"
    assert left[cat][0] == left[cat][1] > 60
    assert left[person][0] == 0 < left[person][1]
    assert right[person][0] == right[person][1] > 60
    assert left[silence][0] == 0 < left[silence][1]
    assert nothing[silence][0] == nothing[silence][1] > 50
    assert nothing[cat][0] == 0


def test_the_summary_of_a_recording() -> None:
    run = recording("left")
    run.diagnostics = {"frames_received": "500", "dropped_busy": "7", "model": "m",
                       "output_hz": "12.0", "frames_paired": "493"}
    summary = summarize(run)
    assert len(summary.times) == 500
    busy = [n for arguments, n in summary.counters.items() if "a newer one was ready" in arguments]
    assert busy == [7]
    assert {name for _, _, name in summary.played} == {"cat", "person", "cat + person"}
    assert summary.latencies_ms == [30.0] * 500
