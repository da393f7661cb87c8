"""Contact sheets: rows of tiles that people can look at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from avs_ros.report.sheet import GAP, STRIP, Sheet, scaled


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((360, 640), (180, 320)), ((640, 360), (180, 101)), ((100, 1000), (45, 450))],
)
def test_a_panorama_becomes_lower_not_wider(
    shape: tuple[int, int], expected: tuple[int, int]
) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    assert scaled(image, 180, 2.5).shape[:2] == expected


def test_a_row_holds_tiles_of_any_height(tmp_path: Path) -> None:
    sheet = Sheet(60)
    high, low = np.full((120, 160, 3), 200, np.uint8), np.full((20, 50, 3), 10, np.uint8)
    sheet.add([high, low], "é")
    sheet.write(tmp_path / "sheet.jpg")
    found = cv2.imread(str(tmp_path / "sheet.jpg"))
    assert found is not None
    assert found.shape[:2] == (STRIP + 60, 80 + 50 + 2 * GAP)
    second = found[STRIP:, 80 + GAP + 20].mean(axis=1)
    # The low one stands at the top, paper below it.
    assert second[:14].max() < 60 and second[26:].min() > 200
