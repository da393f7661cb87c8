"""``avs convert``: what is written, in which form, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import avsbench_tree
import numpy as np
import pytest
import yaml
from evaluation_bags import lamp_scene
from media_files import write_video
from rosbags.highlevel import AnyReader

from avs_ros.cli.main import main
from avs_ros.evaluation.bag_making import SceneWriter
from avs_ros.evaluation.truth import read_truth
from avs_ros.media.bag import BagSource
from avs_ros.media.source import Frame, Sound


def events(path: Path) -> tuple[list[tuple[int, bytes]], np.ndarray]:
    """Stamps and images, and the sound in one piece."""
    source = BagSource(path)
    found = list(source.events())
    source.close()
    images = [(e.stamp_ns, e.decode().tobytes()) for e in found if isinstance(e, Frame)]
    return images, np.concatenate([e.samples.ravel() for e in found if isinstance(e, Sound)])


def avs(*arguments: object) -> int:
    return main([str(word) for word in arguments])


@pytest.mark.parametrize(("storage", "ending"), [("mcap", ".mcap"), ("sqlite3", ".db3")])
def test_both_storages_hold_the_same(tmp_path: Path, storage: str, ending: str) -> None:
    bag, folder = lamp_scene(tmp_path / "a.mcap", frames=3), tmp_path / "b"
    assert avs("convert", "bag", bag, folder, "--storage", storage) == 0
    (file,) = (path.name for path in folder.iterdir() if path.suffix == ending)
    assert {path.name for path in folder.iterdir()} == {file, "metadata.yaml"}
    before, after = events(bag), events(folder)
    assert before[0] == after[0] and np.array_equal(before[1], after[1])
    truth = read_truth(folder)
    assert truth.keys() == read_truth(bag).keys()
    with AnyReader([folder]) as reader:
        counts = {name: topic.msgcount for name, topic in reader.topics.items()}
    about = yaml.safe_load((folder / "metadata.yaml").read_text())
    found = about["rosbag2_bagfile_information"]
    # What `ros2 bag info` reads; version 8 is the newest that Humble understands.
    assert found["version"] == 8 and found["storage_identifier"] == storage
    assert found["relative_file_paths"] == [file]
    assert found["message_count"] == sum(counts.values())
    assert found["duration"]["nanoseconds"] > 2_000_000_000
    topics = {t["topic_metadata"]["name"]: t for t in found["topics_with_message_count"]}
    assert {name: topic["message_count"] for name, topic in topics.items()} == counts
    for topic in topics.values():
        about = topic["topic_metadata"]
        assert about["serialization_format"] == "cdr"
        assert about["type_description_hash"].startswith("RIHS01_")
        (profile,) = yaml.safe_load(about["offered_qos_profiles"])
        assert profile["reliability"] == 1 and profile["history"] == 1
    # Written again, it takes the place of the old one.
    assert avs("convert", "bag", bag, folder, "--storage", storage) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mcap", "b"]


def test_an_avsbench_set_in_sqlite3(tmp_path: Path) -> None:
    root = avsbench_tree.make_s4(tmp_path / "data", test=1, size=32)
    arguments = ["convert", "avsbench", root, tmp_path / "bags", "--size", "32"]
    assert avs(*arguments, "--storage", "sqlite3") == 0
    (bag,) = (path.parent for path in (tmp_path / "bags").rglob("metadata.yaml"))
    assert bag.name == "test_0" and len(read_truth(bag)) == 5


def test_boxes_of_vggss_are_put_on_the_middle_image(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    write_video(clips / "abc_000030.mp4", seconds=2.0, fps=10)
    entry = {"class": "dog barking", "bbox": [[0.25, 0.5, 0.75, 1.02], [-0.01, 0, 0.25, 0.25]]}
    notes = tmp_path / "vggss.json"
    notes.write_text(json.dumps([{"file": "abc_000030", **entry}, {"file": "gone", **entry}]))
    assert avs("convert", "vggss", clips, tmp_path / "bags", "--boxes", notes) == 0
    (bag,) = (tmp_path / "bags").iterdir()
    ((stamp, truth),) = read_truth(bag).items()
    stamps = [at for at, _ in events(bag)[0]]
    assert stamps.index(stamp) in (9, 10) and len(stamps) == 20
    assert truth.mask is None and truth.labels == ("dog barking", "dog barking")
    assert np.allclose(truth.boxes, [(24, 32, 72, 64), (0, 0, 24, 16)])
    # One file at a time, from a table with times.
    table = tmp_path / "boxes.csv"
    rows = ["file,class,x0,y0,x1,y1,time", "abc_000030,dog,0,0,1,1,0.52", "abc_000030,,,,,,1.5"]
    table.write_text("\n".join(rows))
    arguments = ["convert", "video", clips / "abc_000030.mp4", tmp_path / "one.mcap"]
    assert avs(*arguments, "--boxes", table) == 0
    truths = read_truth(tmp_path / "one.mcap")
    assert [stamps.index(at) for at in truths] == [5, 15]
    assert [len(one.boxes) for one in truths.values()] == [1, 0]


def test_what_cannot_be_converted_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*arguments: object) -> str:
        assert avs("convert", *arguments) == 2
        said = capsys.readouterr().err.strip()
        # A progress bar may stand above it.
        assert said.splitlines()[-1].startswith("avs convert: ") and "Traceback" not in said
        return said

    bag, out = lamp_scene(tmp_path / "a.mcap", frames=2), tmp_path / "out"
    notes = tmp_path / "notes.json"
    assert "is the source itself" in fails("bag", bag, bag)
    assert "no such" in fails("video", tmp_path / "no.mp4", out)
    assert "is a folder" in fails("bag", bag, tmp_path / "b.mcap", "--storage", "sqlite3")
    assert "name the folder" in fails("bag", bag, tmp_path / "b.db3", "--storage", "sqlite3")
    (tmp_path / "full").mkdir()
    assert "is no rosbag2" in fails("bag", bag, tmp_path / "full")
    assert "has no topic /none" in fails("bag", bag, out, "--truth", "/none")
    for text, arguments in (
        ("{", "not JSON"), ("{}", "a list"), ("[]", "no boxes"),
        ('[{"file": "a", "class": "x"}]', "entry 1: no 'bbox'"),
        ('[{"file": "a", "class": "x", "bbox": [[0, 0, 200, 100]]}]', "not pixels"),
        ('[{"file": "a", "class": "x", "bbox": [[0.5, 0, 0.2, 1]]}]', "empty"),
        ('[{"file": "b", "class": "x", "bbox": []}]', "no entry for the file 'a'"),
        ('[{"file": "a", "class": "x", "bbox": []}]', "a ground truth already"),
    ):  # fmt: skip
        notes.write_text(text)
        assert arguments in fails("bag", bag, out, "--boxes", notes)
    notes.write_text('[{"file": "b", "class": "x", "bbox": []}]')
    assert "none of the 1 clips" in fails("vggss", tmp_path, out, "--boxes", notes)
    shutil.rmtree(out)  # the folder of the set that has no clips
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mcap", "full", "notes.json"]


def test_an_error_half_way_leaves_nothing_and_the_older_bag_as_it_was(tmp_path: Path) -> None:
    path = lamp_scene(tmp_path / "a.mcap", frames=2)
    before = path.read_bytes()
    with pytest.raises(RuntimeError), SceneWriter(path) as writer:
        writer.image(1, np.zeros((8, 8, 3), np.uint8))
        raise RuntimeError
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["a.mcap"]
