"""Conversion to bags and deterministic replay, through the command line and the classes."""

from __future__ import annotations

import json
from pathlib import Path

import avsbench_tree
import numpy as np
import pytest
from fakes import BrightnessSegmenter

from avs_ros.cli.main import main
from avs_ros.evaluation.bag_making import SceneWriter
from avs_ros.evaluation.replay import Replay
from avs_ros.evaluation.truth import bags_in, read_truth
from avs_ros.media.bag import BagSource
from avs_ros.media.source import Frame, Sound

START = 1_700_000_000_000_000_000
TENTH = 100_000_000


def lamp_scene(path: Path, *, wrong: bool = False, frames: int = 30, **form: object) -> Path:
    """A lamp that is loud in its second second; ``wrong``: the truth says the dark side sounds."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[10:30, 20:40] = 255
    mask = (picture[..., 0] == 0 if wrong else picture[..., 0] > 0).astype(np.uint8)
    writer = SceneWriter(path, **form)  # type: ignore[arg-type]
    tone = (np.sin(np.arange(16000) * 0.2) * 8000).astype(np.int16)
    for second in range(3):
        sound = tone if second == 1 else np.zeros(16000, np.int16)
        writer.sound(START + second * 10 * TENTH, sound, 16000)
    for n in range(1, frames + 1):
        stamp = START + n * TENTH
        writer.picture(stamp, picture)
        loud = 11 <= n <= 19
        writer.truth(stamp, mask if loud else 0 * mask, ["lamp"] if loud else [])
    writer.close()
    return path


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
    worst = replay.worst()
    assert len(worst) == 10 and worst[0].jpeg[:2] == b"\xff\xd8" and "lamp" in worst[0].words


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


def test_compressed_pictures(tmp_path: Path) -> None:
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
    found = list(bags_in(bags))
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


def test_two_processes_give_the_numbers_of_one(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        lamp_scene(tmp_path / "bags" / f"{name}.mcap" if (tmp_path / "bags").is_dir()
                   else _made(tmp_path / "bags") / f"{name}.mcap", frames=6)  # fmt: skip
    results = []
    for jobs in ("1", "2"):
        output = tmp_path / jobs
        words = ["evaluate", "bag", str(tmp_path / "bags"), "-o", str(output), "--jobs", jobs]
        assert main([*words, "--engine", "torch"]) == 0
        results.append(json.loads((output / "metrics.json").read_text()))
    assert results[0] == results[1]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_videos_and_bags_are_converted(tmp_path: Path) -> None:
    bag = lamp_scene(tmp_path / "a.mcap")
    words = ["convert", "bag", str(bag), str(tmp_path / "b.mcap"), "--audio-type", "RawAudio"]
    assert main(words) == 0
    first, second = BagSource(bag), BagSource(tmp_path / "b.mcap")
    stamps = [[e.stamp_ns for e in s.events() if isinstance(e, Frame)] for s in (first, second)]
    assert stamps[0] == stamps[1]


def test_bad_input_is_one_sentence_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*words: str) -> str:
        assert main(list(words)) == 2
        return capsys.readouterr().err

    (tmp_path / "empty").mkdir()
    assert "no rosbag2" in fails("evaluate", "bag", str(tmp_path / "empty"))
    bag = lamp_scene(tmp_path / "a.mcap", frames=2)
    source = str(tmp_path / "a.mcap")
    assert "no topic /none" in fails("evaluate", "bag", source, "--truth", "/none")
    assert "is the source itself" in fails("convert", "bag", source, str(bag))
    assert "no such" in fails("convert", "video", str(tmp_path / "no.mp4"), str(tmp_path / "x"))
    (tmp_path / "broken.mcap").write_bytes(b"not a bag")
    assert "broken.mcap" in fails("evaluate", "bag", str(tmp_path / "broken.mcap"))
    assert "--jobs" in fails("evaluate", "bag", source, "--jobs", "0")
