"""Small images in every encoding of sensor_msgs/Image, written out by hand."""

from __future__ import annotations

import cv2
import numpy as np

WIDTH, HEIGHT = 8, 6


def encode(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """``rgb`` as rows of bytes in ``encoding``, written out by hand where OpenCV is the reader."""
    red, green, blue = (rgb[..., i] for i in range(3))
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    alpha = np.full_like(red, 7)
    planes = {
        "rgb8": [red, green, blue], "bgr8": [blue, green, red], "8UC3": [blue, green, red],
        "rgba8": [red, green, blue, alpha], "bgra8": [blue, green, red, alpha],
        "8UC4": [blue, green, red, alpha], "mono8": [gray], "8UC1": [gray],
    }
    if encoding in planes:
        return np.stack(planes[encoding], axis=2).reshape(HEIGHT, -1)
    if encoding in ("rgb16", "bgr16", "mono16", "16UC3", "rgba16", "bgra16", "16UC4"):
        bgr = rgb[..., ::-1]
        channels = {
            "rgb16": rgb, "bgr16": bgr, "16UC3": bgr, "mono16": gray[..., None],
            "rgba16": np.dstack([rgb, alpha]), "bgra16": np.dstack([bgr, alpha]),
            "16UC4": np.dstack([bgr, alpha]),
        }[encoding]
        wide = channels.astype(np.uint16) * 256 + 99
        return np.ascontiguousarray(wide).view(np.uint8).reshape(HEIGHT, -1)
    if encoding.startswith("bayer"):
        plane = {"r": red, "g": green, "b": blue}
        pattern = encoding[6:10]
        mosaic = np.empty((HEIGHT, WIDTH), np.uint8)
        for i, colour in enumerate(pattern):
            mosaic[i // 2 :: 2, i % 2 :: 2] = plane[colour][i // 2 :: 2, i % 2 :: 2]
        if encoding.endswith("16"):
            return (mosaic.astype(np.uint16) * 256 + 99).view(np.uint8)
        return mosaic
    if encoding == "nv24":
        # BT.601 in video range, written out.
        red, green, blue = (plane.astype(float) for plane in (red, green, blue))
        y = 16 + 0.257 * red + 0.504 * green + 0.098 * blue
        u = 128 - 0.148 * red - 0.291 * green + 0.439 * blue
        v = 128 + 0.439 * red - 0.368 * green - 0.071 * blue
        colour = np.stack([u, v], axis=2).reshape(2 * HEIGHT, WIDTH)
        return np.rint(np.concatenate([y, colour])).astype(np.uint8)
    yuv = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    luma = yuv[:HEIGHT]
    u, v = (part.reshape(HEIGHT // 2, WIDTH // 2) for part in yuv[HEIGHT:].reshape(2, -1))
    if encoding in ("nv12", "nv21"):
        pair = [u, v] if encoding == "nv12" else [v, u]
        return np.concatenate([luma, np.stack(pair, axis=2).reshape(HEIGHT // 2, WIDTH)])
    tall_u, tall_v = (np.repeat(part, 2, axis=0) for part in (u, v))
    even, odd = luma[:, 0::2], luma[:, 1::2]
    order = [tall_u, even, tall_v, odd] if encoding in ("uyvy", "yuv422") else [
        even, tall_u, odd, tall_v]
    return np.stack(order, axis=2).reshape(HEIGHT, -1)
