"""Loops and clocks of a bag: which sound belongs to which frame, and what is told."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from bag_answers import START, TENTH, answers, lap
from media_files import SECOND, BagMaker, lamp, tone

from avs_ros.evaluation.bag_making import convert_recording
from avs_ros.media.bag import BagOptions, BagSource
from avs_ros.media.source import Frame, Sound, merge
from avs_ros.streaming.findings import Findings


@pytest.mark.parametrize("late", [0.0, 0.45, -0.3])
def test_every_lap_of_a_loop_has_the_same_answers(tmp_path: Path, late: float) -> None:
    """Whichever stream's stamps jump back first."""
    bag = BagMaker(tmp_path / "bag")
    for number in range(3):
        lap(bag, number, late=late)
    found = answers(bag.close())
    assert len(found) == 90
    first, second, third = found[:30], found[30:60], found[60:]
    assert first == second == third
    assert any(sounding for *_, sounding in first)
    assert not first[3][3] and not first[29][3]


def test_sound_that_ends_early_in_each_lap(tmp_path: Path) -> None:
    bag = BagMaker(tmp_path / "bag")
    for number in range(2):
        lap(bag, number, 4.0, sound_s=1.0)
    found = answers(bag.close())
    assert len(found) == 80
    assert found[:40] == found[40:]
    assert found[9][1] > 0.8 and found[39][1] == 0


def events_of(stamps: list[tuple[str, float, float]]) -> list[Frame | Sound]:
    """merge() over (kind, stamp, recorded) in seconds; sound in pieces of 0.1 s."""
    piece = np.zeros(1600, np.float32)
    frames = [(Frame(round(s * 1e9), 0, lamp), round(r * 1e9))
              for kind, s, r in stamps if kind == "frame"]
    sounds = [(Sound(round(s * 1e9), piece, 16000), round(r * 1e9))
              for kind, s, r in stamps if kind == "sound"]
    return list(merge(iter(frames), iter(sounds)))


@pytest.mark.parametrize("which", ["frame", "sound"])
def test_if_one_stream_alone_jumps_the_other_goes_on(which: str) -> None:
    stamps = []
    for i in range(100):
        t = 10 + i / 10
        for kind in ("frame", "sound"):
            stamps.append((kind, t - (5 if kind == which and i >= 50 else 0), t))
    merged = events_of(stamps)
    assert len(merged) == 200
    order = [(type(event).__name__, round(event.stamp_ns / 1e9, 1)) for event in merged]
    for kind in ("Frame", "Sound"):
        assert [t for name, t in order if name == kind] == [
            round(s, 1) for k, s, _ in stamps if k == kind.lower()]
    # Neither waits in memory for the end of the other.
    position = {kind: np.array([n for n, (name, _) in enumerate(order) if name == kind])
                for kind in ("Frame", "Sound")}
    assert np.abs(position["Frame"] - position["Sound"])[:45].max() < 10


@pytest.mark.parametrize("seed", range(5))
def test_loops_of_any_length_pair_every_lap_alike(seed: int) -> None:
    """Random lengths, rates, delays of recording: a frame's sound is that of its own lap."""
    rng = np.random.default_rng(seed)
    stamps: list[tuple[str, float, float]] = []
    begin = 0.0
    lengths = rng.uniform(1.5, 6.0, 4)
    delay = {kind: rng.uniform(0, 0.8) for kind in ("frame", "sound")}
    for length in lengths:
        for t in np.arange(0, length, rng.uniform(0.03, 0.3)):
            stamps.append(("frame", 100 + t, begin + t + delay["frame"]))
        for t in np.arange(0, length, 0.1):
            stamps.append(("sound", 100 + t, begin + t + 0.1 + delay["sound"]))
        begin += length
    merged = events_of(sorted(stamps, key=lambda one: one[2]))
    frame_lap = sound_lap = 0
    last: dict[type, float] = {}
    heard = 0.0
    for event in merged:
        jumped = type(event) in last and event.stamp_ns < last[type(event)] - 500_000_000
        last[type(event)] = event.stamp_ns
        if isinstance(event, Sound):
            sound_lap += jumped
            heard = event.end_ns if jumped else max(heard, event.end_ns)
        else:
            frame_lap += jumped
            assert sound_lap == frame_lap
            # All the lap's sound up to the frame, or the lap's end.
            length = lengths[frame_lap]
            assert heard >= min(event.stamp_ns, round((100 + length) * 1e9) - 100_000_000)
    assert frame_lap == sound_lap == 3


