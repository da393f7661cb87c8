"""Label vocabularies: order, look-up, ambiguity."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from avs_ros.errors import ModelError
from avs_ros.models.labels import audioset, imagenet


def test_vocabularies_have_their_published_size_and_order() -> None:
    assert len(audioset()) == 527
    assert audioset().names[:2] == ("Speech", "Male speech, man speaking")
    assert audioset().ids[0] == "/m/09x0r"
    assert audioset()[526] == "Field recording"
    assert len(imagenet()) == 1000
    assert imagenet().ids[0] == "n01440764"
    assert imagenet()[281] == "tabby"
    assert imagenet()[999] == "toilet tissue"


def test_vocabularies_equal_the_public_lists(shared: Path) -> None:
    folder = shared / "data" / "labels"
    with (folder / "audioset_class_labels_indices.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["display_name"] for row in rows] == list(audioset().names)
    assert [row["mid"] for row in rows] == list(audioset().ids)
    names = (folder / "imagenet1k_names.txt").read_text().splitlines()
    assert names == list(imagenet().names)


def test_short_names_are_unique() -> None:
    assert len(set(imagenet().short_names)) == 1000
    assert len(set(audioset().short_names)) == 527
    assert [n for n in imagenet() if n.startswith("crane")] == [
        "crane (n02012849)",
        "crane (n03126707)",
    ]


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("beagle", 162),
        ("Beagle", 162),
        ("tabby cat", 281),
        ("n02123045", 281),
        ("crane (n03126707)", 517),
        ("sax, saxophone", 776),
        ("saxophone", 776),
    ],
)
def test_imagenet_classes_are_found_by_any_of_their_names(name: str, index: int) -> None:
    assert imagenet().index(name) == index


def test_audioset_classes_are_found_by_name_and_mid() -> None:
    assert audioset().index("Meow") == 83
    assert audioset().index("/m/09x0r") == 0
    assert audioset().index("Male speech, man speaking") == 1


def test_unknown_and_ambiguous_names_are_explained() -> None:
    with pytest.raises(ModelError, match="beagle"):
        imagenet().index("beagel")
    with pytest.raises(ModelError, match="134"):
        imagenet().index("crane")
    # A word inside a comma-separated AudioSet name is not a class.
    with pytest.raises(ModelError):
        audioset().index("man speaking")
