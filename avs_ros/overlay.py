"""Draw an answer on its image: tinted masks, outlines, names, attention point, sound level.

NumPy and OpenCV only, so that the node can draw it too.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import cv2
import numpy as np

from avs_ros.segmentation import Bytes, Instance, Segmentation

Colour = tuple[int, int, int]

# Told apart by eyes that see no red-green difference too, and bright enough on camera images.
PALETTE: tuple[Colour, ...] = (
    (255, 176, 0),
    (60, 170, 255),
    (255, 85, 140),
    (0, 210, 150),
    (170, 120, 255),
    (255, 120, 40),
    (120, 225, 255),
    (225, 225, 60),
    (255, 140, 220),
    (110, 200, 60),
)


def label_colour(label: str, ordinal: int = 0) -> Colour:
    """The colour of a label, the same in every frame and run; ``ordinal`` tells twins apart."""
    return PALETTE[(zlib.crc32(label.encode()) + ordinal) % len(PALETTE)]


def instance_colours(instances: Sequence[Instance]) -> dict[int, Colour]:
    """Instance index -> colour: by label, so that a thing keeps its colour from frame to frame."""
    seen: dict[str, int] = {}
    colours = {}
    for instance in sorted(instances, key=lambda one: one.box[0]):
        ordinal = seen.get(instance.label, 0)
        seen[instance.label] = ordinal + 1
        colours[instance.index] = label_colour(instance.label, ordinal)
    return colours


FONT = cv2.FONT_HERSHEY_SIMPLEX
TINT = 0.42
DIM = 0.72
FLOOR_DBFS = -60.0
WHITE: Colour = (255, 255, 255)
GREY: Colour = (190, 190, 190)
DARK: Colour = (24, 26, 30)
QUIET: Colour = (90, 94, 102)
METER: tuple[tuple[float, Colour], ...] = (
    (-60.0, (70, 190, 120)),
    (-18.0, (235, 200, 60)),
    (-6.0, (235, 80, 70)),
)


def draw_overlay(rgb: Bytes, segmentation: Segmentation, status: bool = True) -> Bytes:
    """A new uint8 ``[H, W, 3]`` RGB image with the answer drawn on it.

    ``rgb`` has the answer's size.  ``status`` adds the strip at the bottom: level of the second
    that was heard, what it sounds like, and what is marked.
    """
    scale = _scale(rgb)
    out = draw_masks(rgb, segmentation.label_mask(), segmentation.instances)
    if segmentation.point is not None:
        _draw_point(out, segmentation.point, scale)
    # The strip first: a name that must stand on it is worth more than what it covers.
    if status:
        draw_status(out, segmentation)
    _draw_names(out, segmentation.instances, scale, _strip_height(out) if status else 0)
    return out


def draw_masks(rgb: Bytes, label_mask: Bytes, instances: tuple[Instance, ...]) -> Bytes:
    """A new image: marked pixels tinted and outlined, all others a little darker."""
    if not instances:
        return rgb.copy()
    out = cv2.convertScaleAbs(rgb, alpha=DIM)
    width = max(1, round(1.6 * _scale(rgb)))
    for index, colour in instance_colours(instances).items():
        own = (label_mask == index).astype(np.uint8)
        x, y, box_width, box_height = cv2.boundingRect(own)
        if not box_width:
            continue
        area = np.s_[y : y + box_height, x : x + box_width]
        paint = np.full_like(rgb[area], colour)
        tinted = cv2.addWeighted(rgb[area], 1 - TINT, paint, TINT, 0)
        cv2.copyTo(tinted, own[area], out[area])
        found, _ = cv2.findContours(
            own[area], cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(x, y)
        )
        # Fewer, longer lines: pixel stairs vanish, and drawing takes a fifth of the time.
        outline = [cv2.approxPolyDP(line, 0.7, True) for line in found]
        cv2.drawContours(out, outline, -1, DARK, width + 2, cv2.LINE_AA)
        cv2.drawContours(out, outline, -1, colour, width, cv2.LINE_AA)
    return np.asarray(out, np.uint8)


def _scale(rgb: Bytes) -> float:
    """1 for a 640x360 image; text and lines grow with the image."""
    return float(max(0.6, min(rgb.shape[0] / 360, rgb.shape[1] / 640)))


def _letters(height_px: float) -> tuple[float, int]:
    """(font scale, line thickness) of capital letters ``height_px`` tall."""
    return height_px / 21.0, max(1, round(height_px / 13))


def text_width(text: str, height_px: float) -> int:
    """Pixels that :func:`put_text` will take."""
    font_scale, thickness = _letters(height_px)
    return int(cv2.getTextSize(text, FONT, font_scale, thickness)[0][0])


def put_text(
    image: Bytes, text: str, x: float, baseline: float, height_px: float, colour: Colour
) -> None:
    """Write ``text`` into ``image``: left edge ``x``, capital letters ``height_px`` tall."""
    font_scale, thickness = _letters(height_px)
    at = (round(x), round(baseline))
    cv2.putText(image, text, at, FONT, font_scale, colour, thickness, cv2.LINE_AA)


def _ascii(text: str) -> str:
    """OpenCV 4's letters are ASCII; anything else would be drawn as question marks."""
    return text.encode("ascii", "replace").decode()


