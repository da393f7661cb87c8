"""The demo's scene: who sounds when, what it looks like, and that it is the same each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avs_ros.media.scene import (
    HEIGHT,
    RATE_HZ,
    SECONDS,
    WIDTH,
    images,
    soundtrack,
    turns,
    write_scene,
)
from avs_ros.media.source import Frame
from avs_ros.media.video import VideoSource


@pytest.fixture(scope="module")
def track() -> np.ndarray:
    return soundtrack()


def level(track: np.ndarray, start: float, end: float) -> float:
    piece = track[round(start * RATE_HZ) : round(end * RATE_HZ)].astype(float)
    return 20 * np.log10(np.sqrt(np.mean(piece**2)))


def test_the_sound_is_loud_in_turns_and_silent_between_and_at_the_end(track: np.ndarray) -> None:
    assert len(track) == SECONDS * RATE_HZ
    assert np.abs(track).max() < 1.0
    found = turns()
    assert {turn.who for turn in found} == {"cat", "person"}
    for turn in found:
        assert level(track, turn.start, turn.end) > -32
    assert level(track, 0.0, found[0].start - 0.05) < -65
    last = max(turn.end for turn in found)
    assert SECONDS - last > 2
    # The room's echo takes a third of a second.
    assert level(track, last + 0.4, SECONDS) < -65


def test_cat_and_person_each_have_a_time_of_their_own() -> None:
    found = turns()
    for who in ("cat", "person"):
        others = [turn for turn in found if turn.who != who]
        alone = [turn for turn in found if turn.who == who
                 and all(turn.end <= o.start or turn.start >= o.end for o in others)]
        assert alone
        assert alone[0].end - alone[0].start > 2


def test_the_images_move_and_hold_cat_and_astronaut() -> None:
    frames = list(images(2.0))
    assert len(frames) == 50
    assert frames[0].shape == (HEIGHT, WIDTH, 3)
    assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 2
    # An orange space suit on the right, brown fur on the left.
    suit = frames[0][300:, 360:560].reshape(-1, 3).mean(axis=0)
    assert suit[0] > 1.5 * suit[2]


def test_the_scene_is_a_video_with_sound_of_the_length_asked_for(tmp_path: Path) -> None:
    write_scene(tmp_path / "scene.mp4", 2.0)
    source = VideoSource(tmp_path / "scene.mp4")
    frames = [event for event in source.events() if isinstance(event, Frame)]
    assert len(frames) == 50
    assert (source.info.width, source.info.height, source.info.audio_rate_hz) == (640, 360, 32000)


def test_classifiers_hear_a_cat_and_speech(shared: Path, track: np.ndarray) -> None:
    torch = pytest.importorskip("torch")
    import soxr

    from avs_ros.models.audio import build
    from avs_ros.models.labels import audioset

    weights = shared / "data" / "weights" / "efficientat_mn04_audioset.safetensors"
    network = build("efficientat_mn04", checkpoint=weights).eval()
    names = audioset().names
    low = np.asarray(soxr.resample(track, RATE_HZ, 16000), np.float32)

    def heard(start: float, end: float) -> dict[str, float]:
        ends = np.arange(start + 1, end + 1e-6, 0.5)
        windows = np.stack([low[round(e * 16000) - 16000 : round(e * 16000)] for e in ends])
        with torch.no_grad():
            chance = torch.sigmoid(network(torch.from_numpy(windows))[1]).mean(dim=0).numpy()
        return dict(zip(names, chance, strict=True))

    cat = heard(0.8, 4.8)
    assert min(cat["Cat"], cat["Meow"]) > 0.35
    assert cat["Speech"] < 0.15
    speech = heard(7.0, 11.0)
    assert speech["Speech"] > 0.5
    assert max(speech["Cat"], speech["Music"]) < 0.15
