"""Every option of ``avs run`` changes what comes out, or what is said.

``MOVES`` holds a scenario for each option; an option without one fails.
"""

from __future__ import annotations

import argparse
import io
import json
import re
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cat_scenes import RATE, meow, scene_end, two_cats
from fakes import BrightnessSegmenter
from graded_segmenter import GradedSegmenter
from kept_segmenter import KEPT, KeptLight
from media_files import SECOND, BagMaker, lamp, tone, write_video
from rosbags.highlevel import AnyReader

from avs_ros.cli import main as entry
from avs_ros.cli import run as run_verb
from avs_ros.inference import Segmenter
from avs_ros.media.video_writer import VideoWriter
from avs_ros.segmentation import Bytes

# One worker has the shipped model, and what comes out without a change.
pytestmark = KEPT


@dataclass(frozen=True)
class Move:
    """``arguments`` with and without ``change``: what comes out must differ.

    ``recording``: name of a fixture file; ``model``: makes the segmenter.
    """

    change: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    recording: str = "video"
    model: Callable[[], Segmenter] = GradedSegmenter


# Option -> the changes that must be felt (several where both sides of the default matter).
MOVES: dict[str, tuple[Move, ...]] = {
    "input": (Move((), recording="other"),),
    "output": (Move(("-o", "elsewhere")),),
    "model": (Move(("--model", "avsc_light")),),
    "engine": (Move(("--engine", "torch")),),
    "device": (Move(("--device", "cuda:1")),),
    "threads": (Move(("--threads", "2")),),
    "fps": (Move(("--fps", "4")),),
    "start": (Move(("--start", "1")),),
    "duration": (Move(("--duration", "1")),),
    "silence_dbfs": (Move(("--silence-dbfs", "-12")), Move(
        ("--silence-dbfs=-90",), ("--sounding-threshold", "0", "--threshold", "0.4"), "faint")),
    "sounding_threshold": (Move(("--sounding-threshold", "0.8")),
                           Move(("--sounding-threshold", "0.2"))),
    "companion_threshold": (
        Move(("--companion-threshold", "1"), recording="scene", model=KeptLight),),
    "hold": (Move(("--hold", "3")), Move(("--hold", "0"), recording="scene", model=KeptLight)),
    "release": (Move(("--release", "1"), recording="scene", model=KeptLight),
                Move(("--release", "0.2"))),
    "context": (Move(("--context", "0"), recording="scene", model=KeptLight),),
    "audio_period": (Move(("--audio-period", "2"), recording="scene", model=KeptLight),),
    "moving_share": (Move(("--moving-share", "0"), recording="two cats", model=KeptLight),),
    "category_thresholds": (Move(("--category-thresholds", "lamp=0.8")),),
    "threshold": (Move(("--threshold", "0.05")), Move(("--threshold", "0.8"))),
    "hysteresis": (Move(("--hysteresis", "0.4"), ("--threshold", "0.8")),),
    "min_area": (Move(("--min-area", "0.1")), Move(("--min-area", "0"), ("--min-area", "0.02"))),
    "smoothing": (Move(("--smoothing", "0.9")),),
    "max_instances": (Move(("--max-instances", "1")),),
    "labels_keep": (Move(("--labels-keep", "cat")), Move(("--keep", "cat"))),
    "labels_ignore": (Move(("--labels-ignore", "lamp")), Move(("--ignore", "lamp"))),
    "image": (Move(("--image", "/second/image"), recording="bag"),),
    "audio": (Move(("--audio", "/second/audio"), recording="bag"),),
    "stamps": (Move(("--stamps", "bag"), recording="bag"),),
    "audio_rate": (Move(("--audio-rate", "8000"), recording="formatless"),),
    "audio_channels": (Move(("--audio-channels", "2"), recording="formatless"),),
    "audio_format": (Move(("--audio-format", "F32LE"), recording="formatless"),),
    "camera": (Move(("--camera", "/no/second"), ("--camera", "/no/first"), recording="live"),),
    "microphone": (Move(("--microphone", "second"), ("--camera", "VIDEO"), recording="live"),),
    "audio_offset": (Move(("--audio-offset", "0.5")), Move(("--audio-offset=-0.5",))),
    "channel": (Move(("--channel", "2"), recording="stereo"),),
    "all_topics": (Move(("--all-topics",)),),
}


