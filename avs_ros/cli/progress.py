"""What is being done, on stderr: bars and spinners on a terminal, plain lines elsewhere."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypeVar

from avs_ros.media.source import SourceInfo
from avs_ros.segmentation import Segmentation

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

Item = TypeVar("Item")
Step = Callable[..., AbstractContextManager[Callable[[int], None]]]


def progress_bar(*columns: str | ProgressColumn) -> Progress:
    """A bar that goes when it is done; where there is no terminal, nothing."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, highlight=False)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def tracked(items: Iterable[Item], what: str, total: int) -> Iterable[Item]:
    """The ``total`` items, with a bar that stays."""
    from rich.console import Console
    from rich.progress import track

    return track(items, what, total, console=Console(stderr=True))


@contextmanager
def doing() -> Iterator[Callable[[str], None]]:
    """Gives the function to call with what is being done; a line per change, or a spinner."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with console.status("starting") as shown:
            yield shown.update
        return
    last = ""

    def tell(description: str) -> None:
        nonlocal last
        if description != last:
            console.print(description, markup=False, highlight=False)
        last = description

    yield tell


@contextmanager
def steps() -> Iterator[Step]:
    """Gives ``step(what, total=None)``: a line for each step, with its time; a bar while it runs.

    A step is entered and left; it gives ``advance(n)`` for a bar of ``total``.
    """
    from rich.progress import BarColumn, SpinnerColumn

    with progress_bar(SpinnerColumn(), "{task.description}", BarColumn(bar_width=30)) as progress:

        @contextmanager
        def step(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
            task = progress.add_task(what, total=total)
            began = time.monotonic()
            try:
                yield lambda n: progress.advance(task, n)
            finally:
                progress.remove_task(task)
            took = time.monotonic() - began
            progress.console.print(f"[green]done[/green]  {what} [dim]{took:.1f} s[/]")

        yield step


@contextmanager
def frames(
    source: SourceInfo, args: argparse.Namespace
) -> Iterator[Callable[[Segmentation], None]]:
    """Frames done of those that ``--fps``, ``--start`` and ``--duration`` leave.

    Gives the function to call with each answer; shows what is marked at the moment.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    with progress_bar(
        "{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[now]}", markup=False),
    ) as bar:
        task = bar.add_task(source.name, total=_expected(source, args), now="")

        def advance(segmentation: Segmentation) -> None:
            label = segmentation.label.split(",")[0]
            now = f"{label} {segmentation.score:.2f}" if segmentation.instances else "-"
            bar.update(task, advance=1, now=now)

        yield advance


def _expected(source: SourceInfo, args: argparse.Namespace) -> int | None:
    fps: float = args.fps or source.fps
    duration: float | None = args.duration
    if not source.frames or not source.fps:
        return None if duration is None else round(duration * fps)
    seconds: float = max(0.0, source.frames / source.fps - args.start)
    if duration is not None:
        seconds = min(seconds, duration)
    return max(1, round(seconds * min(source.fps, fps)))
