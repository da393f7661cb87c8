"""``avs run`` on real files: what it writes, what it refuses, and Ctrl-C in the middle."""

from __future__ import annotations

import io
import json
import signal
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from fakes import BrightnessSegmenter
from media_files import SECOND, BagMaker, lamp, tone, write_bag, write_video
from rosbags.highlevel import AnyReader
from run_command import avs, start

from avs_ros.cli import main as entry
from avs_ros.cli import run as run_verb
from avs_ros.media.source import Frame, Sound
from avs_ros.media.video import VideoSource

pytestmark = pytest.mark.xdist_group("run")
KEYS = {"index", "time", "sounding", "score", "label", "audio_label", "point", "area",
        "instances", "ms"}
STAGES = {"decode", "step", "postprocess"}
FILES = ["masks", "output.mcap", "overlay.mp4", "report.html", "results.jsonl"]


def run(*words: object) -> tuple[int, str, str]:
    """``avs run`` in this process, with the brightness model: status, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        verb = run_verb.run
        patch.setattr(run_verb, "run", lambda args: verb(
            args, load=lambda **_: BrightnessSegmenter()))
        with redirect_stdout(out), redirect_stderr(err):
            status = entry.main(["run", *map(str, words)])
    return status, out.getvalue(), err.getvalue()


def records(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert lines[0].pop("metadata")["model"] and not any("metadata" in line for line in lines)
    return lines


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
    words = ("--fps", "4", "--start", "1", "--duration", "1.5", "--all-topics")
    status, _, err = run(video, "-o", tmp_path / "out", *words)
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


def test_a_picture_that_cannot_be_decoded_is_left_out(tmp_path: Path) -> None:
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


def test_a_bag_that_breaks_in_the_middle_leaves_whole_files_and_no_report(
    tmp_path: Path,
) -> None:
    bag = BagMaker(tmp_path / "bag")
    for i in range(40):
        ns = SECOND + i * SECOND // 10
        bag.image(ns, lamp(320, 240))
        bag.raw_audio(ns, tone(0.1))
    file = next(bag.close().glob("*.mcap"))
    data = bytearray(file.read_bytes())
    # Records of an mcap: one byte of kind, eight of length. A wrong checksum for the third chunk.
    at, chunks = 8, []
    while at < len(data) - 8:
        if data[at] == 6:
            chunks.append(at)
        at += 9 + int.from_bytes(data[at + 1 : at + 9], "little")
    data[chunks[2] + 33 : chunks[2] + 37] = b"\x01\x02\x03\x04"
    file.write_bytes(bytes(data))
    status, _, err = run(tmp_path / "bag", "-o", tmp_path / "out")
    assert status == 2
    assert "broken in the middle" in err
    assert err.count("\n") == 1
    count = len(records(tmp_path / "out"))
    assert 0 < count < 40
    assert not (tmp_path / "out" / "report.html").exists()
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == count
    with AnyReader([tmp_path / "out" / "output.mcap"]) as reader:
        assert reader.topics["/segmentation_node/mask"].msgcount == count


@pytest.mark.parametrize(
    ("make", "words", "sentence"),
    [
        (lambda p: p / "none.mp4", (), "no such file"),
        (lambda p: (p / "e.mp4").write_bytes(b"") or p / "e.mp4", (), "empty"),
        (lambda p: (p / "b.mp4").write_bytes(b"x" * 5000) and p / "b.mp4", (), "not a video"),
        (lambda p: write_video(p / "s.mp4", 0.5, sound=False), (), "no sound stream"),
        (lambda p: write_video(p / "v.mp4", 0.5), ("--fps", "0"), "--fps is 0"),
        (lambda p: write_video(p / "v.mp4", 0.5), ("--threshold", "7"), "threshold is 7"),
        (lambda p: write_video(p / "v.mp4", 0.5), ("--start", "9"), "no frame in the part"),
        (lambda p: write_video(p / "v.mp4", 0.5), ("--image", "/camera"), "has no topics"),
        (lambda p: write_bag(p / "bag", seconds=0.5), ("--image", "/x"), "/x is not in the bag"),
        (lambda p: p, (), "not a rosbag2"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(
    tmp_path: Path, make: object, words: tuple[str, ...], sentence: str
) -> None:
    assert callable(make)
    path = make(tmp_path)
    status, out, err = run(path, "-o", tmp_path / "out", *words)
    assert status == 2
    assert out == ""
    assert sentence in err
    assert err.startswith("avs run: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--model", "nonsense"), "unknown model 'nonsense'; known: c3n_light"),
        (("--model", "missing.safetensors"), "missing.safetensors does not exist"),
        (("--engine", "nonsense"), "unknown engine 'nonsense'; known: auto"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence_and_the_process_ends(
    lamp_run: tuple[Path, Path], tmp_path: Path, words: tuple[str, str], sentence: str
) -> None:
    done = avs("run", lamp_run[0], "-o", tmp_path / "out", *words)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_live_without_devices_says_what_is_missing() -> None:
    if cv2.VideoCapture(0).isOpened():
        pytest.skip("there is a camera here")
    done = avs("run", "live")
    assert done.returncode == 2
    assert done.stderr.startswith("avs run: no picture from camera 0")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("signum", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_in_the_middle_every_file_is_whole(
    tmp_path: Path, signum: signal.Signals, expected: int
) -> None:
    video = write_video(tmp_path / "long.mp4", 30.0, fps=20)
    folder = tmp_path / "out"
    process = start("run", video, "-o", folder, "--slow")
    results = folder / "results.jsonl"
    deadline = time.monotonic() + 60
    while not (results.exists() and results.read_text().count("\n") >= 6):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert process.returncode == expected
    assert "interrupted after" in err
    lines = records(folder)
    assert 5 <= len(lines) < 600
    with av.open(str(folder / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(lines)
    with AnyReader([folder / "output.mcap"]) as reader:
        assert reader.topics["/segmentation_node/mask"].msgcount == len(lines)
    assert len(list((folder / "masks").iterdir())) == len(lines)
    assert "Interrupted" in (folder / "report.html").read_text()


# ---------------------------------------------------------------- causes that are told


def notes(out: str) -> list[str]:
    return [line.removeprefix("note: ") for line in out.splitlines() if line.startswith("note:")]


def bag_of(path: Path, **changes: float) -> BagMaker:
    """2 s of the lamp and its tone at 10 Hz; ``ahead`` seconds between the clocks."""
    bag = BagMaker(path)
    sound = tone(2.0)
    for i in range(20):
        ns = 100 * SECOND + i * SECOND // 10
        bag.image(ns + round(changes.get("ahead", 0.0) * SECOND), lamp(), recorded_ns=ns)
        piece = sound[i * 1600 : (i + 1) * 1600] * changes.get("level", 1.0)
        bag.raw_audio(ns, piece, recorded_ns=ns + SECOND // 10)
    return bag


def test_sound_without_a_format_is_doubted_and_can_be_told(tmp_path: Path) -> None:
    bag = BagMaker(tmp_path / "bag")
    sound = np.repeat(tone(2.0, 44100), 2)
    for i in range(20):
        ns = 100 * SECOND + i * SECOND // 10
        bag.image(ns, lamp())
        bag.audio_data_stamped(ns, sound[i * 8820 : (i + 1) * 8820])
    path = bag.close()
    status, out, err = run(path, "-o", tmp_path / "out")
    assert status == 0, err
    (note,) = notes(out)
    assert out.startswith("note:"), "before the work, not only after it"
    assert "5.5 times" in note
    options = ["--audio-rate", "44100", "--audio-channels", "2", "--audio-format", "S16LE"]
    assert " ".join(options) in note
    assert "5.5 times" in (tmp_path / "out" / "report.html").read_text()
    assert len(records(tmp_path / "out")) == 20
    status, out, err = run(path, "-o", tmp_path / "out", *options)
    assert (status, notes(out)) == (0, []), err
    assert records(tmp_path / "out")[-1]["sounding"]
    assert "already heard" not in (tmp_path / "out" / "report.html").read_text()
    status, _, err = run(path, "-o", tmp_path / "out", "--audio-format", "S17LE")
    assert status == 2 and "S17LE" in err


def test_a_camera_on_another_clock_is_told(tmp_path: Path) -> None:
    path = bag_of(tmp_path / "bag", ahead=37.0).close()
    status, out, _ = run(path, "-o", tmp_path / "out")
    assert status == 0
    assert "37." in notes(out)[0] and "--stamps bag" in notes(out)[0]
    assert "37." in (tmp_path / "out" / "report.html").read_text()
    status, out, _ = run(path, "-o", tmp_path / "out", "--stamps", "bag")
    assert (status, notes(out)) == (0, [])
    assert records(tmp_path / "out")[-1]["sounding"]


def test_silence_is_told_and_sound_is_not(tmp_path: Path) -> None:
    path = bag_of(tmp_path / "quiet", level=1e-4).close()
    _, out, _ = run(path, "-o", tmp_path / "out")
    assert "is silence in" in notes(out)[0]
    _, out, _ = run(bag_of(tmp_path / "loud").close(), "-o", tmp_path / "out")
    assert notes(out) == []


def test_channels_that_cancel_each_other_are_told_and_one_can_be_taken(tmp_path: Path) -> None:
    path = tmp_path / "v.mkv"
    wave = np.round(tone(2.0) * 32767).astype(np.int16)
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=10)
        picture.width, picture.height, picture.pix_fmt = 96, 64, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=16000, layout="stereo")
        for i in range(20):
            container.mux(picture.encode(av.VideoFrame.from_ndarray(lamp(), format="rgb24")))
            piece = wave[i * 1600 : (i + 1) * 1600]
            both = np.stack([piece, -piece], axis=1).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(both, format="s16", layout="stereo")
            frame.sample_rate, frame.pts = 16000, i * 1600
            container.mux(sound.encode(frame))
        container.mux(picture.encode(None))
    status, out, err = run(path, "-o", tmp_path / "out")
    assert status == 0, err
    assert "cancel each other" in notes(out)[0] and "--channel 1" in notes(out)[0]
    assert not records(tmp_path / "out")[-1]["sounding"]
    status, out, _ = run(path, "-o", tmp_path / "out", "--channel", "2")
    assert (status, notes(out)) == (0, [])
    assert records(tmp_path / "out")[-1]["sounding"]
    status, _, err = run(path, "-o", tmp_path / "out", "--channel", "3")
    assert status == 2 and "--channel is 3" in err


def test_a_loop_is_walked_to_its_end_with_every_option(tmp_path: Path) -> None:
    bag = BagMaker(tmp_path / "bag")
    for number in range(2):
        for i in range(20):
            ns = 100 * SECOND + i * SECOND // 10
            recorded = ns + number * 2 * SECOND
            bag.image(ns, lamp(), recorded_ns=recorded)
            bag.raw_audio(ns, tone(0.1), recorded_ns=recorded)
    path = bag.close()
    status, _, err = run(path, "-o", tmp_path / "out", "--fps", "5")
    assert status == 0, err
    times = [line["time"] for line in records(tmp_path / "out")]
    assert times == pytest.approx([i / 5 for i in range(10)] * 2, abs=0.11)
    assert run(path, "-o", tmp_path / "out", "--duration", "2.95")[0] == 0
    assert len(records(tmp_path / "out")) == pytest.approx(30, abs=1)
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        assert float(container.duration) / 1e6 == pytest.approx(3.0, abs=0.25)


def test_a_name_that_begins_with_a_dash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path / "-ABc.mp4", 0.5)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        entry.main(["run", "-ABc.mp4"])
    assert "write ./-ABc.mp4" in capsys.readouterr().err
    assert run("./-ABc.mp4", "-o", tmp_path / "out")[0] == 0
    with pytest.raises(SystemExit):
        entry.main(["run", "-nothing.mp4"])
    assert "./-nothing" not in capsys.readouterr().err


def test_a_calibration_of_no_use_is_said_and_the_run_goes_on(tmp_path: Path) -> None:
    for count in (5, 6, 7):
        bag = bag_of(tmp_path / f"bag{count}")
        k = np.array([80, 0, 48, 0, 80, 32, 0, 0, 1], float)
        roi = bag.message("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0,
                          width=0, do_rectify=False)
        info = bag.message(
            "sensor_msgs/msg/CameraInfo", header=bag.header(100 * SECOND), height=64, width=96,
            distortion_model="plumb_bob", d=np.full(count, 0.01), k=k, r=np.eye(3).reshape(-1),
            p=np.zeros(12), binning_x=0, binning_y=0, roi=roi)
        bag.write("/camera/camera_info", "sensor_msgs/msg/CameraInfo", info, 100 * SECOND)
        status, out, err = run(bag.close(), "-o", tmp_path / "out")
        assert status == 0, err
        assert len(records(tmp_path / "out")) == 20
        with AnyReader([tmp_path / "out" / "output.mcap"]) as reader:
            rays = "/segmentation_node/attention" in reader.topics
        assert rays == (count == 5)
        assert bool(notes(out)) == (count != 5)
        if count != 5:
            assert f"{count} distortion coefficients" in notes(out)[0]
