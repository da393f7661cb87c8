"""The pages of an evaluation and of a comparison, as a real browser sees them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from evaluation_bags import NODE, lamp_scene, recorded
from fakes import BrightnessSegmenter
from report_pages import Structure, summary

from avs_ros.cli.evaluate_bag import Outcome
from avs_ros.evaluation.compare import compare
from avs_ros.evaluation.live import LiveRun
from avs_ros.evaluation.replay import Replay
from avs_ros.evaluation.run_files import read_run
from avs_ros.evaluation.score_sheet import ScoreSheet
from avs_ros.evaluation.truth import read_truth
from avs_ros.report import compare_report, run_report

# One worker makes the pages for all tests of this file.
pytestmark = pytest.mark.xdist_group("evaluation_pages")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Deterministic and live side by side, one against the other, and the page of a run."""
    folder = tmp_path_factory.mktemp("pages")
    bag = lamp_scene(folder / "lamp & <co>.mcap")
    replay = Replay(BrightnessSegmenter())
    replay.run(bag)
    live = LiveRun(ScoreSheet())
    kept = recorded(folder / "kept.mcap", bag, answered=slice(0, 30, 2))
    live.read(kept, bag.stem, NODE, read_truth(bag))
    worst = replay.worst.frames
    outcome = Outcome("brightness", 1, "numpy", "numpy", replay.sheet, worst, live=live)
    outcome.write(folder / "out")
    found = compare(read_run(folder / "out"), read_run(folder / "out" / "frames_live.jsonl"))
    (folder / "comparison.html").write_text(
        compare_report.to_html(found), encoding="utf-8"
    )
    # What `avs run` and `avs demo` write.
    run_report.write_report(folder / "run.html", summary())
    return {
        "evaluation": folder / "out" / "report.html", "comparison": folder / "comparison.html",
        "run": folder / "run.html",
    }


PAGES = [
    ("evaluation", ["deterministic", "live", "M_J as AVSBench", "a newer one was ready", "15"]),
    ("comparison", ["B - A", "share of frames that got an answer", "too few recordings"]),
    ("run", ["c3n_light", "frames dropped"]),
]


@pytest.mark.parametrize(("name", "expected"), PAGES)
def test_pages_are_well_formed_and_need_no_network(
    name: str, expected: list[str], pages: dict[str, Path]
) -> None:
    html = pages[name].read_text()
    structure = Structure()
    structure.feed(html)
    assert structure.open == []
    assert all(description in structure.text for description in expected)
    assert all(a.startswith("data:") or "/" not in a for a in structure.addresses)
    assert not re.search(r"https?://|@import|url\(|\bnan\b|\binf\b", html)


@pytest.mark.parametrize(("name", "expected"), PAGES)
def test_a_browser_shows_the_table_without_complaints(
    name: str, expected: list[str], pages: dict[str, Path], tmp_path: Path
) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         "--v=0", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", pages[name].as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr, done.stderr
    assert re.search(r"<table[^>]*>.*<td", done.stdout, re.S)
    assert "<svg" in done.stdout
    shown = Structure()
    shown.feed(done.stdout)
    assert all(description in shown.text for description in expected)


def test_the_page_shows_the_worst_frames_with_their_sound(pages: dict[str, Path]) -> None:
    html = pages["evaluation"].read_text()
    assert html.count("data:image/jpeg") == 10
    assert re.search(r"<figcaption>lamp &amp; &lt;co&gt;: IoU .* dB</figcaption>", html)
    assert "Precision over recall" in html and "area marked on silent frames" in html
