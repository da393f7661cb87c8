"""An empty result whose cause is known says its cause, and the option that helps."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from avs_ros.streaming.findings import Findings
from avs_ros.streaming.inputs import Frame, Pair, Sound

GOOD = {"images_s": (10.0, 20.0), "sounds_s": (9.0, 20.0), "sound_s": 11.0, "frames": 100,
        "loudest_dbfs": -20.0, "silent": 40}


@pytest.mark.parametrize(
    ("changes", "arguments"),
    [
        ({"clocks_apart_s": 37.0}, ["37.0 s ahead of", "TAI", "--stamps bag"]),
        ({"clocks_apart_s": -8.25}, ["8.2 s behind", "--stamps bag"]),
        ({"without_sound": 100, "images_s": (50.0, 60.0)},
         ["100 of 100 images had no sound", "30.0 s after the sound ends", "--audio-offset"]),
        ({"without_sound": 100, "images_s": (1.0, 4.0)}, ["5.0 s before the sound begins"]),
        ({"without_sound": 40}, ["40 of 100 images had no sound", "--audio"]),
        ({"without_sound": 40, "counters": {"audio_restarts": 1}},
         ["the sound's stamps jump back", "--stamps bag"]),
        ({"without_sound": 40, "counters": {"jumps_back": 1}}, ["the images' stamps jump back"]),
        ({"packets": 100, "counters": {"broken_packets": 30}}, ["30 of 100 packets", "damaged"]),
        ({"counters": {"malformed_images": 900}, "reasons": {"malformed_images": "step 5"}},
         ["900 of 1000 images could not be used: step 5"]),
        ({"counters": {"malformed_sounds": 50, "audio_chunks": 50}}, ["50 of 100 sound messages"]),
        ({"counters": {"decode_errors": 25}}, ["25 of 125 images"]),
        ({"counters": {"audio_overlap_samples": 800, "audio_samples": 1000}},
         ["80% of the sound was dropped", "--audio-rate"]),
        ({"counters": {"audio_gap_samples": 16000 * 11}}, ["11.0 s of sound are missing"]),
        ({"counters": {"dropped_out_of_order": 40}}, ["40 of 140 images", "--stamps bag"]),
        ({"mix_dbfs": -70.0, "channels_dbfs": -20.0}, ["cancel each other", "--channel 1"]),
        ({"silent": 100, "loudest_dbfs": -72.4}, ["silence in 100 of 100", "-72 dBFS",
                                                  "--silence-dbfs"]),
        ({"silent": 100, "loudest_dbfs": -math.inf}, ["digital silence"]),
        ({"counters": {"audio_clipped": 500, "audio_samples": 1000}}, ["clipped"]),
        ({"counters": {"audio_nonfinite": 500, "audio_samples": 1000}}, ["NaN"]),
    ],
)
def test_each_cause_has_its_message(changes: dict, arguments: list[str]) -> None:
    told = Findings(**{**GOOD, **changes}).explain()
    assert len(told) == 1
    for word in arguments:
        assert word in told[0]
    assert "\n" not in told[0]


def test_where_all_is_well_nothing_is_told() -> None:
    assert Findings(**GOOD).explain() == []
    assert Findings().explain() == []
    few = {"broken_packets": 1, "malformed_images": 3, "audio_overlap_samples": 5,
           "audio_samples": 1000, "audio_gap_samples": 800, "dropped_duplicate": 2}
    assert Findings(**GOOD, packets=500, counters=few).explain() == []


def test_a_format_in_doubt_is_told_once() -> None:
    counters = {"audio_overlap_samples": 800, "audio_samples": 1000}
    assert Findings(**GOOD, counters=counters, format_doubted=True).explain() == []


def pair(stamp_s: float, coverage: float, level: float) -> Pair:
    frame = Frame.of(round(stamp_s * 1e9), np.zeros((2, 2, 3), np.uint8))
    return Pair(frame, np.zeros(16000, np.float32), coverage, coverage == 1, level, 0.0)


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "uint8"])
@pytest.mark.parametrize(("second", "cancels"), [(-1.0, True), (1.0, False), (0.0, False)])
def test_channels_that_cancel_each_other(dtype: str, second: float, cancels: bool) -> None:
    wave = 0.4 * np.sin(np.arange(16000) / 7)
    both = np.stack([wave, second * wave], axis=1)
    scale, shift = {"int16": (32767, 0), "int32": (2**31 - 1, 0), "float32": (1, 0),
                    "uint8": (127, 128)}[dtype]
    samples = both if dtype == "float32" else np.round(both * scale) + shift
    findings = Findings(-60.0)
    findings.sound(Sound(10**10, samples.astype(dtype), 16000))
    for i in range(10):
        findings.pair(pair(10 + i / 10, 1.0, -80.0 if cancels else -11.0))
    told = findings.explain()
    assert bool(told) == cancels
    if cancels:
        assert "cancel each other" in told[0] and "--channel 1" in told[0]


def test_what_was_collected() -> None:
    findings = Findings(-60.0)
    findings.sound(Sound(5 * 10**9, np.zeros(32000, np.int16), 16000))
    for i in range(20):
        findings.pair(pair(20 + i, 0.0 if i < 15 else 1.0, -math.inf if i < 15 else -70.0))
    observed = findings
    assert (observed.frames, observed.without_sound, observed.silent) == (20, 15, 5)
    assert observed.sounds_s == (5.0, 7.0) and observed.images_s == (20.0, 39.0)
    assert observed.sound_s == 2.0 and observed.loudest_dbfs == -70.0
    (first, second) = findings.explain()
    assert "13.0 s after the sound ends" in first
    assert "silence in 5 of 5" in second


@pytest.mark.parametrize("seed", range(10))
def test_any_counters_give_messages_and_no_error(seed: int) -> None:
    rng = random.Random(seed)
    names = ["broken_packets", "malformed_images", "malformed_sounds", "decode_errors",
             "audio_overlap_samples", "audio_samples", "audio_gap_samples", "audio_clipped",
             "audio_nonfinite", "dropped_out_of_order", "dropped_duplicate", "audio_restarts"]
    for _ in range(50):
        frames = rng.choice([0, 1, 100])
        observed = Findings(
            frames=frames, without_sound=rng.randint(0, frames), silent=rng.randint(0, frames),
            loudest_dbfs=rng.choice([-math.inf, -80.0, -10.0]), sound_s=rng.choice([0.0, 9.0]),
            packets=rng.choice([0, 50]), clocks_apart_s=rng.choice([0.0, 9.0]),
            counters={name: rng.choice([0, 10, 10**6]) for name in names},
        )
        for message in observed.explain():
            assert message and "\n" not in message and not message.endswith(".")
