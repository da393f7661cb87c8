"""How a training run tells of itself: progress bar, ``log.jsonl`` and its curves, TensorBoard."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import cv2
import numpy as np

from avs_ros.errors import DatasetError

Item = TypeVar("Item")


class Settings(Protocol):
    """A dataclass of settings that says how many passes there will be."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def epochs(self) -> int:
        """Passes of training, each with a validation after it."""
        ...


class RunReporter:
    """Who is told how a run goes; a context manager.

    Writes ``config.json`` and ``log.jsonl`` in ``output`` and, where TensorBoard is installed,
    its event files in ``output/tensorboard``.
    """

    def __init__(self, output: Path, config: Settings, *, show: bool = True) -> None:
        """``show``: False on all processes but the first; then nothing is written either."""
        self.output = output
        self.config = config
        self.show = show
        self._board: Any = None
        self._progress: Any = None
        self._task: Any = None

    def __enter__(self) -> RunReporter:
        """Open the files and the progress bar."""
        if not self.show:
            return self
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        text = json.dumps(dataclasses.asdict(self.config), indent=2)
        (self.output / "config.json").write_text(text + "\n", encoding="utf-8")
        self._progress = Progress(
            "{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        )
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
        """Close what was opened."""
        if self._progress is not None:
            self._progress.stop()
        if self._board is not None:
            self._board.close()

    def track(self, items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
        """Pass ``items`` on, with a progress bar of its own."""
        if self._progress is None:
            yield from items
            return
        task = self._progress.add_task(what, total=total)
        for item in items:
            yield item
            self._progress.advance(task)
        self._progress.remove_task(task)

    def say(self, line: str) -> None:
        """A line for people."""
        if self._progress is not None:
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
        if self._progress is None:
            return
        if self._task is None:
            self._task = self._progress.add_task("", total=self.config.epochs * steps)
        text = f"epoch {epoch + 1}/{self.config.epochs} loss {values['loss']:.4f}"
        self._progress.update(self._task, completed=epoch * steps + step, description=text)
        self.log("train", epoch * steps + step, values)

    def epoch(self, epoch: int, values: dict[str, float]) -> None:
        """After an epoch's validation."""
        if self._progress is None:
            return
        self._progress.console.print(f"epoch {epoch + 1}: M_J on val {values['val_miou']:.4f}")
        self.log("val", epoch, values)


WIDTH, HEIGHT, MARGIN = 720, 220, 40
INK, LINE, PALE = (40, 40, 40), (180, 90, 20), (225, 225, 225)


def draw_curves(log: Path, target: Path, value: str = "smooth") -> Path | None:
    """Write ``target`` (PNG): ``value`` over the steps, a panel for each kind of line in ``log``.

    A step that a resumed run took again counts once.  None, and no file, when the log holds no
    such value.  Raises DatasetError when a line cannot be read or the image not be written.
    """
    series: dict[str, dict[int, float]] = {}
    text = ""
    try:
        for text in log.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            if value in line:
                series.setdefault(str(line["kind"]), {})[int(line["at"])] = float(line[value])
    except OSError as error:
        raise DatasetError(f"{log}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{log}: {text[:60]!r} is no line of a training log") from error
    if not series:
        return None
    panels = [_panel(kind, sorted(points.items())) for kind, points in series.items()]
    part = target.with_name("part_" + target.name)
    if not cv2.imwrite(str(part), np.concatenate(panels)):
        raise DatasetError(f"{target} cannot be written")
    part.replace(target)
    return target


def _panel(kind: str, points: list[tuple[int, float]]) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    steps, values = (np.array(column, np.float64) for column in zip(*points, strict=True))
    low, high = float(values.min()), float(values.max())
    span = max(high - low, 1e-9)
    last = max(float(steps.max()), 1.0)
    x = MARGIN + steps / last * (WIDTH - 2 * MARGIN)
    y = HEIGHT - MARGIN - (values - low) / span * (HEIGHT - 2 * MARGIN)
    for share in (0.0, 0.5, 1.0):
        level = round(HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN))
        cv2.line(image, (MARGIN, level), (WIDTH - MARGIN, level), PALE, 1)
        _write(image, f"{low + share * span:.2f}", (4, level + 4))
    curve = np.stack([x, y], axis=1).round().astype(np.int32)
    cv2.polylines(image, [curve], False, LINE, 2, cv2.LINE_AA)
    _write(image, f"{kind}: loss over {last:.0f} steps", (MARGIN, 24))
    return image


def _write(image: np.ndarray, text: str, at: tuple[int, int]) -> None:
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, INK, 1, cv2.LINE_AA)
