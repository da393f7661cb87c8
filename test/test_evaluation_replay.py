"""Conversion to bags and deterministic replay, through the command line and the classes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import avsbench_tree
import numpy as np
import pytest
from evaluation_bags import START, TENTH, lamp_scene
from fakes import BrightnessSegmenter

from avs_ros.cli import evaluate_bag
from avs_ros.cli.main import main
from avs_ros.evaluation.replay import Replay
from avs_ros.evaluation.truth import checked_bags, read_truth
from avs_ros.media.bag import BagSource
from avs_ros.media.source import Frame, Sound


def test_replay_pairs_every_truth_and_gives_the_same_twice(tmp_path: Path) -> None:
    bag = lamp_scene(tmp_path / "lamp.mcap")
    results = []
    for _ in range(2):
        replay = Replay(BrightnessSegmenter())
        assert replay.run(bag) == 30
        results.append(replay.sheet.result())
    assert results[0] == results[1]
    assert results[0]["missed_frames"] == 0
    assert results[0]["m_j_sounding"] > 0.95
    assert results[0]["label_accuracy"] == 1.0 and results[0]["pointing"] == 1.0
    assert results[0]["sync_error_ms"]["p50"] == pytest.approx(0, abs=35)


def test_a_wrong_answer_is_scored_and_shown(tmp_path: Path) -> None:
    replay = Replay(BrightnessSegmenter())
    replay.run(lamp_scene(tmp_path / "lamp.mcap", wrong=True))
    result = replay.sheet.result()
    assert result["m_j_sounding"] < 0.05 and result["pointing"] == 0.0
    worst = replay.worst.frames
    assert len(worst) == 10 and worst[0].jpeg[:2] == b"\xff\xd8" and "lamp" in worst[0].description


@pytest.mark.parametrize("audio_type", ["AudioStamped", "AudioDataStamped", "RawAudio"])
def test_bags_are_read_back_as_they_were_written(tmp_path: Path, audio_type: str) -> None:
    bag = lamp_scene(tmp_path / "a.mcap", audio_type=audio_type)
    source = BagSource(bag)
    events = list(source.events())
    source.close()
    frames = [e for e in events if isinstance(e, Frame)]
    sound = np.concatenate([e.samples.reshape(-1) for e in events if isinstance(e, Sound)])
    assert [f.stamp_ns for f in frames] == [START + n * TENTH for n in range(1, 31)]
    assert sound.size == 48000 and not sound[:16000].any() and abs(int(sound.max()) - 8000) < 3
    assert (frames[0].decode()[10:30, 20:40] == 255).all()
    truth = read_truth(bag)
    assert len(truth) == 30 and truth[START + 15 * TENTH].labels == ("lamp",)


def test_compressed_images(tmp_path: Path) -> None:
    source = BagSource(lamp_scene(tmp_path / "a.mcap", compressed=True, frames=2))
    frame = next(e for e in source.events() if isinstance(e, Frame))
    assert frame.decode()[15:25, 25:35].mean() > 250
    source.close()


def test_avsbench_clips_become_bags_that_can_be_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = avsbench_tree.make_s4(tmp_path / "data", test=2, size=64)
    bags = tmp_path / "bags"
    assert main(["convert", "avsbench", str(root), str(bags), "--size", "64"]) == 0
    found = checked_bags([bags])
    assert [path.stem for path in found] == ["test_0", "test_1"]
    truth = read_truth(found[0])
    assert len(truth) == 5 and all(one.labels == ("dog_barking",) for one in truth.values())
    output = tmp_path / "out"
    assert main(["evaluate", "bag", str(bags), "-o", str(output)]) == 0
    scores = json.loads((output / "metrics.json").read_text())
    assert scores["frames"] == 10 and scores["recordings"] == 2
    assert set(scores["classes"]) == set(avsbench_tree.SOURCES)
    assert "<html" in (output / "report.html").read_text()
    assert f"{scores['m_j']:.4f}" in capsys.readouterr().out


def make_brightness(**_: object) -> BrightnessSegmenter:
    """Other processes find it by this name."""
    return BrightnessSegmenter()


def evaluate(output: Path, *arguments: object) -> bytes:
    parser = argparse.ArgumentParser()
    evaluate_bag.add_arguments(parser)
    args = parser.parse_args([*map(str, arguments), "-o", str(output)])
    assert evaluate_bag.run(args, load=make_brightness) == 0
    return (output / "metrics.json").read_bytes()


def test_the_same_bags_give_the_same_bytes_in_any_number_of_processes(tmp_path: Path) -> None:
    bags = tmp_path / "bags"
    for folder in ("a", "b"):  # the same file name twice
        (bags / folder).mkdir(parents=True)
        lamp_scene(bags / folder / "clip.mcap", wrong=folder == "b", frames=6)
    first, again = (evaluate(tmp_path / name, bags) for name in ("1", "2"))
    assert first == again == evaluate(tmp_path / "3", bags, "--jobs", "2")
    frames = [(tmp_path / name / "frames.jsonl").read_bytes() for name in ("1", "3")]
    assert frames[0] == frames[1]
    names = {json.loads(line)["recording"] for line in frames[0].splitlines()}
    assert names == {"a/clip", "b/clip"}
