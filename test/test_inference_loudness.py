"""When a sound has ended, over a stream of overlapping seconds."""

from __future__ import annotations

import numpy as np
import pytest

from avs_ros.inference.loudness import Ending, Loudest
from avs_ros.segmentation import Float
from avs_ros.sound import level_dbfs

RATE, TENTH = 16000, 100_000_000
SECOND = 10 * TENTH
HALF = RATE // 2


def decaying(seconds: float = 4.0, db_per_s: float = 60.0) -> Float:
    """A tone that is loud for one second and then fades."""
    at = np.arange(int(seconds * RATE)) / RATE
    gain = 10 ** (-db_per_s * np.clip(at - 1.0, 0, None) / 20)
    return np.asarray(0.5 * gain * np.sin(2 * np.pi * 440 * at), np.float32)


def answers(ending: Ending, track: Float, start: int = 0) -> list[bool]:
    """One answer every tenth of a second, from the first whole second on."""
    ends = range(RATE, len(track) + 1, RATE // 10)
    return [ending(start + n * TENTH, track[end - RATE : end]) for n, end in enumerate(ends)]


def test_a_sound_that_goes_on_has_not_ended() -> None:
    tone = decaying(db_per_s=0.0)
    assert not any(answers(Ending(HALF), tone))


def test_a_fading_sound_ends_once() -> None:
    """Within its last second a fade is as loud as its own beginning: it must not start again."""
    ended = answers(Ending(HALF), decaying(3.5, db_per_s=50.0))
    first = ended.index(True)
    assert 0 < first < 15
    assert all(ended[first : first + 10])


def test_a_new_sound_after_it_is_heard_at_once() -> None:
    track = decaying(2.5, db_per_s=200.0)
    again = np.concatenate([track, decaying(1.0)])
    ended = answers(Ending(HALF), again)
    assert ended[14] and not ended[16]


def test_a_softer_sound_counts_once_the_loud_one_is_long_gone() -> None:
    soft = np.float32(0.01) * decaying(5.0, db_per_s=0.0)
    track = np.concatenate([decaying(1.0), soft])
    ended = answers(Ending(HALF), track)
    assert ended[6] and not any(ended[21:])


@pytest.mark.parametrize("how", ["reset", "gap", "backwards"])
def test_another_stream_owes_nothing_to_the_loud_one(how: str) -> None:
    ending = Ending(HALF)
    window = decaying(1.0)
    assert not ending(10 * TENTH, window)
    if how == "reset":
        ending.reset()
    stamp = {"reset": 11, "gap": 20, "backwards": 5}[how] * TENTH
    assert not ending(stamp, np.float32(0.01) * window)


def test_without_a_release_nothing_ends() -> None:
    assert not any(answers(Ending(0), decaying()))


def test_level() -> None:
    assert level_dbfs(np.full(RATE, 0.1, np.float32)) == pytest.approx(-20, abs=1e-3)
    assert level_dbfs(np.zeros(RATE, np.float32)) == -np.inf == level_dbfs(np.zeros(0))


def test_a_pause_is_measured_against_the_loudest_second() -> None:
    loudest = Loudest(memory_s=10.0)
    loud, quiet = np.full(16000, 0.1, np.float32), np.full(16000, 0.01, np.float32)
    assert loudest.drop_db(0, loud) == 0.0
    assert loudest.drop_db(SECOND, quiet) == pytest.approx(-20.0, abs=0.01)
    # The loud second is forgotten after ten, and when time jumps back.
    assert loudest.drop_db(10 * SECOND + 5, quiet) == 0.0
    assert loudest.drop_db(0, quiet) == 0.0
    # Digital silence is compared like anything else.
    nothing = np.zeros(16000, np.float32)
    assert loudest.drop_db(SECOND, nothing) == pytest.approx(-80.0, abs=0.01)
    assert loudest.drop_db(30 * SECOND, nothing) == 0.0
