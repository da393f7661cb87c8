"""The demo's progress: one line for each step, with its time; a bar while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Steps:
    """Steps one after the other, on stderr; plain lines where it is no terminal."""

    def __init__(self) -> None:
        """Nothing is shown before it is entered."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30),
            console=self._console, transient=True, disable=not self._console.is_terminal,
        )

    @contextmanager
    def step(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Show ``what`` until left; gives ``advance(n)`` for a bar of ``total``."""
        task = self._progress.add_task(what, total=total)
        began = time.monotonic()
        try:
            yield lambda n: self._progress.update(task, advance=n)
        finally:
            self._progress.remove_task(task)
        took = time.monotonic() - began
        self._console.print(f"[green]done[/green]  {what} [dim]{took:.1f} s[/]")

    def __enter__(self) -> Steps:
        """Begin to show."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self._progress.stop()
