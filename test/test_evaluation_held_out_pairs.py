"""Pairs of something seen and something heard that training never puts together."""

from __future__ import annotations

import pytest

from avs_ros.evaluation.composite import SYNTHESISED, held_out, held_out_pairs, kind_of
from avs_ros.models.light.vocabulary import CATEGORY_NAMES, OVERLAPS, SOUND_CLASSES, SOUNDS
from recipes.c3n_light.synthetic_sounds import GENERATORS

CATEGORY_OF_SOUND_CLASS = {sound_class.name: sound_class.category for sound_class in SOUND_CLASSES}


def test_what_the_training_synthesises_is_known() -> None:
    assert set(SYNTHESISED) == set(GENERATORS)


def test_no_pair_that_belongs_together_is_held_out() -> None:
    for sound, (is_sound_class, may_be) in SOUNDS.items():
        for sound_class in (*is_sound_class, *may_be):
            assert not held_out(CATEGORY_OF_SOUND_CLASS[sound_class], sound), (sound_class, sound)
    for held, holder in OVERLAPS:
        one, other = CATEGORY_NAMES[held], CATEGORY_NAMES[holder]
        assert (one, other) not in held_out_pairs() and (other, one) not in held_out_pairs()


def test_every_category_has_its_share_of_held_out_pairs_for_good() -> None:
    pairs = held_out_pairs()
    assert {category for category, _ in pairs} == set(CATEGORY_NAMES)
    # Whoever trained with this list must find it again: it may not change.
    assert len(pairs) == 110
    assert held_out("cat", "dog_bark") and held_out("bird", "speech") and held_out("car", "violin")
    assert not held_out("person", "dog_bark") and not held_out("dog", "speech")


def test_one_sounding_class_has_one_fate_under_all_its_names() -> None:
    assert kind_of("dog_bark") == kind_of("dog") == "dog"
    assert kind_of("rain") == "rain"
    assert held_out("emergency vehicle", "dog") == held_out("emergency vehicle", "dog_bark")
    with pytest.raises(KeyError):
        kind_of("no such sound")
