"""The recipe of the demo's voices: what they sound like, and that the package has them."""

from __future__ import annotations

import numpy as np

from avs_ros.media.scene import RATE_HZ
from avs_ros.media.scene import voices as kept
from recipes.voices.__main__ import voices
from recipes.voices.phones import meow, say


def test_the_voices_have_their_pitch() -> None:
    def pitch(sound: np.ndarray, low: float, high: float) -> float:
        middle = sound[len(sound) // 3 : len(sound) // 3 + RATE_HZ // 10]
        echo = np.correlate(middle, middle, "full")[len(middle) - 1 :]
        lags = np.arange(int(RATE_HZ / high), int(RATE_HZ / low))
        return RATE_HZ / lags[np.argmax(echo[lags])]

    assert 550 < pitch(meow(1), 300, 1100) < 850
    assert 140 < pitch(say("a: a:", 1), 100, 400) < 320
    assert np.array_equal(meow(3), meow(3))
    assert not np.array_equal(meow(3), meow(4))


def test_the_packages_file_is_what_the_recipe_makes() -> None:
    made, there = voices(), kept()
    assert made.keys() == there.keys()
    for name, samples in made.items():
        assert np.abs(samples).max() < 1.02
        np.testing.assert_allclose(there[name], samples, atol=2e-5)
