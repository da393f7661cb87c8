"""Reading bags as robots record them, and writing bags that other programs read."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from media_files import SECOND, BagMaker, lamp, tone, write_bag
from rosbags.highlevel import AnyReader

from avs_ros.conversions.audio import make_audio
from avs_ros.conversions.image_writing import make_image
from avs_ros.conversions.messages import make_header
from avs_ros.errors import AvsError, BagError
from avs_ros.media.bag import BagOptions, BagSource
from avs_ros.media.bag_types import BAG
from avs_ros.media.bag_writer import BagWriter
from avs_ros.media.opening import open_recording
from avs_ros.media.source import Frame, Sound

START = 1_700_000_000 * SECOND


def read(source: BagSource) -> tuple[list[Frame], list[Sound]]:
    events = list(source.events())
    return ([event for event in events if isinstance(event, Frame)],
            [event for event in events if isinstance(event, Sound)])


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("family", ["RawAudio", "AudioDataStamped", "AudioStamped"])
def test_both_storages_and_three_audio_families(tmp_path: Path, storage: str, family: str) -> None:
    path = write_bag(tmp_path / "bag", storage, family, rate=22050)
    source = BagSource(path)
    frames, sounds = read(source)
    assert len(frames) == 15
    assert frames[0].stamp_ns == START
    assert frames[0].frame_id == "camera"
    assert np.array_equal(frames[3].decode(), lamp())
    assert {sound.rate_hz for sound in sounds} == {22050}
    heard = np.concatenate([sound.samples for sound in sounds]).reshape(-1) / 32768
    assert np.abs(heard - tone(1.5, 22050)).max() < 1e-3
    assert (source.info.width, source.info.audio_rate_hz) == (96, 22050)
    source.close()


@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
def test_a_storage_file_alone_and_a_folder_without_metadata(tmp_path: Path, suffix: str) -> None:
    folder = write_bag(tmp_path / "bag", "mcap" if suffix == ".mcap" else "sqlite3")
    file = next(folder.glob(f"*{suffix}"))
    assert len(read(BagSource(file))[0]) == 15
    (folder / "metadata.yaml").unlink()
    assert len(read(BagSource(folder))[0]) == 15


def test_a_frame_comes_after_its_sound_even_if_recorded_before(tmp_path: Path) -> None:
    bag = BagMaker(tmp_path / "bag")
    for i in range(10):
        bag.image(START + i * 100_000_000, lamp())
    for i in range(10):  # the microphone's messages came half a second late
        ns = START + i * 100_000_000
        bag.raw_audio(ns, tone(0.1), recorded_ns=ns + 500_000_000)
    source = BagSource(bag.close())
    heard = 0
    for event in source.events():
        if isinstance(event, Sound):
            heard = event.end_ns
        elif event.stamp_ns < START + SECOND:
            assert heard >= event.stamp_ns


def test_the_camera_is_chosen_among_other_images(tmp_path: Path) -> None:
    bag = BagMaker(tmp_path / "bag")
    jpeg = cv2.imencode(".jpg", lamp(32, 32))[1].tobytes()
    for i in range(5):
        ns = START + i * SECOND // 10
        bag.image(ns, lamp(), "/camera/depth/image")
        bag.image(ns, lamp(), "/camera/depth/image", encoding="mono8",
                  step=96, data=np.zeros(96 * 64, np.uint8))
        bag.image(ns, lamp(48, 32), "/camera/color/image")
        bag.compressed(ns, jpeg, "/camera/color/image/compressed")
        bag.raw_audio(ns, tone(0.1))
    path = bag.close()
    source = BagSource(path)
    assert (source.info.width, source.info.height) == (48, 32)
    assert "/camera/depth/image" in source.info.details["other image topics"]
    chosen = BagSource(path, BagOptions(image="camera/color/image/compressed"))
    assert read(chosen)[0][0].decode().shape == (32, 32, 3)


def test_messages_that_cannot_be_used_are_counted_with_the_reason(tmp_path: Path) -> None:
    bag = BagMaker(tmp_path / "bag")
    for i in range(4):
        ns = START + i * SECOND // 10
        bag.raw_audio(ns, tone(0.1))
        bag.image(ns, lamp(), **({"step": 5} if i == 1 else {}))
    source = BagSource(bag.close())
    frames, _ = read(source)
    assert len(frames) == 3
    assert [frame.index for frame in frames] == [0, 2, 3]
    assert source.counters["malformed_images"] == 1
    assert "step 5" in source.info.details["first malformed_images"]


def test_unstamped_messages_need_the_times_of_recording(tmp_path: Path) -> None:
    bag = BagMaker(tmp_path / "bag")
    for i in range(10):
        recorded = START + i * SECOND // 10
        bag.raw_audio(0, tone(0.1), recorded_ns=recorded + SECOND // 10)
        bag.image(0, lamp(), recorded_ns=recorded)
    path = bag.close()
    with pytest.raises(BagError, match="--stamps bag"):
        BagSource(path)
    frames, sounds = read(BagSource(path, BagOptions(stamps="bag")))
    assert [frame.stamp_ns - START for frame in frames] == [i * SECOND // 10 for i in range(10)]
    assert sounds[0].stamp_ns == START


def test_a_type_that_no_parser_understands_elsewhere_does_no_harm(tmp_path: Path) -> None:
    bag = BagMaker(tmp_path / "bag")
    for i in range(3):
        bag.image(START + i * SECOND, lamp())
        bag.raw_audio(START + i * SECOND, tone(0.1))
    bag.unknown("/odd", "odd_msgs/msg/Odd", "this {is} not: a definition", START)
    assert len(read(BagSource(bag.close()))[0]) == 3


def one_of_each(path: Path, images: bool = True, audio: bool = True) -> Path:
    bag = BagMaker(path)
    for i in range(5):
        ns = START + i * SECOND // 10
        if images:
            bag.image(ns, lamp())
        if audio:
            bag.raw_audio(ns, tone(0.1))
    return bag.close()


@pytest.mark.parametrize(
    ("images", "audio", "options", "arguments"),
    [
        (False, True, {}, "no image topic with messages"),
        (True, False, {}, "no sound topic with messages"),
        (True, True, {"image": "/nothing"}, "/nothing is not in the bag; its image topics: /cam"),
        (True, True, {"image": "/audio"}, "/audio is foxglove_msgs/msg/RawAudio, not image"),
        (True, True, {"audio": "/nothing"}, "its sound topics: /audio"),
    ],
)
def test_a_bag_without_what_is_needed(
    tmp_path: Path, images: bool, audio: bool, options: dict[str, str], arguments: str
) -> None:
    path = one_of_each(tmp_path / "bag", images, audio)
    with pytest.raises(BagError, match=arguments) as caught:
        BagSource(path, BagOptions(**options))
    assert "\n" not in str(caught.value)


def test_clocks_years_apart_are_told(tmp_path: Path) -> None:
    bag = BagMaker(tmp_path / "bag")
    for i in range(5):
        ns = START + i * SECOND // 10
        bag.image(ns, lamp())
        bag.raw_audio(7 * SECOND + i * SECOND // 10, tone(0.1), recorded_ns=ns)
    with pytest.raises(BagError, match=r"clocks disagree.*--stamps bag"):
        BagSource(bag.close())


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_bag_cut_short(tmp_path: Path, storage: str) -> None:
    folder = write_bag(tmp_path / "bag", storage)
    file = next(p for p in folder.iterdir() if p.suffix in (".mcap", ".db3"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])
    with pytest.raises(BagError) as caught:
        read(BagSource(folder))
    assert "\n" not in str(caught.value)


def test_what_is_no_bag(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.mcap").write_bytes(b"")
    (tmp_path / "x.db3").write_bytes(b"nonsense")
    (tmp_path / "x.bag").write_bytes(b"#ROSBAG V2.0\n")
    for name in ("empty", "x.mcap", "x.db3", "x.bag", "missing.mcap"):
        with pytest.raises(AvsError) as caught:
            open_recording(tmp_path / name)
        assert name in str(caught.value)


def test_a_written_bag_is_one_file_that_others_read(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    path.write_bytes(b"older")
    writer = BagWriter(path)
    writer.declare("/node/mask", "sensor_msgs/msg/Image")
    writer.declare("/audio", "audio_common_msgs/msg/AudioStamped")
    writer.declare("/node/empty", "vision_msgs/msg/Detection2DArray", latched=True)
    mask = (lamp()[..., 0] > 100).astype(np.uint8) * 255
    for i in range(4):
        stamp = START + i * SECOND
        writer.write("/node/mask", make_image(BAG, make_header(BAG, stamp, "cam"), mask), stamp)
    chunk = tone(0.1)
    writer.write("/audio", make_audio(BAG, "AudioStamped", START, chunk, 16000), START)
    assert path.read_bytes() == b"older"  # until it is whole
    writer.close()
    assert [p.name for p in tmp_path.iterdir()] == ["out.mcap"]
    with AnyReader([path]) as reader:
        assert reader.topics["/node/empty"].msgcount == 0
        messages = [(ts, reader.deserialize(raw, c.msgtype)) for c, ts, raw in reader.messages()
                    if c.topic == "/node/mask"]
    assert [ts for ts, _ in messages] == [START + i * SECOND for i in range(4)]
    assert messages[1][1].header.stamp.sec == 1_700_000_001
    assert messages[1][1].header.frame_id == "cam"
    assert np.array_equal(messages[1][1].data.reshape(mask.shape), mask)


def test_a_bag_moved_out_of_its_folder_with_metadata_left(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "bag")
    shutil.move(next(folder.glob("*.mcap")), tmp_path / "elsewhere.mcap")
    with pytest.raises(BagError, match="missing"):
        BagSource(folder)
    assert read(BagSource(tmp_path / "elsewhere.mcap"))[0]
