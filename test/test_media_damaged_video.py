"""Damaged, mirrored, joined and oddly named films: what is whole in them is read as it is."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest
from coded_films import film, walk

from avs_ros.errors import MediaError
from avs_ros.streaming.findings import Findings


def places(path: Path, kind: str) -> list[tuple[int, int]]:
    """Position and size of the packets of image or sound in the file."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0] if kind == "video" else container.streams.audio[0]
        return [(one.pos, one.size) for one in container.demux(stream) if one.size]


def damage(path: Path, spot: tuple[int, int], rng: np.random.Generator) -> None:
    data = bytearray(path.read_bytes())
    data[spot[0] : spot[0] + spot[1]] = rng.bytes(spot[1])
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("audio", ["ac3", "aac", "mp2"])
@pytest.mark.parametrize("seed", range(3))
def test_damaged_packets_of_sound_cost_only_themselves(
    tmp_path: Path, audio: str, seed: int
) -> None:
    path = film(tmp_path / "v.mov", audio=audio)
    rng = np.random.default_rng(seed)
    _, shown, heard = walk(path)
    spots = places(path, "audio")
    chosen = sorted(rng.choice(np.arange(4, len(spots) - 4), 3, replace=False))
    times = sorted(heard)
    for number in chosen:
        damage(path, spots[number], rng)
    _, still_shown, still_heard = walk(path)
    assert list(still_shown) == list(shown)
    step = float(np.median(np.diff(times)))
    bad = [times[0] + number * step for number in chosen]
    # A codec's blocks overlap with those beside them.
    whole = [t for t in times if all(abs(t - spoilt) > 3.5 * step for spoilt in bad)]
    assert len(whole) > len(times) // 3
    for time in whole:
        # Some decoders add a little noise of their own, in the order of decoding.
        full = 32768 if heard[time].dtype == np.int16 else 1
        assert np.abs(still_heard[time].astype(float) - heard[time]).max() < 0.01 * full, time
    # What is missing is filled or a gap, and the end is where it was.
    assert max(still_heard) == max(heard)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_packets_of_the_image_cost_only_themselves(tmp_path: Path, seed: int) -> None:
    path = film(tmp_path / "v.mov")
    rng = np.random.default_rng(seed)
    _, shown, heard = walk(path)
    spots = places(path, "video")
    chosen = rng.choice(np.arange(1, len(spots)), 4, replace=False)
    for number in chosen:
        damage(path, spots[number], rng)
    source, still_shown, still_heard = walk(path)
    assert source.counters["broken_packets"] == 4
    metadata = Findings()
    source.tell(metadata)
    assert metadata.packets == len(spots) + len(places(path, "audio"))
    for number, time in enumerate(sorted(shown)):
        if number not in chosen:
            assert np.array_equal(still_shown[time], shown[time])
    assert all(np.array_equal(still_heard[time], heard[time]) for time in heard)


def test_repeated_images_do_not_end_the_stream() -> None:
    """Theora says "as before" with a packet of 0 bytes, which decoders take for the end.

    The file: 2 s of ten images, shown at 25 Hz (ffmpeg's testsrc at 5 Hz, ``-vf fps=25``).
    """
    source, shown, heard = walk(Path(__file__).parent / "data" / "repeated_images.ogv")
    assert source.counters["empty_packets"] + len(shown) >= 49
    assert source.counters["broken_packets"] == 0
    assert min(shown) == 0 and max(shown) >= 1800
    steps = [np.abs(a.astype(int) - b).mean() for a, b in itertools.pairwise(shown.values())]
    assert sum(step > 1 for step in steps) >= 9
    assert max(heard) > 1900


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".avi", ".mov"])
def test_damage_anywhere_gives_a_film_or_one_message(tmp_path: Path, suffix: str) -> None:
    path = film(tmp_path / f"whole{suffix}", 1.0, "mpeg4", "mp2")
    data = path.read_bytes()
    rng = np.random.default_rng(7)
    read = 0
    for _ in range(25):
        spoilt = bytearray(data)
        kind = rng.integers(3)
        at = int(rng.integers(len(data)))
        if kind == 0:
            spoilt = spoilt[:at]
        elif kind == 1:
            for place in rng.integers(0, len(data), 20):
                spoilt[place] ^= 1 << rng.integers(8)
        else:
            length = int(rng.integers(1, 400))
            spoilt[at : at + length] = rng.bytes(min(length, len(spoilt) - at))
        broken = tmp_path / f"broken{suffix}"
        broken.write_bytes(bytes(spoilt))
        try:
            _, shown, _ = walk(broken)
        except MediaError as error:
            assert "\n" not in str(error)
            continue
        read += 1
        assert list(shown) == sorted(shown)
    assert read >= 5


@pytest.mark.parametrize("seed", range(3))
def test_a_film_that_was_cut_short_gives_its_beginning(tmp_path: Path, seed: int) -> None:
    path = film(tmp_path / "v.mkv", 2.0)
    _, shown, heard = walk(path)
    data = path.read_bytes()
    cut = tmp_path / "cut.mkv"
    share = np.random.default_rng(seed).uniform(0.3, 0.9)
    cut.write_bytes(data[: round(share * len(data))])
    _, begun, sound = walk(cut)
    assert len(begun) == pytest.approx(share * len(shown), abs=3)
    assert all(np.array_equal(begun[time], shown[time]) for time in list(begun)[:-1])
    assert all(np.array_equal(sound[time], heard[time]) for time in list(sound)[:-2])
