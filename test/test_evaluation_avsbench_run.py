from __future__ import annotations

import json
from pathlib import Path

import avsbench_tree
import numpy as np
import pytest
from fakes import BrightnessSegmenter

from avs_ros.cli.main import main
from avs_ros.evaluation.avsbench import read_clips
from avs_ros.evaluation.avsbench_run import Streamed, evaluate_clips
from avs_ros.evaluation.clip_arrays import ClipArrays


class Oracle:
    """Marks the truth, or the opposite."""

    def __init__(self, invert: bool = False) -> None:
        self.invert = invert

    def __call__(self, clip: ClipArrays) -> np.ndarray:
        marked = clip.masks.astype(np.float32)
        return 1 - marked if self.invert else marked


def test_truth_scores_one_and_its_opposite_nothing(tmp_path: Path) -> None:
    clips = read_clips(avsbench_tree.make_s4(tmp_path, test=2, size=64), "s4", "test")
    best = evaluate_clips(Oracle(), clips, size=64)
    assert best.m_j == pytest.approx(1.0, abs=1e-6) and best.m_f == pytest.approx(1.0, abs=1e-6)
    assert best.frames == 10 and best.categories.keys() == set(avsbench_tree.SOURCES)
    worst = evaluate_clips(Oracle(invert=True), clips, size=64)
    assert worst.m_j == 0.0 and worst.m_j_frames == 0.0


def test_train_split_of_s4_counts_annotated_frames_only(tmp_path: Path) -> None:
    clips = read_clips(avsbench_tree.make_s4(tmp_path, train=2, size=64), "s4", "train")
    assert evaluate_clips(Oracle(), clips, size=64).frames == 2


def test_a_segmenter_is_fed_in_order_and_starts_anew_with_each_clip(tmp_path: Path) -> None:
    clips = read_clips(avsbench_tree.make_ms3(tmp_path, test=2, size=64), "ms3", "test")
    segmenter = BrightnessSegmenter()
    evaluate_clips(Streamed(segmenter), clips, size=64)
    assert segmenter.resets == 2
    assert segmenter.stamps == [t * 1_000_000_000 for t in (1, 2, 3, 4, 5)] * 2


def test_command_prints_the_table_and_writes_the_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = avsbench_tree.make_ms3(tmp_path / "data", size=64)
    output = tmp_path / "metrics.json"
    assert main(["evaluate", "avsbench", str(root), "-o", str(output)]) == 0
    scores = json.loads(output.read_text())
    assert (scores["kind"], scores["schema"]) == ("avsbench", 1)
    assert scores["subset"] == "ms3" and scores["clips"] == 1
    shown = capsys.readouterr().out
    assert f"{scores['m_j']:.4f}" in shown and f"{scores['m_f']:.4f}" in shown


def test_command_checks_the_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = avsbench_tree.make_s4(tmp_path, size=32)
    assert main(["evaluate", "avsbench", str(root), "--check"]) == 0
    victim = next((root / "Single-source").rglob("*.wav"))
    victim.unlink()
    assert main(["evaluate", "avsbench", str(root), "--check"]) == 1
    assert victim.name in capsys.readouterr().out.replace("\n", "")


def test_bad_input_is_one_message_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "avsbench", str(tmp_path)]) == 2
    assert "no AVSBench metadata" in capsys.readouterr().err
    root = avsbench_tree.make_s4(tmp_path, size=32)
    missing = str(tmp_path / "none.pth")
    assert main(["evaluate", "avsbench", str(root), "--model", missing]) == 2
    assert "none.pth" in capsys.readouterr().err
