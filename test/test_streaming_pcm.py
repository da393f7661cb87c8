"""PCM bytes become samples, samples become mono float32."""

import array
import struct

import numpy as np
import pytest

from avs_ros.errors import AudioFormatError
from avs_ros.streaming import pcm

VALUES = [0.0, 0.5, -0.5, -1.0, 0.25, -0.125]
PACKED = {
    "U8": bytes(round(v * 128 + 128) for v in VALUES),
    "S8": struct.pack("6b", *(round(v * 128) for v in VALUES)),
    "S16LE": struct.pack("<6h", *(round(v * 2**15) for v in VALUES)),
    "S16BE": struct.pack(">6h", *(round(v * 2**15) for v in VALUES)),
    "S24LE": b"".join(struct.pack("<i", round(v * 2**23))[:3] for v in VALUES),
    "S32LE": struct.pack("<6i", *(round(v * 2**31) for v in VALUES)),
    "S32BE": struct.pack(">6i", *(round(v * 2**31) for v in VALUES)),
    "F32LE": struct.pack("<6f", *VALUES),
    "F32BE": struct.pack(">6f", *VALUES),
    "F64LE": struct.pack("<6d", *VALUES),
    "F64BE": struct.pack(">6d", *VALUES),
}


def test_every_known_format_is_tested():
    assert set(PACKED) == set(pcm.SAMPLE_FORMATS)


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_every_format_gives_the_same_sound(name, channels):
    samples = pcm.decode(PACKED[name], name, channels)
    assert samples.shape == (6 // channels, channels)
    mono = pcm.to_mono(samples)
    expected = np.reshape(VALUES, (-1, channels)).mean(axis=1)
    np.testing.assert_allclose(mono.samples, expected, atol=1e-6)
    assert mono.samples.dtype == np.float32 and mono.samples.flags.c_contiguous
    assert (mono.nonfinite, mono.clipped) == (0, 0)


@pytest.mark.parametrize("alias", ["s16", "S16LE", "pcm-s16", "PCM_S16LE", " s16le "])
def test_names_of_other_systems_are_understood(alias):
    assert pcm.canonical_format(alias) == "S16LE"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda b: array.array("B", b)])
def test_any_buffer_will_do(kind):
    assert pcm.decode(kind(PACKED["S16LE"]), "S16LE", 1)[1, 0] == 2**14


def test_decoding_looks_at_the_same_memory():
    data = bytearray(PACKED["S16LE"])
    samples = pcm.decode(data, "S16LE", 2)
    data[0:2] = struct.pack("<h", 1234)
    assert samples[0, 0] == 1234


@pytest.mark.parametrize(
    ("data", "name", "channels", "arguments"),
    [
        (b"123", "S16LE", 1, "3 bytes of sound do not divide"),
        (b"123456", "S16LE", 2, "check sample format and channel count"),
        (b"1234", "MP3", 1, "'MP3' is not known; use one of U8"),
        (b"1234", "S16LE", 0, "0 channels"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(data, name, channels, arguments):
    with pytest.raises(AudioFormatError, match=arguments):
        pcm.decode(data, name, channels)


@pytest.mark.parametrize(
    "samples",
    [np.zeros((2, 2, 2)), np.zeros((4, 0), np.int16), np.zeros(4, np.complex64),
     np.zeros(4, np.uint16), np.array(["a"])],
)
def test_other_shapes_and_types_are_refused(samples):
    with pytest.raises(AudioFormatError):
        pcm.to_mono(samples)


def test_bad_values_are_counted_per_channel():
    samples = np.array([[np.nan, 0.5], [2.0, 0.0], [np.inf, -np.inf]], np.float32)
    mono = pcm.to_mono(samples)
    np.testing.assert_array_equal(mono.samples, np.float32([0.25, 0.5, 0.0]))
    assert (mono.nonfinite, mono.clipped) == (3, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_on_the_scale_of_integers_are_refused(dtype: type) -> None:
    wave = np.sin(np.arange(1000) / 5).astype(dtype)
    for scale in (128, 32768, 2.0**31):
        with pytest.raises(AudioFormatError, match=r"-1\.\.1"):
            pcm.to_mono(wave * dtype(scale))
    loud = pcm.to_mono(wave * dtype(1.5))
    assert loud.clipped > 100 and np.abs(loud.samples).max() == 1
    stray = wave.copy()
    stray[::50] = 1e30
    assert pcm.to_mono(stray).clipped == 20