def _ink(colour: Colour) -> Colour:
    """Black or white, whichever is read better on ``colour``."""
    red, green, blue = colour
    return DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 130 else WHITE


def _draw_names(out: Bytes, instances: tuple[Instance, ...], scale: float, bottom: int) -> None:
    height, width = out.shape[:2]
    letter = 12.0 * scale
    pad = round(0.5 * letter)
    chip_height = round(letter + 2 * pad)
    taken: list[tuple[int, int, int]] = []
    colours = instance_colours(instances)
    for instance in sorted(instances, key=lambda one: -one.score):
        text = _ascii(f"{instance.label.split(',')[0]} {instance.score:.2f}")
        chip_width = text_width(text, letter) + 2 * pad
        x = int(np.clip(round(instance.box[0]), 0, max(0, width - chip_width)))
        top = int(np.clip(round(instance.box[1]) - chip_height, 0, height - bottom - chip_height))
        while any(abs(top - y) < chip_height and x < right and x + chip_width > left
                  for left, right, y in taken):
            top += chip_height + 1
        if top + chip_height > height:
            continue
        taken.append((x, x + chip_width, top))
        colour = colours[instance.index]
        _rounded(out, x, top, chip_width, chip_height, colour)
        put_text(out, text, x + pad, top + chip_height - pad, letter, _ink(colour))


def _rounded(out: Bytes, x: int, y: int, width: int, height: int, colour: Colour) -> None:
    radius = max(2, height // 5)
    cv2.rectangle(out, (x + radius, y), (x + width - radius - 1, y + height - 1), colour, -1)
    cv2.rectangle(out, (x, y + radius), (x + width - 1, y + height - radius - 1), colour, -1)
    for cx in (x + radius, x + width - radius - 1):
        for cy in (y + radius, y + height - radius - 1):
            cv2.circle(out, (cx, cy), radius, colour, -1, cv2.LINE_AA)


def _draw_point(out: Bytes, point: tuple[float, float], scale: float) -> None:
    """A ring with a dot: where a robot would look."""
    # OpenCV puts pixel centres on whole numbers, we put pixel corners there.
    shift = 4
    centre = tuple(round((value - 0.5) * 2**shift) for value in point)
    line = max(1, round(1.5 * scale))
    for colour, extra in ((DARK, 2), (WHITE, 0)):
        radius = round(9 * scale * 2**shift)
        cv2.circle(out, centre, radius, colour, line + extra, cv2.LINE_AA, shift)
        dot = round((2.4 * scale + extra / 2) * 2**shift)
        cv2.circle(out, centre, dot, colour, -1, cv2.LINE_AA, shift)


def _strip_height(out: Bytes) -> int:
    return round(30 * _scale(out))


def draw_status(out: Bytes, segmentation: Segmentation) -> None:
    """The strip along the bottom edge, drawn into ``out`` itself."""
    height, width = out.shape[:2]
    scale, strip = _scale(out), _strip_height(out)
    top = height - strip
    band = out[top:]
    band[:] = cv2.addWeighted(band, 0.22, np.full_like(band, DARK), 0.78, 0)
    middle, margin, letter = top + strip / 2, 10 * scale, 10.5 * scale
    baseline = middle + letter / 2

    x = margin + _draw_meter(out, margin, middle, scale, segmentation.level_dbfs) + margin
    level = segmentation.level_dbfs
    put_text(out, f"{level:.0f} dB" if level > -100 else "silent", x, baseline, letter, GREY)
    x += text_width("-60 dB", letter) + 1.2 * margin

    marked = segmentation.instances
    says = _ascii(segmentation.label.split(",")[0]) if marked else "nothing marked"
    pill = f"{says} {segmentation.score:.2f}" if marked else says
    colour = QUIET
    if marked:
        colour = instance_colours(marked)[max(marked, key=lambda one: one.score).index]
    pill_width = text_width(pill, letter) + 1.6 * margin
    left = width - margin - pill_width
    _rounded(out, round(left), round(middle - 0.37 * strip), round(pill_width),
             round(0.74 * strip), colour)
    put_text(out, pill, left + 0.8 * margin, baseline, letter, _ink(colour))

    heard = segmentation.audio_label or "-"
    for text in (f"hears {heard} {segmentation.audio_score:.2f}", f"hears {heard}", heard):
        if x + text_width(_ascii(text), letter) < left - margin:
            put_text(out, _ascii(text), x, baseline, letter, WHITE)
            break


def _draw_meter(out: Bytes, x: float, middle: float, scale: float, level_dbfs: float) -> float:
    """Bar from -60 dBFS to 0 dBFS in segments; returns its width."""
    segments, step = 20, 5.0 * scale
    lit = 0.0 if math.isnan(level_dbfs) else (level_dbfs - FLOOR_DBFS) / -FLOOR_DBFS * segments
    for k in range(segments):
        at_dbfs = FLOOR_DBFS - FLOOR_DBFS * k / segments
        colour = [colour for start, colour in METER if at_dbfs >= start][-1] if k < lit else QUIET
        left = round(x + k * step)
        cv2.rectangle(
            out, (left, round(middle - 5.5 * scale)),
            (left + max(1, round(step - 2 * scale)), round(middle + 5.5 * scale)), colour, -1,
        )
    return segments * step
