"""``avs run`` on real files: what it writes, what it refuses, and Ctrl-C in the middle."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from media_files import SECOND, BagMaker, lamp, tone, write_bag, write_video
from rosbags.highlevel import AnyReader
from run_here import records, run

from avs_ros.media.source import Frame, Sound
from avs_ros.media.video import VideoSource

pytestmark = pytest.mark.xdist_group("cli_run")
KEYS = {"index", "time", "sounding", "score", "label", "audio_label", "point", "area",
        "instances", "ms"}
STAGES = {"decode", "step", "postprocess"}
FILES = ["masks", "output.mcap", "overlay.mp4", "report.html", "results.jsonl"]


@pytest.fixture(scope="module")
def lamp_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A video whose tone sounds from 1 s to 2 s of 3.4 s, and the folder of its run."""
    folder = tmp_path_factory.mktemp("run")
    video = write_video(folder / "lamp.mp4", 3.4, fps=10, rate=22050, on=(1.0, 2.0))
    status, out, err = run(video, "-o", folder / "out")
    assert status == 0, err
    assert "34 frames" in out
    for name in FILES:
        assert str(folder / "out" / name) in out
    return video, folder / "out"


def test_it_writes_what_it_promises(lamp_run: tuple[Path, Path]) -> None:
    _, folder = lamp_run
    assert sorted(path.name for path in folder.iterdir()) == FILES
    lines = records(folder)
    assert [line["index"] for line in lines] == list(range(34))
    assert [line["time"] for line in lines] == pytest.approx([i / 10 for i in range(34)], abs=1e-3)
    for line in lines:
        assert set(line) == KEYS
        assert set(line["ms"]) >= STAGES
        assert 0 <= line["score"] <= 1
        assert line["sounding"] == bool(line["instances"]) == (line["point"] is not None)


def test_the_lamp_is_marked_while_it_can_be_heard(lamp_run: tuple[Path, Path]) -> None:
    _, folder = lamp_run
    lines = records(folder)
    # The window is the second that ends at the frame: sound from 1 s to 2 s is in it until 3 s.
    assert not any(line["sounding"] for line in lines[:10])
    assert all(line["sounding"] for line in lines[12:29])
    assert not any(line["sounding"] for line in lines[32:])
    shining = lines[20]
    assert shining["label"] == "lamp"
    assert shining["audio_label"] == "Buzz"
    x0, y0, x1, y1 = shining["instances"][0]["box"]
    assert (x0, y0, x1, y1) == pytest.approx((64, 16, 96, 48), abs=2)
    assert x0 < shining["point"][0] < x1
    assert y0 < shining["point"][1] < y1
    assert shining["area"] == pytest.approx(1 / 6, abs=0.01)


