"""What ``avs run`` says of its own accord: causes of an empty result, and what helps."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from media_files import SECOND, BagMaker, lamp, tone
from rosbags.highlevel import AnyReader
from run_here import records, run

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
        image = container.add_stream("mpeg4", rate=10)
        image.width, image.height, image.pix_fmt = 96, 64, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=16000, layout="stereo")
        for i in range(20):
            container.mux(image.encode(av.VideoFrame.from_ndarray(lamp(), format="rgb24")))
            piece = wave[i * 1600 : (i + 1) * 1600]
            both = np.stack([piece, -piece], axis=1).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(both, format="s16", layout="stereo")
            frame.sample_rate, frame.pts = 16000, i * 1600
            container.mux(sound.encode(frame))
        container.mux(image.encode(None))
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
