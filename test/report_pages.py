"""A run's summary, and the structure of a page."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

from avs_ros.media.film import jpeg
from avs_ros.report.run_report import Moment, RunSummary


def summary(frames: int = 50) -> RunSummary:
    times = [i / 25 for i in range(frames)]
    cat = [i % 20 < 10 for i in range(frames)]
    image = jpeg(np.full((36, 64, 3), 90, np.uint8))
    return RunSummary(
        "avs run: <cat> & co.mp4", "c3n_light on torch (cpu)", times,
        [0.9 if c else 0.1 for c in cat], ["tiger cat, feline" if c else "" for c in cat],
        ["Meow" if c else "Silence" for c in cat],
        [-20.0 if c else float("-inf") for c in cat], [30.0 + i % 7 for i in range(frames)],
        end_s=frames / 25, stages_ms={"visual": 12.0, "audio": 3.0},
        counters={"frames received": frames, "frames dropped": 3}, metadata={"model": "c3n_light"},
        files={"overlay.mp4": "video"}, moments=[Moment(0.2, image, "tiger cat, hears Meow")],
        notes=["Interrupted: this is what was done until then."],
    )


class Structure(HTMLParser):
    """Collects addresses and checks that elements are closed in order."""

    VOID = {"meta", "link", "img", "br"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
