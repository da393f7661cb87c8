"""``sensor_msgs/Image`` and ``CompressedImage`` -> uint8 RGB arrays, without cv_bridge.

Encoding names are those of ``sensor_msgs/image_encodings``.  Every function takes any object
with the message's fields: an rclpy message, or one read from a bag.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.conversions.messages import MalformedImage, Message
from avs_ros.segmentation import Bytes, Float


def _convert(code: int) -> Callable[[Bytes], Bytes]:
    return lambda image: np.asarray(cv2.cvtColor(image, code))


@dataclass(frozen=True)
class Encoding:
    """How one encoding lies in memory and how it becomes RGB.

    ``channels`` per pixel of ``depth`` bytes each; ``rows`` stored rows per image row (1.5 or 3
    for the two-plane YUV formats); ``even`` where two neighbouring pixels share their colour.
    """

    channels: int
    to_rgb: Callable[[Bytes], Bytes]
    depth: int = 1
    rows: float = 1.0
    even: bool = False


def _nv24_to_rgb(planes: Bytes) -> Bytes:
    """Brightness ``[H, W]`` and below it colour ``[2 H, W]``, U and V in turns for every pixel."""
    height = planes.shape[0] // 3
    colour = planes[height:].reshape(height, -1, 2)
    yuv = np.dstack([planes[:height], colour]).astype(np.float32)
    yuv -= np.array([16, 128, 128], np.float32)
    # BT.601 in video range, as OpenCV's other YUV formats.
    rgb = cv2.transform(yuv, np.array([[1.164, 0, 1.596], [1.164, -0.392, -0.813],
                                       [1.164, 2.017, 0]], np.float32))
    return np.asarray(np.clip(np.rint(rgb), 0, 255), np.uint8)


# OpenCV names a mosaic by the second row's second and third pixel, ROS by its first two.
_MOSAICS = {
    "bayer_rggb": _convert(cv2.COLOR_BayerBG2RGB),
    "bayer_bggr": _convert(cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg": _convert(cv2.COLOR_BayerGR2RGB),
    "bayer_grbg": _convert(cv2.COLOR_BayerGB2RGB),
}

# Name without its bits -> channels, and how they become RGB.
_COLOURS: dict[str, tuple[int, Callable[[Bytes], Bytes]]] = {
    "rgb": (3, np.array), "bgr": (3, _convert(cv2.COLOR_BGR2RGB)),
    "rgba": (4, _convert(cv2.COLOR_RGBA2RGB)), "bgra": (4, _convert(cv2.COLOR_BGRA2RGB)),
    "mono": (1, _convert(cv2.COLOR_GRAY2RGB)), **{name: (1, f) for name, f in _MOSAICS.items()},
}
_UYVY = Encoding(2, _convert(cv2.COLOR_YUV2RGB_UYVY), even=True)
_YUYV = Encoding(2, _convert(cv2.COLOR_YUV2RGB_YUY2), even=True)
ENCODINGS: dict[str, Encoding] = {
    **{
        f"{name}{8 * depth}": Encoding(channels, to_rgb, depth, even=name in _MOSAICS)
        for name, (channels, to_rgb) in _COLOURS.items() for depth in (1, 2)
    },
    "yuv422": _UYVY, "uyvy": _UYVY, "yuv422_yuy2": _YUYV, "yuyv": _YUYV,
    "nv12": Encoding(1, _convert(cv2.COLOR_YUV2RGB_NV12), rows=1.5, even=True),
    "nv21": Encoding(1, _convert(cv2.COLOR_YUV2RGB_NV21), rows=1.5, even=True),
    "nv24": Encoding(1, _nv24_to_rgb, rows=3.0),
}
# cv_bridge's reading of images whose channels have no names.
for _alias, _name in (("8UC1", "mono8"), ("8UC3", "bgr8"), ("8UC4", "bgra8"),
                      ("16UC3", "bgr16"), ("16UC4", "bgra16")):
    ENCODINGS[_alias] = ENCODINGS[_name]

_DEPTH = {"16UC1": "millimetres", "32FC1": "metres"}


def check_image(msg: Message) -> Encoding:
    """Check size, encoding, step and data length of a ``sensor_msgs/Image`` (no pixel is read).

    Raises :class:`MalformedImage` with reason ``image_zero_size``, ``image_encoding``,
    ``image_step``, ``image_truncated`` or ``image_size_mismatch``.
    """
    width, height, step = int(msg.width), int(msg.height), int(msg.step)
    if width < 1 or height < 1:
        raise MalformedImage(
            "image_zero_size", f"image of {width} x {height} pixels: the camera sends no image"
        )
    encoding = ENCODINGS.get(msg.encoding)
    if encoding is None:
        depth = _DEPTH.get(msg.encoding)
        hint = (
            f" holds depth in {depth}; use the colour camera's topic"
            if depth
            else f" is not known; use one of {', '.join(ENCODINGS)}"
        )
        raise MalformedImage("image_encoding", f"encoding {msg.encoding!r}{hint}")
    if encoding.even and (width % 2 or (encoding.rows > 1 and height % 2)):
        raise MalformedImage(
            "image_step", f"{msg.encoding} needs even sides, the image has {width} x {height}"
        )
    row = width * encoding.channels * encoding.depth
    if step < row:
        raise MalformedImage(
            "image_step",
            f"step {step} is less than the {row} bytes that {width} pixels of {msg.encoding} need",
        )
    size, needed = len(msg.data), step * int(height * encoding.rows)
    if size != needed:
        raise MalformedImage(
            "image_truncated" if size < needed else "image_size_mismatch",
            f"data holds {size} bytes, {height} rows of step {step} are {needed}",
        )
    return encoding


def image_to_rgb(msg: Message) -> Bytes:
    """``sensor_msgs/Image`` -> uint8 ``[H, W, 3]`` RGB, contiguous and owned by the caller.

    Padded rows are cut; 16-bit samples keep their upper byte.  Raises :class:`MalformedImage`.
    """
    encoding = check_image(msg)
    width, height = int(msg.width), int(msg.height)
    rows = np.frombuffer(msg.data, dtype=np.uint8).reshape(int(height * encoding.rows), -1)
    rows = rows[:, : width * encoding.channels * encoding.depth]
    if encoding.depth == 2:
        rows = rows[:, 0::2] if msg.is_bigendian else rows[:, 1::2]
    shape = (rows.shape[0], width, encoding.channels)
    pixels = np.ascontiguousarray(rows).reshape(shape if encoding.channels > 1 else shape[:2])
    try:
        return encoding.to_rgb(pixels)
    except cv2.error as error:
        raise MalformedImage(
            "image_size_mismatch",
            f"{width} x {height} pixels of {msg.encoding} cannot be converted ({error.err})",
        ) from error


def read_mask(msg: Message) -> Bytes:
    """``sensor_msgs/Image`` mono8 or 8UC1 -> uint8 ``[H, W]``, a view of the message's data.

    Raises :class:`MalformedImage`, with reason ``image_encoding`` for any other encoding.
    """
    check_image(msg)
    if msg.encoding not in ("mono8", "8UC1"):
        raise MalformedImage("image_encoding", f"mask in {msg.encoding}: expected mono8")
    rows = np.frombuffer(msg.data, dtype=np.uint8).reshape(int(msg.height), -1)
    return rows[:, : int(msg.width)]


def read_probability(msg: Message) -> Float:
    """``sensor_msgs/Image`` 32FC1 -> float32 ``[H, W]``.  Raises :class:`MalformedImage`."""
    if msg.encoding != "32FC1" or msg.is_bigendian:
        raise MalformedImage(
            "image_encoding", f"probability in {msg.encoding}: expected 32FC1, little-endian"
        )
    height, width, step = int(msg.height), int(msg.width), int(msg.step)
    if width < 1 or height < 1 or step < 4 * width or len(msg.data) != step * height:
        raise MalformedImage(
            "image_truncated",
            f"data holds {len(msg.data)} bytes, {height} rows of step {step} are {step * height}",
        )
    rows = np.frombuffer(msg.data, dtype=np.uint8).reshape(height, step)[:, : 4 * width]
    return np.ascontiguousarray(rows).view("<f4").astype(np.float32, copy=False)


def _lacks_end(data: bytes) -> bool:
    """Whether a JPEG ends without its marker ff d9, as some MJPEG cameras leave it out."""
    return data.startswith(b"\xff\xd8\xff") and data.rfind(b"\xff\xd9") <= data.rfind(b"\xff\xda")


def check_compressed(msg: Message) -> None:
    """Check a ``sensor_msgs/CompressedImage`` as far as that goes without decoding it.

    Raises :class:`MalformedImage` with reason ``compressed_depth``, ``compressed_empty`` or
    ``compressed_truncated``.
    """
    encoding, separator, _ = msg.format.partition(";")
    if "compresseddepth" in msg.format.replace(" ", "").lower() or (
        separator and encoding.strip() in _DEPTH
    ):
        raise MalformedImage(
            "compressed_depth",
            f"format {msg.format!r} holds depth; use the colour camera's compressed topic",
        )
    data = bytes(msg.data)
    if not data:
        raise MalformedImage("compressed_empty", "compressed image without any data")
    # A PNG's decoder fills the missing rest with grey.
    if data.startswith(b"\x89PNG") and b"IEND" not in data[-64:]:
        raise _cut_short(data)


def _cut_short(data: bytes) -> MalformedImage:
    return MalformedImage(
        "compressed_truncated", f"compressed image ends after {len(data)} bytes, cut short"
    )


def _decode(data: bytes) -> NDArray[Any] | None:
    """``[H, W]`` or ``[H, W, 3]`` (the file's BGR), uint8 or uint16; None for no image."""
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        decoded = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error:
        return None
    return None if decoded is None else np.asarray(decoded)


def _decode_endless(data: bytes) -> NDArray[Any]:
    """A JPEG without its end marker.  Raises :class:`MalformedImage` where rows are missing.

    The decoder makes missing rows grey.  To tell them from a grey image: bytes that are put
    behind the data change missing rows, and nothing else.
    """
    decoded = _decode(data + b"\xff\xd9")
    if decoded is None:  # not even its header is whole
        raise _cut_short(data)
    if (decoded[-1, -1] == 128).all():
        longer = _decode(data + b"\x55" * 4096 + b"\xff\xd9")
        if longer is None or not np.array_equal(decoded, longer):
            raise _cut_short(data)
    return decoded


def compressed_to_rgb(msg: Message) -> Bytes:
    """``sensor_msgs/CompressedImage`` -> uint8 ``[H, W, 3]`` RGB.

    The bytes decide what the codec is (``format`` differs between publishers and releases).  The
    encoding before the semicolon of ``format`` (``rgb8; jpeg compressed bgr8``) means what it
    means to image_transport: the pattern of a Bayer mosaic; that colours lie in the file as RGB
    where the rest does not say ``compressed bgr``; depth.  A camera's EXIF rotation is ignored so
    that pixels stay where ``camera_info`` says they are; 16-bit samples keep their upper byte.
    Raises :class:`MalformedImage` as :func:`check_compressed` does, or with reason
    ``compressed_codec``.
    """
    check_compressed(msg)
    data = bytes(msg.data)
    image = _decode_endless(data) if _lacks_end(data) else _decode(data)
    if image is None:
        raise MalformedImage(
            "compressed_codec",
            f"compressed image (format {msg.format!r}, {len(data)} bytes) is not a JPEG, "
            "PNG or other image that OpenCV reads",
        )
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    elif image.dtype != np.uint8:  # a TIFF of floats
        raise MalformedImage(
            "image_encoding",
            f"compressed image of {image.dtype} samples: 8 or 16 bits are read",
        )
    encoding, separator, coded = msg.format.partition(";")
    encoding = encoding.strip() if separator else ""
    if image.ndim == 2:
        mosaic = _MOSAICS.get(encoding.removesuffix("16").removesuffix("8"))
        return (mosaic or ENCODINGS["mono8"].to_rgb)(image)
    # ROS's own subscriber puts the channels of these in order after decoding.
    ordered = encoding in ENCODINGS and encoding.startswith(("rgb", "bgr"))
    if ordered and "compressed bgr" not in coded:
        return image
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def check_any_image(msg: Message) -> None:
    """Check either image message (told apart by their fields) without reading its pixels."""
    if hasattr(msg, "encoding"):
        check_image(msg)
    else:
        check_compressed(msg)


def read_any_image(msg: Message) -> Bytes:
    """Either image message -> uint8 ``[H, W, 3]`` RGB (told apart by their fields)."""
    return image_to_rgb(msg) if hasattr(msg, "encoding") else compressed_to_rgb(msg)
