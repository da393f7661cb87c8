"""The report page: whole, self-contained, and without a complaint in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from report_pages import Structure, summary

from avs_ros.report.charts import bars, histogram, spans, ticks, timeline
from avs_ros.report.run_report import to_html, write_report


def test_the_page_is_well_formed_and_needs_no_network() -> None:
    html = to_html(summary())
    structure = Structure()
    structure.feed(html)
    assert structure.open == []
    assert "<cat> & co.mp4" in structure.text
    assert "Interrupted" in structure.text
    for address in structure.addresses:
        assert address.startswith("data:") or address == "overlay.mp4"
    assert not re.search(r"https?://|@import|url\(", html)
    assert "nan" not in html.lower().replace("nanosec", "")
    assert "inf" not in re.findall(r'points="([^"]*)"', html)[0]


@pytest.mark.parametrize("frames", [0, 1, 2, 5000])
def test_any_number_of_frames(frames: int) -> None:
    page = to_html(summary(frames))
    Structure().feed(page)
    assert len(page) < 300_000


def test_it_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", summary())
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    broken = summary()
    broken.marked = broken.marked[:-1]
    (tmp_path / "report.html").unlink()
    with pytest.raises(ValueError, match="zip"):
        write_report(tmp_path / "report.html", broken)
    assert not (tmp_path / "report.html").exists()


def test_spans_and_ticks() -> None:
    assert spans([0, 1, 2, 3], ["a", "a", "", "b"], 4.5) == [
        (0, 2, "a"), (2, 3, ""), (3, 4.5, "b")]
    assert spans([], [], 1.0) == []
    assert ticks(0, 20, 12) == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20]
    assert ticks(0.31, 0.62, 4) == pytest.approx([0.4, 0.5, 0.6])


def test_the_timeline_follows_the_numbers() -> None:
    svg = timeline([0.0, 1.0], [0.0, 1.0], [-60.0, 0.0], ["", "cat"], ["Meow", "Meow"], 2.0, 0.5)
    curve = re.search(r'class="curve" points="([^"]*)"', svg)
    assert curve is not None
    points = [tuple(map(float, p.split(","))) for p in curve[1].split()]
    assert [x for x, _ in points] == pytest.approx([76, 76 + 453, 76 + 906], abs=0.1)
    assert points[0][1] - points[1][1] == pytest.approx(110)
    assert "cat: 1.00 to 2.00 s" in svg
    assert "Meow: 0.00 to 2.00 s" in svg


def test_histogram_and_bars_of_nothing_and_of_one_value() -> None:
    assert "nothing was measured" in histogram([], "ms", {})
    assert "nothing was measured" in bars({}, "ms")
    assert "rect" in histogram([3.0], "ms", {"median": 3.0})
    # One slow frame does not squeeze the others into one column.
    svg = histogram([*np.linspace(10, 20, 999), 5000.0], "ms", {})
    assert svg.count("<rect") > 15


def test_a_browser_opens_it_without_complaints(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    write_report(tmp_path / "report.html", summary())
    shot = tmp_path / "page.png"
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         "--v=0", f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={shot}",
         (tmp_path / "report.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
    )
    assert shot.exists(), done.stderr
    assert "CONSOLE" not in done.stderr
