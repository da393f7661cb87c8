from __future__ import annotations

import struct
from pathlib import Path

import avsbench_tree
import numpy as np
import pytest

from avs_ros.errors import AudioFormatError, DatasetError
from avs_ros.evaluation import avsbench
from avs_ros.evaluation.clip_arrays import read_clip, read_seconds


def test_s4_pairs_frames_masks_and_sound(tmp_path: Path) -> None:
    root = avsbench_tree.make_s4(tmp_path, train=2, val=1, test=1, size=64)
    train = avsbench.read_clips(root, "s4", "train")
    assert [c.name for c in train] == ["train_0", "train_1"]
    assert [c.category for c in train] == ["dog_barking", "playing_piano"]
    arrays = read_clip(train[0], size=64)
    assert arrays.frames.shape == (5, 64, 64, 3)
    assert arrays.seconds.shape == (5, 16000)
    assert arrays.annotated.tolist() == [True, False, False, False, False]
    # the disc is red in RGB order and the mask lies on it
    colour = arrays.frames[0][arrays.masks[0] > 0].mean(axis=0)
    assert np.allclose(colour, avsbench_tree.SOURCES["dog_barking"][0], atol=2)
    assert arrays.masks[1:].sum() == 0
    assert read_clip(avsbench.read_clips(root, "s4", "test")[0], 64).annotated.all()


def test_s4_reads_by_position_without_a_header(tmp_path: Path) -> None:
    root = avsbench_tree.make_s4(tmp_path, size=32)
    meta = root / "Single-source" / "s4_meta_data.csv"
    meta.write_text("".join(meta.read_text().splitlines(keepends=True)[1:]))
    assert len(avsbench.read_clips(root, "s4", "train")) == 2


def test_ms3_reads_indexed_masks(tmp_path: Path) -> None:
    root = avsbench_tree.make_ms3(tmp_path, size=64)
    clip = avsbench.read_clips(root, "ms3", "val")[0]
    arrays = read_clip(clip, size=64)
    assert arrays.annotated.all()
    assert set(np.unique(arrays.masks)) == {0, 1}


def test_avss_keeps_class_indices_and_lengths(tmp_path: Path) -> None:
    root = avsbench_tree.make_avss(tmp_path)
    lengths = {c.subset: len(c.frames) for c in avsbench.read_clips(root, "avss", "train")}
    assert lengths == {"avss/v1s": 5, "avss/v2": 10}
    v2 = read_clip(avsbench.read_clips(root, "avss", "test")[0], size=64)
    assert v2.annotated.all() and set(np.unique(v2.masks)) == {0, 1}
    v1s = read_clip(avsbench.read_clips(root, "avss", "train")[0], size=64)
    assert v1s.annotated.tolist() == [True] + [False] * 4


@pytest.mark.parametrize("subset", ["s4", "ms3", "avss"])
def test_layout_check_names_what_is_missing(tmp_path: Path, subset: str) -> None:
    root = getattr(avsbench_tree, f"make_{subset}")(tmp_path)
    assert avsbench.detect_subset(root) == subset
    assert avsbench.check_layout(root).complete
    victim = avsbench.read_clips(root, subset, "train")[0].wav
    victim.unlink()
    report = avsbench.check_layout(root)
    assert report.missing == [victim]
    assert str(victim) in str(report)


def test_wrong_folders_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no AVSBench metadata"):
        avsbench.detect_subset(tmp_path)
    with pytest.raises(DatasetError, match=r"s4_meta_data\.csv is missing"):
        avsbench.read_clips(tmp_path, "s4", "train")
    with pytest.raises(DatasetError, match="unknown subset"):
        avsbench.read_clips(tmp_path, "s5", "train")
    root = avsbench_tree.make_s4(tmp_path)
    with pytest.raises(DatasetError, match="split 'dev'"):
        avsbench.read_clips(root, "s4", "dev")


def test_wav_at_another_rate_is_resampled_in_time(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    rng = np.random.default_rng(0)
    avsbench_tree.write_wav(path, avsbench_tree.sound("dog_barking", 5, rng, rate=44100), 44100)
    seconds = read_seconds(path, 5)
    assert seconds.shape == (5, 16000)
    spectrum = np.abs(np.fft.rfft(seconds[2]))
    assert abs(int(spectrum.argmax()) - 300) <= 1  # 1 s of sound: one bin is one hertz


def test_short_wav_is_padded_and_a_broken_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    avsbench_tree.write_wav(path, np.full(8000, 1000, np.int16))
    seconds = read_seconds(path, 5)
    assert (seconds[0, :8000] > 0).all() and not seconds[0, 8000:].any() and not seconds[1:].any()
    (tmp_path / "broken.wav").write_bytes(b"RIFFxxxx")
    with pytest.raises(AudioFormatError, match=r"broken\.wav"):
        read_seconds(tmp_path / "broken.wav", 5)


def riff(samples: np.ndarray, tag: int, bits: int, extensible: bool) -> bytes:
    """A wav written out by hand; ``samples`` ``[n, channels]`` in -1..1."""
    channels = samples.shape[1]
    if tag == 3:
        data = samples.astype("<f4" if bits == 32 else "<f8").tobytes()
    elif bits == 8:
        data = np.round(samples * 127 + 128).astype(np.uint8).tobytes()
    else:
        whole = np.round(samples * (2 ** (bits - 1) - 1)).astype("<i4").reshape(-1, 1)
        data = whole.view(np.uint8)[:, : bits // 8].tobytes()
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else tag, channels, 16000, 16000 * block,
                       block, bits)
    if extensible:
        guid = struct.pack("<H", tag) + bytes.fromhex("000000001000800000aa00389b71")
        form += struct.pack("<HHI", 22, bits, 0) + guid
    note = b"LIST" + struct.pack("<I", 5) + b"odd\0\0\0"
    body = (b"WAVE" + note + b"fmt " + struct.pack("<I", len(form)) + form + b"data"
            + struct.pack("<I", len(data)) + data)
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize(("tag", "bits"), [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)])
def test_every_pcm_wav_is_read(
    tmp_path: Path, extensible: bool, channels: int, tag: int, bits: int
) -> None:
    rng = np.random.default_rng(bits)
    samples = rng.uniform(-0.9, 0.9, (20000, channels))
    path = tmp_path / "a.wav"
    path.write_bytes(riff(samples, tag, bits, extensible))
    expected = samples.mean(axis=1)
    read = read_seconds(path, 2).reshape(-1)
    assert np.abs(read[:20000] - expected).max() < (0.02 if bits == 8 else 1e-4)
    assert not read[20000:].any()
    # Cut short: what there is.
    path.write_bytes(riff(samples, tag, bits, extensible)[:-7777])
    cut = read_seconds(path, 1).reshape(-1)
    assert np.abs(cut[:10000] - expected[:10000]).max() < (0.02 if bits == 8 else 1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_a_damaged_wav_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = riff(rng.uniform(-1, 1, (3000, 2)), 1, 16, True)
    path = tmp_path / "a.wav"
    for _ in range(60):
        damaged = bytearray(data)
        for place in rng.integers(0, 120, 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(bytes(damaged[: rng.integers(1, len(data))]))
        try:
            assert read_seconds(path, 1).shape == (1, 16000)
        except AudioFormatError as error:
            assert "a.wav" in str(error)


def test_a_wav_whose_form_cannot_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(riff(np.zeros((100, 1)), 2, 16, False))
    with pytest.raises(AudioFormatError, match=r"a\.wav"):
        read_seconds(path, 1)
