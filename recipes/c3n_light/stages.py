"""The loop that every stage of the light model's training runs in: resumable step by step."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from avs_ros.training import resume

WARM_UP = 40


class Stage(Protocol):
    """Something to learn: a network, what moves in it, and the loss of each step.

    ``power``: the learning rates fall as (1 - done)^power.
    """

    @property
    def name(self) -> str:
        """Name of its state file and of its lines in the log."""
        ...

    @property
    def network(self) -> nn.Module:
        """What is learned, and kept in the state file."""
        ...

    @property
    def power(self) -> float:
        """See the class."""
        ...

    def groups(self) -> list[dict[str, Any]]:
        """Optimiser groups with their learning rates and weight decays."""
        ...

    def loss(self, step: int, done: float) -> Tensor:
        """Loss of one step; draws only from an RNG seeded by ``step``; ``done``: 0..1."""
        ...


class Reporter(Protocol):
    """What a stage tells of itself (``training.report.RunReporter``)."""

    def track(self, items: Iterable[int], total: int, what: str) -> Iterator[int]:
        """The items, with a progress bar."""
        ...

    def say(self, line: str) -> None:
        """A line for people."""
        ...

    def log(self, kind: str, at: int, values: dict[str, float]) -> None:
        """A line of the training log."""
        ...


@dataclass
class Cost:
    """What a stage has cost so far: steps, wall time and processor time in seconds."""

    steps: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0

    def state_dict(self) -> dict[str, float]:
        """Plain numbers."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take over what :meth:`state_dict` gave."""
        self.steps = int(state["steps"])
        self.wall_s, self.cpu_s = float(state["wall_s"]), float(state["cpu_s"])

    def minutes(self) -> dict[str, float]:
        """Steps and minutes, rounded, as the weight file keeps them."""
        return {
            "steps": self.steps,
            "wall_minutes": round(self.wall_s / 60, 2),
            "cpu_minutes": round(self.cpu_s / 60, 2),
        }


def learn(
    stage: Stage,
    steps: int,
    folder: Path,
    reporter: Reporter,
    *,
    seed: int = 0,
    checkpoint_every: int = 25,
) -> Cost:
    """Take ``steps`` steps, from ``folder/<name>.pt`` where an earlier run has left off.

    Each step seeds its own RNG, so an interrupted run ends with the weights of an
    uninterrupted one.  Ctrl-C leaves the last whole step in the file and raises
    KeyboardInterrupt.  Raises CheckpointError when the file is another run's.
    """
    path, cost, progress = folder / f"{stage.name}.pt", Cost(), resume.Progress()
    optimiser = torch.optim.AdamW(stage.groups())
    base = [group["lr"] for group in optimiser.param_groups]
    parts = {"network": stage.network, "optimiser": optimiser, "cost": cost}
    if path.is_file():
        progress = resume.load(path, parts)
    moving = [p for group in optimiser.param_groups for p in group["params"]]
    wall, processor = time.monotonic(), time.process_time()

    def save() -> None:
        nonlocal wall, processor
        now = time.monotonic(), time.process_time()
        cost.wall_s, cost.cpu_s = cost.wall_s + now[0] - wall, cost.cpu_s + now[1] - processor
        wall, processor = now
        cost.steps = progress.step
        resume.save(path, progress, parts)

    running, whole = progress.best, True
    try:
        for step in reporter.track(range(progress.step, steps), steps, stage.name):
            done = step / steps
            for group, rate in zip(optimiser.param_groups, base, strict=True):
                group["lr"] = rate * min(1.0, (step + 1) / WARM_UP) * (1 - done) ** stage.power
            torch.manual_seed(hash((seed, step)) & 0x7FFFFFFF)
            loss = stage.loss(step, done)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(moving, 5.0)
            whole = False
            optimiser.step()
            value = float(loss.detach())
            running = value if running < 0 else 0.97 * running + 0.03 * value
            progress.step, progress.best, whole = step + 1, running, True
            reporter.log(stage.name, step + 1, {"loss": value, "smooth": running})
            if progress.step % checkpoint_every == 0 or progress.step == steps:
                save()
                reporter.say(f"{stage.name}: step {progress.step} of {steps}, loss {running:.3f}")
    except KeyboardInterrupt:
        if whole:
            save()
        raise
    return cost