def test_masks_have_the_input_size_and_two_values(lamp_run: tuple[Path, Path]) -> None:
    _, folder = lamp_run
    names = sorted(path.name for path in (folder / "masks").iterdir())
    assert names == [f"{i:06d}.png" for i in range(34)]
    for name in ("000005.png", "000020.png"):
        mask = cv2.imread(str(folder / "masks" / name), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (64, 96)
        assert set(np.unique(mask)) <= {0, 255}
    assert mask.mean() / 255 == pytest.approx(records(folder)[20]["area"], abs=1e-4)


def test_the_overlay_keeps_size_frames_and_sound(lamp_run: tuple[Path, Path]) -> None:
    video, folder = lamp_run

    def loudness(path: Path) -> tuple[int, list[float]]:
        source = VideoSource(path)
        events = list(source.events())
        frames = [e for e in events if isinstance(e, Frame)]
        assert (source.info.width, source.info.height) == (96, 64)
        heard = np.concatenate([e.samples for e in events if isinstance(e, Sound)])[:, 0]
        step = source.info.audio_rate_hz // 10
        parts = heard[: len(heard) // step * step].reshape(-1, step)
        return len(frames), [float(v) for v in np.sqrt((parts**2).mean(axis=1))]

    (frames, before), (count, after) = loudness(video), loudness(folder / "overlay.mp4")
    assert count == frames == 34
    assert after[:33] == pytest.approx(before[:33], abs=0.02)


def test_the_bag_has_the_topics_of_the_node_with_the_frames_stamps(
    lamp_run: tuple[Path, Path],
) -> None:
    _, folder = lamp_run
    lines = records(folder)
    with AnyReader([folder / "output.mcap"]) as reader:
        counts = {name: info.msgcount for name, info in reader.topics.items()}
        for name in ("mask", "label_mask", "detections", "overlay/compressed"):
            assert counts[f"/segmentation_node/{name}"] == 34
        assert counts["/segmentation_node/label_info"] == 1
        assert "/segmentation_node/probability" not in counts
        masks, detections = [], []
        for connection, stamp, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            if hasattr(message, "header"):
                header = message.header.stamp
                assert header.sec * SECOND + header.nanosec == stamp
            if connection.topic.endswith("/mask"):
                masks.append((stamp, message))
            if connection.topic.endswith("/detections"):
                detections.append(message)
    times = [(stamp - masks[0][0]) * 1e-9 for stamp, _ in masks]
    assert times == pytest.approx([line["time"] for line in lines], abs=1e-5)
    mask = cv2.imread(str(folder / "masks" / "000020.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(masks[20][1].data.reshape(64, 96), mask)
    assert masks[20][1].encoding == "mono8"
    found = detections[20].detections[0]
    assert found.results[0].hypothesis.class_id == "lamp"
    assert (found.id, len(detections[5].detections)) == ("1", 0)


def test_two_runs_give_the_same_answers(lamp_run: tuple[Path, Path], tmp_path: Path) -> None:
    video, folder = lamp_run
    assert run(video, "-o", tmp_path / "again")[0] == 0

    def without_times(path: Path) -> list[dict]:
        return [{k: v for k, v in line.items() if k != "ms"} for line in records(path)]

    assert without_times(tmp_path / "again") == without_times(folder)


def test_only_some_frames(lamp_run: tuple[Path, Path], tmp_path: Path) -> None:
    video, _ = lamp_run
    arguments = ("--fps", "4", "--start", "1", "--duration", "1.5", "--all-topics")
    status, _, err = run(video, "-o", tmp_path / "out", *arguments)
    assert status == 0, err
    lines = records(tmp_path / "out")
    assert [line["index"] for line in lines] == [10, 13, 15, 18, 20, 23]
    # Time counts from the source's first frame, as the index does.
    assert [line["time"] for line in lines] == pytest.approx(
        [1.0, 1.3, 1.5, 1.8, 2.0, 2.3], abs=1e-3)
    names = {path.name for path in (tmp_path / "out" / "masks").iterdir()}
    assert names == {f"{line['index']:06d}.png" for line in lines}
    with AnyReader([tmp_path / "out" / "output.mcap"]) as reader:
        assert reader.topics["/segmentation_node/probability"].msgcount == 6
        assert reader.topics["/segmentation_node/overlay"].msgcount == 6


def test_thresholds_and_labels(lamp_run: tuple[Path, Path], tmp_path: Path) -> None:
    video, _ = lamp_run
    assert run(video, "-o", tmp_path / "out", "--ignore", "lamp")[0] == 0
    assert not any(line["sounding"] for line in records(tmp_path / "out"))
    # A second run into the same folder replaces the first one.
    assert run(video, "-o", tmp_path / "out", "--min-area", "0.1", "--duration", "2")[0] == 0
    lines = records(tmp_path / "out")
    assert len(lines) == 20
    assert any(line["sounding"] for line in lines)
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 20
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        assert float(container.duration) / 1e6 == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize(
    ("storage", "family"), [("mcap", "AudioStamped"), ("sqlite3", "AudioDataStamped")]
)
def test_bags(tmp_path: Path, storage: str, family: str) -> None:
    bag = write_bag(tmp_path / "bag", storage, family, seconds=2.0)
    status, _, err = run(bag, "-o", tmp_path / "out")
    assert status == 0, err
    lines = records(tmp_path / "out")
    assert len(lines) == 20
    assert lines[-1]["sounding"]
    with AnyReader([tmp_path / "out" / "output.mcap"]) as reader:
        connection, stamp, raw = next(
            m for m in reader.messages() if m[0].topic.endswith("/mask"))
        message = reader.deserialize(raw, connection.msgtype)
    assert stamp == 1_700_000_000 * SECOND
    assert message.header.stamp.sec == 1_700_000_000
    assert message.header.frame_id == "camera"


def test_a_calibrated_bag_gives_attention_rays(tmp_path: Path) -> None:
    bag = BagMaker(tmp_path / "bag")
    bag.camera_info(SECOND, topic="/other/camera_info", focal=1.0)
    bag.camera_info(SECOND)
    for i in range(3):
        bag.image(SECOND + i * SECOND // 10, lamp())
        bag.raw_audio(SECOND + i * SECOND // 10, tone(0.1))
    assert run(bag.close(), "-o", tmp_path / "out")[0] == 0
    point = records(tmp_path / "out")[2]["point"]
    with AnyReader([tmp_path / "out" / "output.mcap"]) as reader:
        rays = [reader.deserialize(raw, c.msgtype).point for c, _, raw in reader.messages()
                if c.topic == "/segmentation_node/attention"]
    assert rays
    # Pinhole of focal length 80 px, centre (48, 32), pixel centres at .5 of our coordinates.
    assert rays[-1].x / rays[-1].z == pytest.approx((point[0] - 48) / 80, abs=0.01)
    assert rays[-1].y / rays[-1].z == pytest.approx((point[1] - 32) / 80, abs=0.01)


def test_an_image_that_cannot_be_decoded_is_left_out(tmp_path: Path) -> None:
    bag = BagMaker(tmp_path / "bag")
    good = cv2.imencode(".jpg", lamp())[1].tobytes()
    for i in range(6):
        ns = SECOND + i * SECOND // 10
        # The third one begins and ends like a JPEG and is none.
        bag.compressed(ns, good if i != 2 else b"\xff\xd8\xff\xda" + bytes(40) + b"\xff\xd9")
        bag.raw_audio(ns, tone(0.1))
    status, _, err = run(bag.close(), "-o", tmp_path / "out")
    assert status == 0, err
    assert [line["index"] for line in records(tmp_path / "out")] == [0, 1, 3, 4, 5]
    assert "frames that could not be decoded" in (tmp_path / "out" / "report.html").read_text()
