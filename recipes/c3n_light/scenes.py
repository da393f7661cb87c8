"""Composite images for training: crops, mosaics, pasted objects, colours, blur, noise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from avs_ros.models.light.vocabulary import CATEGORIES, CATEGORY_NAMES
from avs_ros.segmentation import Bytes
from recipes.c3n_light.images import IGNORE, SIZE, load, outlined


def resized(image: Bytes, size: int, how: int = cv2.INTER_AREA) -> Bytes:
    """Square copy of an image or mask."""
    return np.asarray(cv2.resize(image, (size, size), interpolation=how), np.uint8)


class SceneSampler:
    """Draws (image ``[S, S, 3]`` uint8, category mask ``[S, S]``, ImageNet row or -1)."""

    def __init__(
        self,
        work: Path,
        held_out: bool,
        size: int,
        seed: int,
        more_of: Mapping[str, float] | None = None,
        teachers: bool = True,
    ) -> None:
        """``more_of``: category -> how many times as often as by its number of images.

        ``teachers``: False leaves out what the VOC-21 network alone has marked.
        """
        self.size = size
        self.rng = np.random.default_rng(seed)
        table, self._images, self._masks = load(work)
        if not teachers:
            self._masks = np.stack(
                [outlined(p, m) for p, m in zip(table, self._masks, strict=True)]
            )
        self.indices = [i for i, p in enumerate(table) if p.held_out == held_out]
        self._rows = [p.imagenet for p in table]
        self.by_category: list[list[int]] = [[] for _ in CATEGORIES]
        for i in self.indices:
            for k in np.unique(self._masks[i]):
                if 0 < k < IGNORE and np.mean(self._masks[i] == k) > 0.004:
                    self.by_category[k - 1].append(i)
        counts = np.array([len(found) for found in self.by_category], float)
        weight = np.minimum(counts, 150) ** 0.5
        weight[0] *= 2.0
        for name, factor in (more_of or {}).items():
            weight[CATEGORY_NAMES.index(name)] *= factor
        self._weight = weight / weight.sum()

    def draw(self) -> tuple[Bytes, Bytes, int]:
        """One augmented training scene."""
        rng = self.rng
        if rng.random() < 0.18:
            image, mask = self._mosaic()
            return self._colours(image), mask, -1
        i = self._pick()
        image, mask = self._crop(i, 0.3)
        row = self._rows[i]
        if rng.random() < 0.35:
            image, mask = self._paste(image, mask)
            row = -1
        return self._colours(image), mask, row

    def _pick(self) -> int:
        rng = self.rng
        if rng.random() < 0.2:
            return int(rng.choice(self.indices))
        return int(rng.choice(self.by_category[rng.choice(len(CATEGORIES), p=self._weight)]))

    def _crop(self, i: int, smallest: float, size: int = 0) -> tuple[Bytes, Bytes]:
        """A random part of an image, flipped half of the time, stretched a little."""
        rng, size = self.rng, size or self.size
        image, mask = self._images[i], self._masks[i]
        area = rng.uniform(smallest, 1.0)
        stretch = np.exp(rng.uniform(-0.3, 0.3))
        w = int(min(SIZE, SIZE * np.sqrt(area) * stretch))
        h = int(min(SIZE, SIZE * np.sqrt(area) / stretch))
        x, y = int(rng.integers(0, SIZE - w + 1)), int(rng.integers(0, SIZE - h + 1))
        image, mask = image[y : y + h, x : x + w], mask[y : y + h, x : x + w]
        if rng.random() < 0.5:
            image, mask = image[:, ::-1], mask[:, ::-1]
        return (
            resized(np.ascontiguousarray(image), size),
            resized(np.ascontiguousarray(mask), size, cv2.INTER_NEAREST),
        )

    def _mosaic(self) -> tuple[Bytes, Bytes]:
        """Two or four images side by side."""
        size = self.size
        image, mask = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8)
        four = self.rng.random() < 0.5
        cut = int(size * self.rng.uniform(0.35, 0.65))
        rows = [(0, cut), (cut, size)] if four else [(0, size)]
        for top, bottom in rows:
            for left, right in ((0, cut), (cut, size)):
                part, part_mask = self._crop(self._pick(), 0.4)
                shape = (right - left, bottom - top)
                image[top:bottom, left:right] = cv2.resize(part, shape)
                mask[top:bottom, left:right] = cv2.resize(
                    part_mask, shape, interpolation=cv2.INTER_NEAREST
                )
        return image, mask

    def _paste(self, image: Bytes, mask: Bytes) -> tuple[Bytes, Bytes]:
        """Cut one category's pixels out of another image and lay them on this one."""
        rng, size = self.rng, self.size
        k = int(rng.choice(len(CATEGORIES)))
        if not self.by_category[k]:
            return image, mask
        other, other_mask = self._crop(int(rng.choice(self.by_category[k])), 0.6)
        scale = rng.uniform(0.4, 1.0)
        small = max(32, int(size * scale))
        other, other_mask = resized(other, small), resized(other_mask, small, cv2.INTER_NEAREST)
        cutout = (other_mask == k + 1).astype(np.uint8)
        if cutout.sum() < 150:
            return image, mask
        x, y = (int(rng.integers(0, size - small + 1)) for _ in range(2))
        soft = cv2.GaussianBlur(cutout.astype(np.float32), (5, 5), 0)[..., None]
        image, mask = image.copy(), mask.copy()
        part = image[y : y + small, x : x + small]
        image[y : y + small, x : x + small] = (part * (1 - soft) + other * soft).astype(np.uint8)
        mask[y : y + small, x : x + small][cutout > 0] = k + 1
        return image, mask

    def _colours(self, image: Bytes) -> Bytes:
        rng = self.rng
        x = image.astype(np.float32)
        if rng.random() < 0.8:
            x = (x - 128) * rng.uniform(0.6, 1.35) + 128 + rng.uniform(-35, 35)
            x *= rng.uniform(0.88, 1.12, 3).astype(np.float32)
        if rng.random() < 0.12:
            x[:] = x.mean(2, keepdims=True) * rng.uniform(0.8, 1.2, 3).astype(np.float32)
        if rng.random() < 0.2:
            k = int(rng.choice([3, 5, 7]))
            x = np.asarray(cv2.GaussianBlur(x, (k, k), 0), np.float32)
        if rng.random() < 0.15:
            small = int(self.size * rng.uniform(0.3, 0.7))
            coarse = cv2.resize(x, (small, small))
            x = np.asarray(cv2.resize(coarse, (self.size, self.size)), np.float32)
        if rng.random() < 0.3:
            x = x + rng.normal(0, rng.uniform(2, 12), x.shape).astype(np.float32)
        return np.clip(x, 0, 255).astype(np.uint8)
