"""The progress bar of runs over frames; silent where stderr is no terminal."""

from __future__ import annotations

import argparse

from avs_ros.media.source import SourceInfo
from avs_ros.segmentation import Segmentation


class FrameProgress:
    """Frames done of those expected, with what is marked at the moment."""

    def __init__(self, source: SourceInfo, args: argparse.Namespace) -> None:
        """Expect the frames that ``--fps``, ``--start`` and ``--duration`` leave."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[now]}", markup=False),
            console=console, transient=True, disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(source.name, total=_expected(source, args), now="")

    def advance(self, segmentation: Segmentation) -> None:
        """One more frame is done."""
        label = segmentation.label.split(",")[0]
        now = f"{label} {segmentation.score:.2f}" if segmentation.instances else "-"
        self._bar.update(self._task, advance=1, now=now)

    def __enter__(self) -> FrameProgress:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self._bar.stop()


def _expected(source: SourceInfo, args: argparse.Namespace) -> int | None:
    fps: float = args.fps or source.fps
    duration: float | None = args.duration
    if not source.frames or not source.fps:
        return None if duration is None else round(duration * fps)
    seconds: float = max(0.0, source.frames / source.fps - args.start)
    if duration is not None:
        seconds = min(seconds, duration)
    return max(1, round(seconds * min(source.fps, fps)))
