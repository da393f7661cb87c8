"""docs/research/metrics.md names everything that the evaluations write, and nothing else."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import pytest
from evaluation_bags import NODE, lamp_scene, recorded, scene
from fakes import BrightnessSegmenter
from media_files import write_video

from avs_ros.cli import evaluate_clips, evaluate_composite, evaluate_robustness
from avs_ros.cli.evaluate_bag import Outcome
from avs_ros.cli.main import main
from avs_ros.evaluation.live import LiveRun
from avs_ros.evaluation.replay import Replay
from avs_ros.evaluation.score_sheet import ScoreSheet
from avs_ros.evaluation.truth import read_truth

DOCUMENT = Path(__file__).parents[1] / "docs" / "research" / "metrics.md"
# Written by the evaluator node, or only when the run is live alone.
ELSEWHERE = {"source", "malformed_messages", "rate"}


def documented(heading: str) -> tuple[set[str], set[str]]:
    """Names in the tables' first column, and all names, of the section that has ``heading``."""
    sections = re.split(r"^#+ ", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (found,) = (one for one in sections if one and heading in one.splitlines()[0])
    rows = [line.split("|")[1] for line in found.splitlines() if line.startswith("| `")]
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    return names, set(re.findall(r"`(\w+)`", found))


def check(heading: str, written: set[str], elsewhere: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    rows, every = documented(heading)
    assert not written - every, f"not in the document: {sorted(written - every)}"
    assert not rows - written - elsewhere, f"never written: {sorted(rows - written)}"


def command(module: Any, output: Path, *arguments: object) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    args = parser.parse_args([*map(str, arguments), "-o", str(output)])
    assert module.run(args, load=lambda **_: BrightnessSegmenter()) == 0
    found: dict[str, Any] = json.loads((output / "metrics.json").read_text())
    return found


def test_bags_and_comparisons(tmp_path: Path) -> None:
    bag = lamp_scene(tmp_path / "lamp.mcap")
    replay = Replay(BrightnessSegmenter())
    replay.run(bag)
    live = LiveRun(ScoreSheet())
    live.read(recorded(tmp_path / "kept.mcap", bag, answered=slice(0, 30, 2)), "lamp", NODE,
              read_truth(bag))  # fmt: skip
    one = {"lamp": replay.sheet.result()}
    outcome = Outcome("m", 1, "numpy", "numpy", replay.sheet, replay.worst.frames, one, live)
    outcome.write(tmp_path / "out")
    about = json.loads((tmp_path / "out" / "metrics.json").read_text())
    written = {*about, *about["live"], *about["bags"]["lamp"], *about["classes"]["lamp"]}
    written |= {*about["precision_recall"], *about["live"]["latency_ms"]}
    check("`avs evaluate bag`", written, ELSEWHERE)
    lines = (tmp_path / "out" / "frames.jsonl").read_text().splitlines()
    check("`frames.jsonl`", {name for line in lines for name in json.loads(line)})
    other = str(tmp_path / "out" / "frames_live.jsonl")
    arguments = ["evaluate", "compare", str(tmp_path / "out"), other, "-o", str(tmp_path / "both")]
    assert main(arguments) == 0
    found = json.loads((tmp_path / "both" / "comparison.json").read_text())
    check("`avs evaluate compare`", {*found, *found["scores"]["m_j_frames"]})


def test_robustness_and_composites(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    bag = scene(tmp_path / "a.mcap", frames=2)
    about = command(evaluate_robustness, tmp_path / "r", bag, "--only", "silence")
    rows = [row for one in about["models"].values() for row in one["conditions"].values()]
    written = {*about, *about["models"]["c3n_light"], *(name for row in rows for name in row)}
    check("`avs evaluate robustness`", written)
    about = command(evaluate_composite, tmp_path / "c", "--limit", "1")
    one = about["models"]["c3n_light"]
    classes = {name for scores in one["classes"].values() for name in scores}
    check("`avs evaluate composite`", {*about, *one, *one["scores"], *classes})


def test_clips(tmp_path: Path) -> None:
    write_video(tmp_path / "lamp.mp4", 1.5, fps=4)
    head = "clip,time_s,label,x0,y0,x1,y1,role,sure,note"
    rows = ["lamp.mp4,1.0,lamp,0.6,0.2,1.0,0.8,source,1,", "lamp.mp4,1.2,none,,,,,,1,"]
    (tmp_path / "boxes.csv").write_text("\n".join([head, *rows]))
    about = command(evaluate_clips, tmp_path / "out", tmp_path)
    one = about["models"]["c3n_light"]
    names = {*about, *one, *one["scores"], *one["scores"]["found"], *one["moments"][0]}
    table = {*head.split(",")} - {"note"}
    check("`avs evaluate clips`", names | table)