@pytest.mark.parametrize("seed", range(4))
def test_messages_recorded_in_another_order_than_stamped(tmp_path: Path, seed: int) -> None:
    """Each up to 0.24 s late, in two laps of a loop."""
    rng = np.random.default_rng(seed)
    bags = {name: BagMaker(tmp_path / name) for name in ("shuffled", "whole")}
    sound = tone(3.0, on=(0.7, 1.9))
    for number in range(2):
        for i in range(30):
            at = START + i * TENTH
            recorded = at + number * 4 * SECOND
            for name, bag in bags.items():
                late = [int(rng.integers(0, 240_000_000)) if name == "shuffled" else 0
                        for _ in range(2)]
                bag.image(at, lamp(lit=i % 7 != 0), recorded_ns=recorded + late[0])
                bag.raw_audio(at, sound[i * 1600 : (i + 1) * 1600],
                              recorded_ns=recorded + TENTH + late[1])
    shuffled, whole = (answers(bag.close()) for bag in bags.values())
    assert len(whole) == 60
    assert shuffled == whole


def test_a_loop_is_converted_into_one_line_of_time(tmp_path: Path) -> None:
    bag = BagMaker(tmp_path / "bag")
    for number in range(2):
        lap(bag, number)
    source = BagSource(bag.close())
    counts = convert_recording(source, tmp_path / "out.mcap")
    source.close()
    assert counts["frames"] == 60
    made = BagSource(tmp_path / "out.mcap")
    stamps = [event.stamp_ns for event in made.events() if isinstance(event, Frame)]
    sounds = sum(c.msgcount for c in made.connections() if c.topic == "/audio")
    made.close()
    assert counts["sounds"] == sounds
    assert np.diff(stamps) == pytest.approx(TENTH, abs=TENTH)
    found = answers(tmp_path / "out.mcap")
    assert [one[3] for one in found[15:30]] == [one[3] for one in found[45:]]


# ---------------------------------------------------------------------- clocks


def apart(tmp_path: Path, seconds: float) -> BagSource:
    bag = BagMaker(tmp_path / f"bag{seconds}")
    for i in range(50):
        recorded = START + i * TENTH
        bag.image(recorded + round(seconds * SECOND), lamp(), recorded_ns=recorded)
        bag.raw_audio(recorded - TENTH, tone(0.1), recorded_ns=recorded)
    return BagSource(bag.close())


@pytest.mark.parametrize(("seconds", "arguments"), [(37.0, "37.0 s ahead of .* TAI"),
                                                (-5.0, "5.0 s behind"), (3.0, "3.0 s ahead")])
def test_clocks_that_disagree_are_told(tmp_path: Path, seconds: float, arguments: str) -> None:
    source = apart(tmp_path, seconds)
    list(source.events())
    metadata = Findings()
    source.tell(metadata)
    source.close()
    assert metadata.clocks_apart_s == pytest.approx(seconds, abs=0.2)
    (message,) = metadata.explain()
    assert "--stamps bag" in message
    assert re.search(arguments, message)


def test_clocks_that_agree_are_not(tmp_path: Path) -> None:
    source = apart(tmp_path, -0.3)
    list(source.events())
    metadata = Findings()
    source.tell(metadata)
    source.close()
    assert metadata.explain() == []


def test_clocks_that_are_set_while_recording(tmp_path: Path) -> None:
    """A robot that starts in 1970: both streams step ahead by decades; each part has its sound."""
    bag = BagMaker(tmp_path / "bag")
    for i in range(40):
        recorded = START + i * TENTH
        at = recorded if i >= 20 else recorded - START + 100 * SECOND
        bag.image(at, lamp(), recorded_ns=recorded)
        bag.raw_audio(at, tone(0.1), recorded_ns=recorded)
    found = answers(bag.close(), BagOptions())
    assert len(found) == 40
    assert [one[3] for one in found[:20]] == [one[3] for one in found[20:]]
    assert found[-1][1] > 0.9
