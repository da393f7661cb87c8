"""Images: every encoding, padding, byte order, and each way of being malformed."""

from __future__ import annotations

import array
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from encoded_images import HEIGHT, WIDTH, encode

from avs_ros.conversions.image_reading import (
    ENCODINGS,
    compressed_to_rgb,
    image_to_rgb,
    read_any_image,
    read_mask,
)
from avs_ros.conversions.image_writing import make_image, rgb_to_compressed
from avs_ros.conversions.messages import MalformedImage, make_header
from avs_ros.errors import ImageFormatError
from avs_ros.media.bag_types import BAG
from avs_ros.nodes.message_types import RosTypes


def image() -> np.ndarray:
    """Smooth in x and y, so that shared colours of neighbours cost little."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([60 + 9 * x, 190 - 10 * y, 90 + 4 * x + 4 * y], axis=2).astype(np.uint8)


def message(data: bytes, encoding: str, step: int, **fields: Any) -> SimpleNamespace:
    return SimpleNamespace(
        width=fields.get("width", WIDTH), height=fields.get("height", HEIGHT), encoding=encoding,
        step=step, is_bigendian=fields.get("is_bigendian", 0), data=array.array("B", data),
    )


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_every_encoding_gives_back_the_image(encoding: str, padding: int) -> None:
    rgb = image()
    rows = encode(rgb, encoding)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    decoded = image_to_rgb(message(padded.tobytes(), encoding, padded.shape[1]))
    assert decoded.shape == (HEIGHT, WIDTH, 3) and decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous and decoded.flags.writeable
    expected = rgb
    if "mono" in encoding or encoding == "8UC1":
        expected = np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    exact = encoding[:3] in ("rgb", "bgr", "mon", "8UC", "16U")
    inside = np.s_[1:-1, 1:-1] if encoding.startswith("bayer") else np.s_[:]
    error = np.abs(decoded[inside].astype(int) - expected[inside].astype(int))
    assert error.max() <= (0 if exact else 16)


def test_big_endian_sixteen_bit_keeps_the_upper_byte() -> None:
    wide = (image().astype(np.uint16) * 256 + 3).astype(">u2").view(np.uint8).reshape(HEIGHT, -1)
    msg = message(wide.tobytes(), "rgb16", wide.shape[1], is_bigendian=1)
    assert (image_to_rgb(msg) == image()).all()


def test_data_may_be_bytes_array_or_ndarray() -> None:
    rgb = image()
    for data in (rgb.tobytes(), array.array("B", rgb.tobytes()), rgb.reshape(-1)):
        msg = message(b"", "rgb8", 3 * WIDTH)
        msg.data = data
        assert (image_to_rgb(msg) == rgb).all()


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("image_zero_size", {"width": 0}),
        ("image_zero_size", {"height": 0}),
        ("image_encoding", {"encoding": "rgb9"}),
        ("image_encoding", {"encoding": ""}),
        ("image_encoding", {"encoding": "16UC1"}),
        ("image_encoding", {"encoding": "32FC1"}),
        ("image_step", {"step": 3 * WIDTH - 1}),
        ("image_step", {"step": 0}),
        ("image_step", {"encoding": "yuyv", "width": 7}),
        ("image_truncated", {"step": 3 * WIDTH + 1}),
        ("image_truncated", {"data": b"\0" * 10}),
        ("image_truncated", {"data": b""}),
        ("image_size_mismatch", {"data": b"\0" * (3 * WIDTH * HEIGHT + 1)}),
    ],
)
def test_malformed_images_are_refused_with_their_reason(
    reason: str, changes: dict[str, Any]
) -> None:
    msg = message(image().tobytes(), "rgb8", 3 * WIDTH)
    vars(msg).update(changes)
    with pytest.raises(MalformedImage) as caught:
        image_to_rgb(msg)
    assert caught.value.reason == reason
    assert isinstance(caught.value, ImageFormatError)
    assert len(str(caught.value)) > 20


@pytest.mark.parametrize("codec", ["jpeg", "png"])
@pytest.mark.parametrize("format", ["", "nonsense", "jpeg", "bgr8; png compressed bgr8"])
def test_compressed_images_are_read_by_their_content(codec: str, format: str) -> None:
    rgb = cv2.resize(image(), (64, 48), interpolation=cv2.INTER_LINEAR)
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".jpg" if codec == "jpeg" else ".png", bgr)[1].tobytes()
    decoded = compressed_to_rgb(SimpleNamespace(format=format, data=data))
    assert np.abs(decoded.astype(int) - rgb).mean() < (3 if codec == "jpeg" else 1e-9)


def test_malformed_compressed_images_are_refused() -> None:
    jpeg = cv2.imencode(".jpg", cv2.resize(image(), (64, 48)))[1].tobytes()
    png = cv2.imencode(".png", cv2.resize(image(), (64, 48)))[1].tobytes()
    cases = [
        ("compressed_depth", "16UC1; compressedDepth png", png),
        ("compressed_empty", "jpeg", b""),
        ("compressed_truncated", "jpeg", jpeg[: len(jpeg) // 2]),
        ("compressed_truncated", "png", png[: len(png) // 2]),
        ("compressed_codec", "jpeg", b"not an image at all"),
        ("compressed_codec", "h264", b"\0\0\0\1\x67" * 20),
    ]
    for reason, format, data in cases:
        with pytest.raises(MalformedImage) as caught:
            compressed_to_rgb(SimpleNamespace(format=format, data=data))
        assert caught.value.reason == reason


def scene(height: int = 90, width: int = 160) -> np.ndarray:
    """A colour image with structure, uint8 RGB."""
    rng = np.random.default_rng(5)
    return cv2.resize(rng.integers(0, 256, (9, 16, 3), np.uint8), (width, height))


def compressed(format: str, stored: np.ndarray, kind: str = ".png") -> np.ndarray:
    """``stored`` (OpenCV's order) in a file, read as a message with this ``format``."""
    data = cv2.imencode(kind, stored, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    return compressed_to_rgb(SimpleNamespace(format=format, data=data))


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize(("depth", "kind"), [("8", ".jpg"), ("8", ".png"), ("16", ".png")])
def test_a_compressed_mosaic_becomes_a_colour_image(
    pattern: str, depth: str, kind: str
) -> None:
    rgb = scene()
    mosaic = np.empty(rgb.shape[:2], np.uint8)
    for i, colour in enumerate(pattern):
        at = np.s_[i // 2 :: 2, i % 2 :: 2]
        mosaic[at] = rgb[..., "rgb".index(colour)][at]
    stored = mosaic if depth == "8" else mosaic.astype(np.uint16) * 256 + 7
    decoded = compressed(f"bayer_{pattern}{depth}; {kind[1:]} compressed ", stored, kind)
    assert np.abs(decoded.astype(int) - rgb).mean() < 6


@pytest.mark.parametrize(
    ("format", "swapped"),
    [("rgb8; png compressed bgr8", False), ("bgr8; png compressed bgr8", False),
     ("rgb8; png compressed ", True), ("bgr8; png compressed rgb8", True),
     ("rgba8; png compressed", True), ("png", False), ("rgb8", False), ("", False),
     ("yuv422; png compressed ", False)],
)
def test_the_format_says_in_which_order_colours_lie_in_the_file(
    format: str, swapped: bool
) -> None:
    rgb = scene()
    stored = rgb if swapped else rgb[..., ::-1]
    assert (compressed(format, stored) == rgb).all()


@pytest.mark.parametrize("format", ["16UC1; png compressed ", "32FC1; tiff compressed"])
def test_compressed_depth_is_no_image(format: str) -> None:
    with pytest.raises(MalformedImage) as caught:
        compressed(format, scene()[..., 0].astype(np.uint16) * 20)
    assert caught.value.reason == "compressed_depth"


def test_sixteen_bits_in_a_file_keep_the_upper_byte() -> None:
    rgb = scene()
    assert (compressed("rgb16; png compressed bgr16", rgb[..., ::-1].astype(np.uint16) * 256 + 9)
            == rgb).all()
    grey = compressed("mono16; png compressed ", rgb[..., 0].astype(np.uint16) * 256 + 255)
    assert (grey == rgb[..., :1]).all()


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_without_its_end_marker_is_whole_until_rows_are_missing(
    grey: bool, progressive: int
) -> None:
    """A grey image looks like what a decoder makes of missing rows, and is none."""
    bgr = np.full((90, 160, 3), 128, np.uint8) if grey else scene()
    options = [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
    data = cv2.imencode(".jpg", bgr, options)[1].tobytes()
    whole = compressed_to_rgb(SimpleNamespace(format="jpeg", data=data))
    assert (compressed_to_rgb(SimpleNamespace(format="jpeg", data=data[:-2])) == whole).all()
    if grey or progressive:
        return
    rng = np.random.default_rng(3)
    for cut in sorted(rng.integers(2, len(data) - 40, 40)):
        with pytest.raises(MalformedImage) as caught:
            compressed_to_rgb(SimpleNamespace(format="jpeg", data=data[:cut]))
        assert caught.value.reason in ("compressed_truncated", "compressed_codec")


@pytest.mark.parametrize("kind", [".jpg", ".png", ".webp", ".bmp"])
def test_damaged_files_are_refused_or_read_and_nothing_else(kind: str) -> None:
    """Flipped, cut and shuffled at random: an image or MalformedImage, never another error."""
    rng = np.random.default_rng(11)
    data = cv2.imencode(kind, scene(40, 48))[1].tobytes()
    read = refused = 0
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(rng.integers(1, 6)):
            damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        if rng.random() < 0.3:
            damaged = damaged[: rng.integers(1, len(damaged))]
        try:
            image = compressed_to_rgb(SimpleNamespace(format="jpeg", data=bytes(damaged)))
            assert image.dtype == np.uint8 and image.shape[2] == 3
            read += 1
        except MalformedImage:
            refused += 1
    assert refused > 0 and read + refused == 150
    assert (compressed_to_rgb(SimpleNamespace(format="jpeg", data=data)).shape == (40, 48, 3))


def test_written_images_come_back() -> None:
    header = make_header(BAG, 12_000_000_345, "camera")
    rgb = image()
    sent = make_image(BAG, header, rgb)
    assert (sent.header.stamp.sec, sent.header.stamp.nanosec) == (12, 345)
    assert (sent.encoding, sent.step, sent.width, sent.height) == ("rgb8", 24, WIDTH, HEIGHT)
    assert (image_to_rgb(sent) == rgb).all()
    # A slice of a larger image is not contiguous.
    assert (image_to_rgb(make_image(BAG, header, np.pad(rgb, ((0, 0), (1, 1), (0, 0)))[:, 1:-1]))
            == rgb).all()
    mask = np.where(rgb[..., 0] > 100, 255, 0).astype(np.uint8)
    assert (read_mask(make_image(BAG, header, mask)) == mask).all()
    probability = (rgb[..., 0] / np.float32(255)).astype(np.float32)
    sent = make_image(BAG, header, probability)
    assert sent.encoding == "32FC1" and sent.step == 4 * WIDTH
    back = np.frombuffer(sent.data, np.float32).reshape(HEIGHT, WIDTH)
    assert (back == probability).all()


def test_pixels_are_sent_as_an_array_that_rclpy_takes_at_once() -> None:
    assert RosTypes().array(image()) == array.array("B", image().tobytes())
    assert RosTypes().array(np.zeros((0, 3), np.uint8)) == array.array("B")


def test_compressed_images_say_what_they_are() -> None:
    rgb = cv2.resize(image(), (64, 48), interpolation=cv2.INTER_LINEAR)
    sent = rgb_to_compressed(BAG, make_header(BAG, 1), rgb)
    assert "jpeg" in sent.format
    assert np.abs(read_any_image(sent).astype(int) - rgb).mean() < 3


def test_arrays_that_do_not_fit_their_encoding_are_refused() -> None:
    header = make_header(BAG, 1)
    with pytest.raises(ImageFormatError, match="float64"):
        make_image(BAG, header, np.zeros((4, 4)))
    with pytest.raises(ImageFormatError, match="uint8"):
        make_image(BAG, header, np.zeros((4, 4, 2), np.uint8))
    with pytest.raises(ImageFormatError, match="uint8"):
        make_image(BAG, header, np.zeros(4, np.uint8))
    with pytest.raises(MalformedImage):
        read_mask(make_image(BAG, header, image()))
