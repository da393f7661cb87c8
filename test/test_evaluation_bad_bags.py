"""Bags that cannot be scored: one message, exit status 2, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evaluation_bags import lamp_scene
from media_files import SECOND, BagMaker, lamp, tone

from avs_ros.cli.main import main

START = 1_700_000_000 * SECOND
MASK = "/ground_truth/mask"


def truth(bag: BagMaker, stamp_ns: int) -> None:
    mask = np.zeros((64, 96), np.uint8)
    changes = {"encoding": "mono8", "step": 96, "height": 64, "width": 96}
    bag.image(stamp_ns, mask.reshape(64, 96, 1), MASK, data=mask.reshape(-1), **changes)


def made(path: Path, *leave_out: str, sound_ns: int = START, storage: str = "mcap") -> Path:
    bag = BagMaker(path, storage)
    if "image" not in leave_out:
        for i in range(5):
            bag.image(START + i * SECOND // 5, lamp())
    if "audio" not in leave_out:
        for i in range(10):
            bag.raw_audio(
                sound_ns + i * SECOND // 10, tone(0.1), recorded_ns=START + i * SECOND // 10
            )
    if "truth" not in leave_out:
        truth(bag, START + SECOND // 5)
    return bag.close()


def no_masks(path: Path) -> Path:
    bag = BagMaker(path)
    bag._connections[MASK] = bag._writer.add_connection(
        MASK, "sensor_msgs/msg/Image", typestore=bag.types
    )
    bag.image(START, lamp())
    bag.raw_audio(START, tone(0.1))
    return bag.close()


def cut(path: Path, storage: str) -> Path:
    folder = made(path, storage=storage)
    (file,) = (one for one in folder.iterdir() if one.suffix != ".yaml")
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    return folder


def text(path: Path) -> Path:
    path = path.with_suffix(".mcap")
    path.write_text("not a bag")
    return path


def empty(path: Path) -> Path:
    path.mkdir()
    return path


CASES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no images": (lambda path: made(path, "image", "truth"), "no image topic with messages"),
    "no sound": (lambda path: made(path, "audio"), "no sound topic with messages"),
    "no truth": (lambda path: made(path, "truth"), "has no ground truth"),
    "no message of the truth": (no_masks, "there is no message on /ground_truth/mask"),
    "clocks years apart": (
        lambda path: made(path, sound_ns=1_500_000_000 * SECOND), "their clocks disagree"),
    "cut mcap": (lambda path: cut(path, "mcap"), "cannot be read as a rosbag2"),
    "cut db3": (lambda path: cut(path, "sqlite3"), ""),
    "no bag": (text, "cannot be read as a rosbag2"),
    "empty folder": (empty, "holds no rosbag2"),
    "nothing there": (lambda path: path, "no such"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["bag", "robustness"])
@pytest.mark.parametrize("name", CASES)
def test_bad_bags_are_one_message_and_leave_nothing(
    name: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, arguments = CASES[name]
    bag, output = make(tmp_path / "bag"), tmp_path / "out"
    assert main(["evaluate", kind, str(bag), "-o", str(output)]) == 2
    said = capsys.readouterr().err.strip()
    assert arguments in said and bag.name in said
    # A progress bar may stand above it.
    assert said.splitlines()[-1].startswith("avs evaluate: ")
    assert "Traceback" not in said and not output.exists()


def test_a_bad_bag_among_good_ones_is_named_before_anything_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "set").mkdir()
    lamp_scene(tmp_path / "set" / "a.mcap", frames=2)
    made(tmp_path / "set" / "z", "audio")
    arguments = ["evaluate", "bag", str(tmp_path / "set"), "-o", str(tmp_path / "out"), "--model"]
    assert main([*arguments, "no_such_model"]) == 2
    assert "no sound topic" in capsys.readouterr().err


INTERRUPTED = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from fakes import BrightnessSegmenter
from avs_ros.cli import evaluate_bag, main

class Slow(BrightnessSegmenter):
    def step(self, frame, window, stamp_ns):
        print("step", flush=True)
        time.sleep(0.5)
        return super().step(frame, window, stamp_ns)

run = evaluate_bag.run
evaluate_bag.run = lambda args: run(args, load=lambda **_: Slow())
sys.exit(main.main(sys.argv[1:]))
"""


def test_ctrl_c_leaves_older_results_whole(tmp_path: Path) -> None:
    bag, output = lamp_scene(tmp_path / "a.mcap"), tmp_path / "out"
    output.mkdir()
    (output / "metrics.json").write_text("older")
    arguments = [sys.executable, "-c", INTERRUPTED, "evaluate", "bag", str(bag), "-o", str(output)]
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "step\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said
    assert "interrupted" in said
    assert [(p.name, p.read_text()) for p in output.iterdir()] == [("metrics.json", "older")]
