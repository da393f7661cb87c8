"""How a training run tells of itself: progress bar, ``log.jsonl``, TensorBoard."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TimeRemainingColumn

Item = TypeVar("Item")


class RunReporter:
    """Who is told how a run goes; a context manager.

    Writes ``config.json`` and ``log.jsonl`` in ``output`` and, where TensorBoard is installed,
    its event files in ``output/tensorboard``.
    """

    def __init__(self, output: Path, config: Any, *, show: bool = True) -> None:
        """``config``: a dataclass of settings with a number of ``epochs``.  ``show``: False on all
        processes but the first; then nothing is written either.
        """
        self.output = output
        self.config = config
        self.show = show
        self._board: Any = None
        self._task: TaskID | None = None
        self._progress = Progress(
            "{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            disable=not show,
        )

    def __enter__(self) -> RunReporter:
        """Open the files and the progress bar."""
        if not self.show:
            return self
        text = json.dumps(dataclasses.asdict(self.config), indent=2)
        (self.output / "config.json").write_text(text + "\n", encoding="utf-8")
        self._progress.start()
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self._progress.console.print(
                "TensorBoard is not installed; log.jsonl holds the same numbers "
                "(pip install 'avs_ros[train]')"
            )
        else:
            self._board = SummaryWriter(str(self.output / "tensorboard"))
        return self

    def __exit__(self, *_problem: object) -> None:
        self._progress.stop()
        if self._board is not None:
            self._board.close()

    def track(self, items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
        """Pass ``items`` on, with a progress bar of its own."""
        task = self._progress.add_task(what, total=total)
        for item in items:
            yield item
            self._progress.advance(task)
        self._progress.remove_task(task)

    def say(self, line: str) -> None:
        """A line for people."""
        if self.show:
            self._progress.console.print(line, markup=False, highlight=False)

    def log(self, kind: str, at: int, values: dict[str, float]) -> None:
        """A line of ``log.jsonl``, and TensorBoard's points."""
        if not self.show:
            return
        line = {"kind": kind, "at": at, "time": time.time(), **values}
        with (self.output / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{kind}/{name}", value, at)

    def step(self, epoch: int, step: int, steps: int, values: dict[str, float]) -> None:
        """After a weight update."""
        if self._task is None:
            self._task = self._progress.add_task("", total=self.config.epochs * steps)
        text = f"epoch {epoch + 1}/{self.config.epochs} loss {values['loss']:.4f}"
        self._progress.update(self._task, completed=epoch * steps + step, description=text)
        self.log("train", epoch * steps + step, values)

    def epoch(self, epoch: int, values: dict[str, float]) -> None:
        """After an epoch's validation."""
        self.say(f"epoch {epoch + 1}: M_J on val {values['val_miou']:.4f}")
        self.log("val", epoch, values)
