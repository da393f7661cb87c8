"""What is done to a thing that is cut out before it is laid into a scene."""

from __future__ import annotations

import cv2
import numpy as np

from avs_ros.segmentation import Bytes


def behind_hands(mask: Bytes, longest: float, rng: np.random.Generator) -> Bytes:
    """``mask`` (uint8, 0..255) with one or two ellipses taken out, as by covering fingers.

    ``longest``: the longer side of the thing, px.
    """
    out = mask.copy()
    for _ in range(int(rng.integers(1, 3))):
        ys, xs = np.nonzero(out > 127)
        if not len(xs):
            break
        pixel = int(rng.integers(len(xs)))
        radius = int(max(3, longest * rng.uniform(0.04, 0.1)))
        axes = (radius, max(1, int(radius * rng.uniform(0.5, 1))))
        centre = (int(xs[pixel]), int(ys[pixel]))
        cv2.ellipse(out, centre, axes, rng.uniform(0, 180), 0, 360, 0, -1)
    return out


def on_larger_ground(image: Bytes, mask: Bytes, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    """Image and mask ``[H, W]`` laid somewhere on a larger ground of one colour."""
    height, width = image.shape[:2]
    more = rng.uniform(1.1, 2.2)
    ground = np.empty((int(height * more), int(width * more), 3), np.uint8)
    ground[:] = np.median(image[0], axis=0) if rng.random() < 0.5 else rng.integers(0, 255, 3)
    y = int(rng.integers(0, ground.shape[0] - height + 1))
    x = int(rng.integers(0, ground.shape[1] - width + 1))
    ground[y : y + height, x : x + width] = image
    wide = np.zeros(ground.shape[:2], np.uint8)
    wide[y : y + height, x : x + width] = mask
    return ground, wide


def other_colours(image: Bytes, rng: np.random.Generator) -> Bytes:
    """``image`` (uint8 RGB) in other light: brighter, tinted, grey, blurred or noisy."""
    x = image.astype(np.float32)
    if rng.random() < 0.7:
        x = (x - 128) * rng.uniform(0.65, 1.3) + 128 + rng.uniform(-30, 30)
        x *= rng.uniform(0.9, 1.1, 3).astype(np.float32)
    if rng.random() < 0.1:
        x[:] = x.mean(2, keepdims=True)
    if rng.random() < 0.15:
        side = int(rng.choice([3, 5]))
        x = np.asarray(cv2.GaussianBlur(x, (side, side), 0))
    if rng.random() < 0.2:
        x = x + rng.normal(0, rng.uniform(2, 10), x.shape).astype(np.float32)
    return np.clip(x, 0, 255).astype(np.uint8)


def as_filmed(image: Bytes, rng: np.random.Generator) -> Bytes:
    """``image`` (uint8) as a small or cheap camera's film has it: coarse, smeared, compressed.

    It also hides where a thing was laid in.
    """
    height, width = image.shape[:2]
    if rng.random() < 0.6:
        share = rng.uniform(0.3, 0.9)
        small = (max(24, int(width * share)), max(24, int(height * share)))
        image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
        how = cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_CUBIC
        image = np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)
    if rng.random() < 0.25:
        length = int(rng.integers(3, 8))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1.0 / length
        turn = cv2.getRotationMatrix2D(
            (length / 2 - 0.5, length / 2 - 0.5), rng.uniform(0, 180), 1
        )
        kernel = np.asarray(cv2.warpAffine(kernel, turn, (length, length)), np.float32)
        image = np.asarray(cv2.filter2D(image, -1, kernel / max(kernel.sum(), 1e-6)), np.uint8)
    quality = int(rng.integers(12, 75))
    _, coded = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
