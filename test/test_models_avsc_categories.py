"""AudioSet's sounds and the categories that can be segmented."""

from __future__ import annotations

import pytest

from avs_ros.errors import ModelError
from avs_ros.models.avsc.config import (
    MAY_BE,
    ancestors,
    category_map,
    category_set,
    initial_affinity,
    ontology,
)
from avs_ros.models.labels import audioset
from avs_ros.models.light.vocabulary import CATEGORY_NAMES, SOUND_CLASS_CATEGORY, SOUND_CLASS_NAMES


def heard_as(sound: str, sets: str = "light") -> dict[str, float]:
    """Category -> weight of one AudioSet class, zeros left out."""
    known = category_set(sets)
    column = category_map(known.sounds)[:, audioset().index(sound)]
    found: dict[str, float] = {}
    for sound_class, weight in enumerate(column.tolist()):
        name = known.categories[known.sound_class_category[sound_class]]
        found[name] = max(found.get(name, 0.0), weight)
    return {name: weight for name, weight in found.items() if weight}


@pytest.mark.parametrize(
    ("sound", "category"),
    [
        ("Speech", "person"),
        ("Whispering", "person"),
        ("Bark", "dog"),
        ("Meow", "cat"),
        ("Moo", "cow"),
        ("Crowing, cock-a-doodle-doo", "bird"),
        ("Ambulance (siren)", "emergency vehicle"),
        ("Acoustic guitar", "guitar"),
        ("Snare drum", "drum"),
        ("Helicopter", "airplane"),
        ("Machine gun", "gun"),
        ("Computer keyboard", "keyboard"),
    ],
)
def test_a_sound_belongs_to_what_it_lies_beneath(sound: str, category: str) -> None:
    assert heard_as(sound)[category] == 1.0
    assert sum(weight == 1.0 for weight in heard_as(sound).values()) == 1


def test_a_sound_above_may_be_any_of_what_lies_beneath_it() -> None:
    pets = heard_as("Domestic animals, pets")
    assert pets == {"dog": pytest.approx(MAY_BE), "cat": pytest.approx(MAY_BE)}
    vehicle = heard_as("Vehicle")
    assert {"car", "bus", "train", "boat"} <= vehicle.keys()
    assert max(vehicle.values()) <= MAY_BE + 1e-6
    # The further up, the less.
    assert heard_as("Motor vehicle (road)")["car"] > vehicle["car"]


@pytest.mark.parametrize("root", ["Animal", "Music"])
def test_a_root_names_everything_and_so_nothing(root: str) -> None:
    assert heard_as(root) == {}
    assert heard_as(root, "avss") == {}


def test_what_nothing_visible_makes_belongs_to_nothing() -> None:
    for sound in ("Rain", "Wind", "White noise", "Silence", "Thunder"):
        assert heard_as(sound) == {}


def test_ambiguous_sounds_belong_to_every_one_that_makes_them() -> None:
    growl = heard_as("Growling")
    assert growl["dog"] == growl["cat"] == growl["big cat"] == 1.0


def test_the_light_set_is_what_the_light_models_are_trained_on() -> None:
    known = category_set("light")
    assert known.categories == CATEGORY_NAMES
    assert known.sound_classes == SOUND_CLASS_NAMES
    assert known.sound_class_category == SOUND_CLASS_CATEGORY


def test_every_set_names_sounds_that_exist_and_reaches_every_category() -> None:
    for name, count in (("light", 29), ("avss", 70), ("s4", 23)):
        known = category_set(name)
        assert len(known.categories) == count
        assert float(category_map(known.sounds).amax(dim=1).min()) == 1.0


def test_affinity_starts_from_the_map() -> None:
    bark = audioset().index("Bark")
    affinity = initial_affinity(("dog", "Rain", "a thing of ours"))
    assert affinity.shape == (3, 527)
    assert affinity[:, bark].tolist() == [0.0, -7.0, -7.0]
    assert float(affinity[1, audioset().index("Raindrop")]) == 0.0  # by the ontology's own name
    assert float(affinity[2].max()) == -7.0
    # A name means what it means in the set that the others are from: a hen is a bird, or not.
    hen = audioset().index("Cluck")
    assert initial_affinity(("bird", "sheep", "person"))[0, hen] == 0.0
    assert initial_affinity(("bird", "hen", "woman"))[0, hen] < 0.0


def test_every_class_of_audioset_has_its_place_in_the_ontology() -> None:
    parents = ontology()
    for name in audioset().names:
        assert any(not parents[above] for above in ancestors(name))
    with pytest.raises(ModelError, match="Unicorn"):
        ancestors("Unicorn")
    with pytest.raises(ModelError, match="light, avss, s4"):
        category_set("coco")
