"""Two runs over the same bags: intervals, refusals, files, page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from avs_ros.cli.main import main
from avs_ros.errors import DatasetError
from avs_ros.evaluation.compare import compare
from avs_ros.evaluation.metrics import paired_difference
from avs_ros.evaluation.run_files import RunRecord, read_run, write_frames, write_metrics
from avs_ros.evaluation.score_sheet import ScoredFrame, ScoreSheet

BAGS = 6
START = 1_700_000_000_000_000_000
TENTH = 100_000_000


def sheet(marked: int) -> ScoreSheet:
    """Six recordings; the lamp sounds from the eleventh frame on, ``marked`` columns of it are
    marked.
    """
    sheet = ScoreSheet()
    truth = np.zeros((48, 64), np.uint8)
    truth[10:30, 20:40] = 1
    answer = truth.copy()
    answer[:, 20 + marked :] = 0
    for number in range(BAGS):
        sheet.begin(f"bag_{number}")
        for n in range(1, 15 + number):
            loud = n >= 11
            sheet.add(
                ScoredFrame(
                    START + n * TENTH, answer * loud, truth * loud,
                    labels=("lamp",) * loud, true_labels=("lamp",) * loud, point=(25, 15),
                )
            )  # fmt: skip
    return sheet


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of a model that marks the whole lamp and of one that marks its left half."""
    folder = tmp_path_factory.mktemp("runs")
    for name, marked in (("good", 20), ("lazy", 10)):
        scores = sheet(marked)
        (folder / name).mkdir()
        write_frames(folder / name / "frames.jsonl", scores.records())
        write_metrics(folder / name, {"frames_file": "frames.jsonl", **scores.result()})
    return folder / "good", folder / "lazy"


def test_a_worse_model_is_shown_to_be_worse(runs: tuple[Path, Path]) -> None:
    good, lazy = (read_run(path) for path in runs)
    found = compare(good, lazy)
    assert found.frames == sum(14 + n for n in range(BAGS)) and len(found.recordings) == BAGS
    sounding = found.scores["m_j_sounding"]
    assert sounding.a == pytest.approx(1.0, abs=1e-6)
    assert sounding.b == pytest.approx(0.5, abs=1e-6)
    assert sounding.clear and sounding.high is not None and sounding.high < -0.4
    assert found.scores["f_sounding"].value < 0 and found.classes["lamp"].value < 0
    assert all(change.iou_b < change.iou_a for change in found.largest[:3])
    # What a run does to itself is nothing.
    same = compare(good, good)
    assert all(d.value == 0 and not d.clear for d in same.scores.values()) and not same.largest


def test_the_command_writes_the_same_page_twice(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = []
    for place in ("x", "y"):
        arguments = [str(runs[0] / "metrics.json"), str(runs[1]), "-o", str(tmp_path / place)]
        assert main(["evaluate", "compare", *arguments]) == 0
        written.append((tmp_path / place / "report.html").read_text())
    assert written[0] == written[1] and "A is better" in written[0]
    assert "B - A" in capsys.readouterr().out
    scores = json.loads((tmp_path / "x" / "comparison.json").read_text())
    assert scores["schema"] == 2 and scores["scores"]["m_j_sounding"]["high"] < 0
    assert sorted(p.name for p in (tmp_path / "x").iterdir()) == ["comparison.json", "report.html"]


def test_different_frames_or_truths_are_refused(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = read_run(runs[0])
    with pytest.raises(DatasetError, match="1 are only in good, 0 only in b"):
        compare(good, RunRecord("b", good.frames[1:]))
    other = [dict(frame) for frame in good.frames]
    other[20]["true_share"] += 0.1
    with pytest.raises(DatasetError, match="different truths"):
        compare(good, RunRecord("b", other))
    with pytest.raises(DatasetError, match="cannot be told apart"):
        compare(good, RunRecord("b", good.frames * 2))
    (tmp_path / "short.jsonl").write_text(json.dumps(good.frames[0]) + "\n")
    arguments = ["evaluate", "compare", str(runs[0]), str(tmp_path / "short.jsonl")]
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 2
    assert "different frames" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "not JSON"), ('{"m_j": 1}', "no schema"), ('{"schema": 99}', "schema 99"),
     ('{"schema": 2}', "frames.jsonl is missing")],
)  # fmt: skip
def test_files_that_are_no_run(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(DatasetError, match=says):
        read_run(tmp_path)


def test_intervals_hold_the_truth_as_often_as_they_promise() -> None:
    rng = np.random.default_rng(5)
    held = 0
    for trial in range(120):
        shift = np.repeat(rng.normal(0.1, 0.2, 40), 5)  # recordings differ, their frames do not
        a = rng.random(200)
        found = paired_difference(
            a, a + shift, np.repeat(np.arange(40), 5), resamples=1000, seed=trial
        )
        assert found is not None and found.low is not None and found.high is not None
        held += found.low <= 0.1 <= found.high
    assert 102 <= held <= 120


def test_few_recordings_give_no_interval_and_nothing_gives_none() -> None:
    values = np.array([0.1, 0.2, 0.4])
    found = paired_difference(values, values + 0.1, np.array([0, 0, 1]))
    assert found is not None and found.low is None and not found.clear
    assert found.value == pytest.approx(0.1)
    assert paired_difference(values, values * np.nan, np.array([0, 0, 1])) is None
