"""``avs evaluate clips``: boxes at moments, scored as they are defined, on clips made here."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import BrightnessSegmenter
from media_files import write_video

from avs_ros.cli import evaluate_clips
from avs_ros.cli.main import main
from avs_ros.errors import DatasetError
from avs_ros.evaluation.clips import (
    Judged,
    Moment,
    MomentScore,
    Thing,
    by_label,
    read_moments,
    score_moment,
)
from avs_ros.segmentation import Instance, Segmentation

HEAD = ["clip", "time_s", "label", "x0", "y0", "x1", "y1", "role", "sure", "note"]
# The lamp that media_files draws: right third, middle half.
LAMP = (2 / 3, 0.25, 1.0, 0.75)


def table(folder: Path, *rows: list[object]) -> Path:
    path = folder / "boxes.csv"
    with path.open("w", newline="") as lines:
        csv.writer(lines).writerows([HEAD, *rows])
    return path


def evaluate(folder: Path, output: Path, *arguments: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    evaluate_clips.add_arguments(parser)
    args = parser.parse_args([str(folder), "-o", str(output), *arguments])
    assert evaluate_clips.run(args, load=lambda **_: BrightnessSegmenter()) == 0
    about: dict[str, Any] = json.loads((output / "metrics.json").read_text())
    return about


def answer(box: tuple[int, int, int, int] | None, label: str = "dog") -> Segmentation:
    """20 x 10 px; what is in ``box`` is marked, its middle is the point."""
    labels = np.zeros((10, 20), np.uint8)
    instances: tuple[Instance, ...] = ()
    point = None
    if box is not None:
        x0, y0, x1, y1 = box
        labels[y0:y1, x0:x1] = 1
        edges = (float(x0), float(y0), float(x1), float(y1))
        instances = (Instance(1, label, 0.9, edges, int(labels.sum())),)
        point = ((x0 + x1) / 2, (y0 + y1) / 2)
    area = float(labels.mean())
    return Segmentation(
        0, 20, 10, bool(instances), 0.9, label, "Bark", 0.9, instances, point, area,
        labels.astype(np.float32), labels,
    )  # fmt: skip


DOG = Thing("dog", (0.0, 0.0, 0.5, 1.0), "source", True)


@pytest.mark.parametrize(("box", "expected"), [
    ((0, 0, 10, 10), (True, True, True, True)),
    # Half as wide: IoU is a half exactly, and counts.
    ((0, 0, 5, 10), (True, True, True, True)),
    ((0, 0, 4, 10), (False, True, True, True)),
    # Two thirds of the mask lie outside; so does its middle.
    ((6, 0, 18, 10), (False, False, False, True)),
    (None, (False, False, False, None)),
])
def test_what_an_answer_is_worth(box: Any, expected: tuple[Any, ...]) -> None:
    found = score_moment(answer(box), Moment(1.0, (DOG,)))
    assert (found.found, found.touched, found.pointed, found.named) == expected
    assert found.empty is None


def test_players_may_be_marked_and_unsure_sources_are_not_asked_for() -> None:
    player = Thing("person", (0.5, 0.0, 1.0, 1.0), "player", True)
    unsure = Thing("cat", (0.5, 0.0, 1.0, 1.0), "source", False)
    on_player = answer((10, 0, 20, 10), "person")
    for other in (player, unsure):
        found = score_moment(on_player, Moment(1.0, (DOG, other)))
        assert (found.found, found.touched, found.pointed) == (False, True, False)
        assert found.named is False
    assert not Moment(1.0, (unsure,)).scored and Moment(1.0, (DOG, unsure)).scored


def test_each_source_of_a_moment_is_asked_for_by_its_label() -> None:
    cat = Thing("cat", (0.5, 0.0, 1.0, 1.0), "source", True)
    moment, seen = Moment(1.0, (DOG, cat)), answer((0, 0, 10, 10))
    one = Judged("a.mp4", moment, seen, np.zeros((10, 20, 3), np.uint8),
                 score_moment(seen, moment))  # fmt: skip
    assert one.score.found and one.score.ious == (1.0, 0.0)
    assert by_label([one, one]) == {
        "cat": {"found": 0, "count": 2}, "dog": {"found": 2, "count": 2},
    }  # fmt: skip


def test_nothing_visible_means_nothing_marked() -> None:
    nothing = Moment(1.0, ())
    assert score_moment(answer(None), nothing) == MomentScore(empty=True)
    # One hundredth of the image may be marked.
    assert score_moment(answer((0, 0, 2, 1)), nothing).empty is True
    assert score_moment(answer((0, 0, 3, 1)), nothing).empty is False
    assert not Moment(1.0, (), sure=False).scored


def test_clips_are_walked_through_as_a_run_does(tmp_path: Path) -> None:
    """A lamp whose tone sounds from 1 s to 2 s of 3.4 s."""
    write_video(tmp_path / "lamp.mp4", 3.4, fps=10, on=(1.0, 2.0))
    write_video(tmp_path / "dark.mp4", 2.0, fps=10, on=(9.0, 9.5))
    rows = [["lamp.mp4", t, "lamp", *LAMP, "source", 1, ""] for t in (1.5, 1.9)]
    rows += [["lamp.mp4", t, "none", "", "", "", "", "", 1, ""] for t in (0.5, 3.3)]
    rows += [["lamp.mp4", 1.95, "none", "", "", "", "", "", 1, "wrong on purpose"]]
    rows += [["dark.mp4", 9.0, "lamp", *LAMP, "source", 1, "after the end: the last frame"]]
    rows += [["dark.mp4", 0.5, "lamp", *LAMP, "source", 0, ""]]
    table(tmp_path, *rows)
    about = evaluate(tmp_path, tmp_path / "out")
    (one,) = about["models"].values()
    scores = {name: (s["value"], s["count"]) for name, s in one["scores"].items()}
    assert scores["found"] == scores["touched"] == scores["pointed"] == (2 / 3, 3)
    assert scores["named"] == (1, 2) and scores["empty"] == (2 / 3, 3)
    assert one["labels"] == {"lamp": {"found": 2, "count": 3}}
    asked = [(m["clip"], m["time"]) for m in one["moments"]]
    assert asked == [
        ("dark.mp4", 9.0), ("lamp.mp4", 0.5), ("lamp.mp4", 1.5), ("lamp.mp4", 1.9),
        ("lamp.mp4", 1.95), ("lamp.mp4", 3.3),
    ]  # fmt: skip
    assert one["engine"] == "numpy" and about["fps"] == 10
    sheet = cv2.imread(str(tmp_path / "out" / one["sheet"]))
    assert sheet is not None and sheet.shape[0] > 300


def test_an_interval_draws_whole_clips(tmp_path: Path) -> None:
    rows = []
    for number in range(6):
        name = f"{number}.mp4"
        write_video(tmp_path / name, 1.5, fps=4, on=(0.0, 1.5) if number % 2 else (5.0, 6.0))
        rows += [[name, t, "lamp", *LAMP, "source", 1, ""] for t in (1.0, 1.2)]
    table(tmp_path, *rows)
    (one,) = evaluate(tmp_path, tmp_path / "out", "--fps", "4")["models"].values()
    found = one["scores"]["found"]
    assert (found["value"], found["count"]) == (0.5, 12)
    assert found["low"] <= 1 / 6 and found["high"] >= 5 / 6


def test_policy_options_reach_the_marks(tmp_path: Path) -> None:
    write_video(tmp_path / "lamp.mp4", 2.0, fps=5)
    table(tmp_path, ["lamp.mp4", 1.5, "lamp", *LAMP, "source", 1, ""])
    silent = ("--silence-dbfs", "0")
    for arguments, expected in (((), 1.0), (("--ignore", "lamp"), 0.0), (silent, 0.0)):
        (one,) = evaluate(tmp_path, tmp_path / "out", *arguments)["models"].values()
        assert one["scores"]["found"]["value"] == expected


@pytest.mark.parametrize(("row", "message"), [
    (["a.mp4", 1, "dog", 0, 0, 20, 10, "source", 1, ""], "line 2: a box is 0.0, 0.0, 20.0"),
    (["a.mp4", "x", "dog", 0, 0, 1, 1, "source", 1, ""], "line 2: could not convert"),
    (["a.mp4", 1, "dog", 0, 0, 1, 1, "thief", 1, ""], "line 2: role is 'thief'"),
    (["a.mp4", 1, "dog", 0, 0, 1, 1, "source", "yes", ""], "line 2: sure is 'yes'"),
])
def test_a_wrong_row_is_named(tmp_path: Path, row: list[object], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_moments(table(tmp_path, row))


def test_bad_input_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "clips", str(tmp_path), "-o", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "boxes.csv: cannot be read" in capsys.readouterr().err
    table(tmp_path, ["gone.mp4", 1, "dog", 0, 0, 1, 1, "source", 1, ""])
    assert main(arguments) == 2
    assert "gone.mp4 is missing" in capsys.readouterr().err
    assert main([*arguments, "--fps", "0"]) == 2
    assert "--fps is 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