def film(path: Path, frames: list[Bytes], fps: int, sound: np.ndarray, rate: int) -> Path:
    height, width = frames[0].shape[:2]
    channels = 1 if sound.ndim == 1 else sound.shape[1]
    writer = VideoWriter(path, width, height, fps, rate, channels)
    for number, frame in enumerate(frames):
        writer.frame(SECOND + number * SECOND // fps, frame)
    writer.sound(SECOND, sound, rate)
    writer.close()
    return path


def bag(path: Path, formatless: bool) -> Path:
    """Two cameras and two microphones (or one that does not say its format), recorded late."""
    maker = BagMaker(path)
    for number in range(20):
        at = 100 * SECOND + number * SECOND // 10
        # Recorded ever later: by these times frames belong to another second of sound.
        late = at + number * SECOND // 40
        piece = tone(2.0)[number * 1600 :][:1600] * (number % 10 < 5)
        if formatless:
            maker.audio_data_stamped(at, piece)
            maker.image(at, lamp())
            continue
        maker.raw_audio(at, piece, topic="/audio", recorded_ns=late)
        maker.raw_audio(at, piece * 0.2, topic="/second/audio", recorded_ns=late)
        maker.image(at, lamp(), topic="/image", recorded_ns=at)
        maker.image(at, lamp(48, 32), topic="/second/image", recorded_ns=at)
    return maker.close()


def scene_film(path: Path) -> Path:
    """The end of the demo's scene: both sound at once, then nobody does."""
    image, track = scene_end()
    return film(path, [image] * 17, 5, track, RATE)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    folder = tmp_path_factory.mktemp("options")
    sides = np.stack([tone(2.0), 0.1 * tone(2.0)], axis=1)
    makers: dict[str, Callable[[], Path]] = {
        "video": lambda: write_video(folder / "video.mp4", 3.4, on=(1.0, 2.0)),
        "other": lambda: write_video(folder / "other.mp4", 1.0),
        "faint": lambda: film(folder / "faint.mp4", [lamp()] * 15, 10,
                              (1e-3 * tone(1.5)).astype(np.float32), 16000),
        "stereo": lambda: film(folder / "stereo.mp4", [lamp()] * 15, 10, sides, 16000),
        "scene": lambda: scene_film(folder / "scene.mp4"),
        "two cats": lambda: film(folder / "two.mp4", [two_cats(k) for k in range(10)], 5,
                                 np.tile(meow(), 2), RATE),
        "bag": lambda: bag(folder / "bag", formatless=False),
        "formatless": lambda: bag(folder / "formatless", formatless=True),
    }

    @cache
    def made(name: str) -> str:
        return "live" if name == "live" else str(makers[name]())

    return made


def outcome(
    recording: str, arguments: tuple[str, ...], model: Callable[[], Segmenter], folder: Path,
    recordings: Callable[[str], str],
) -> dict[str, Any]:
    """What ``avs run`` leaves and says, without what differs from run to run."""
    asked: dict[str, Any] = {}

    def load(name: str, engine: str, device: str, threads: int | None) -> Segmenter:
        asked.update(model=name, engine=engine, device=device, threads=threads)
        return model()

    folder.mkdir()
    out, err = io.StringIO(), io.StringIO()
    spelt = [recordings("video") if word == "VIDEO" else word for word in arguments]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.setattr(run_verb, "create_segmenter", load)
        status = entry.main(["run", recording, *spelt])
    said = re.sub(r"[0-9.]+ s \([0-9.]+ per second\)", "", out.getvalue() + err.getvalue())
    found: dict[str, Any] = {"status": status, "asked": asked, "said": said}
    for path in sorted(folder.rglob("*")):
        if path.name == "results.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            found["lines"] = [{k: v for k, v in line.items() if k != "ms"} for line in lines]
        elif path.name == "output.mcap":
            with AnyReader([path]) as reader:
                found["topics"] = {k: v.msgcount for k, v in reader.topics.items()}
        elif path.parent.name == "masks":
            found[path.name] = path.read_bytes()
    return found


def options() -> list[str]:
    parser = argparse.ArgumentParser()
    run_verb.add_arguments(parser)
    return sorted(vars(parser.parse_args(["input"])))


def test_the_scenarios_are_those_of_the_options() -> None:
    assert sorted(MOVES) == options(), "each option of `avs run` needs a scenario, and no more"


_unchanged: dict[Any, dict[str, Any]] = {}


def unchanged(
    recording: str, arguments: tuple[str, ...], model: Callable[[], Segmenter], folder: Path,
    recordings: Callable[[str], str],
) -> dict[str, Any]:
    """What comes out without a change; remembered from test to test."""
    known = (recording, arguments, model)
    if known not in _unchanged:
        _unchanged[known] = outcome(recordings(recording), arguments, model, folder, recordings)
    return _unchanged[known]


@pytest.mark.parametrize("option", sorted(MOVES))
def test_an_option_changes_what_comes_out(
    option: str, recordings: Callable[[str], str], tmp_path: Path
) -> None:
    if option == "microphone":
        pytest.importorskip("sounddevice", exc_type=(ImportError, OSError))
    for number, move in enumerate(MOVES[option]):
        recording = "video" if option == "input" else move.recording
        before = unchanged(
            recording, move.arguments, move.model, tmp_path / f"{number}before", recordings)
        after = outcome(
            recordings(move.recording), (*move.arguments, *move.change), move.model,
            tmp_path / f"{number}after", recordings)
        assert before != after, move
        if move.recording != "live":
            assert before["status"] == 0, before["said"]


@pytest.mark.parametrize("known", sorted(
    {(move.recording, move.arguments) for moves in MOVES.values() for move in moves
     if move.model is GradedSegmenter} | {("video", ())}))
def test_without_a_change_nothing_differs(
    known: tuple[str, tuple[str, ...]], recordings: Callable[[str], str], tmp_path: Path
) -> None:
    recording, arguments = known
    first = unchanged(recording, arguments, GradedSegmenter, tmp_path / "first", recordings)
    assert first == outcome(
        recordings(recording), arguments, GradedSegmenter, tmp_path / "second", recordings)


def test_what_a_model_does_not_have_is_said(
    recordings: Callable[[str], str], tmp_path: Path
) -> None:
    found = outcome(recordings("video"), ("--context", "1"), BrightnessSegmenter, tmp_path / "a",
                    recordings)
    assert found["status"] == 2 and "lines" not in found
    assert found["said"].startswith("avs run: model brightness has no context: leave it at")
