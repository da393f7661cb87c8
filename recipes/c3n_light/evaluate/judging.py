"""Several models on the same questions: every figure, and their speed in turns."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avs_ros.benchmarks.interleaving import summarise, take_turns
from avs_ros.evaluation.bootstrap import paired_difference
from avs_ros.inference.segmenter import Segmenter
from recipes.c3n_light.evaluate.answers import Answer, ask
from recipes.c3n_light.evaluate.cases import (
    MATCHED,
    MISMATCHED,
    TWO,
    Case,
    Composites,
    draw_cases,
)
from recipes.c3n_light.evaluate.contestants import Contestant
from recipes.c3n_light.evaluate.figures import BY_HAND, RESAMPLES, Row, rows_of
from recipes.c3n_light.evaluate.hearing import SECOND_NS, hearing_rows, reaction_rows

Say = Callable[[str], None]
SEED, ROUNDS, WARM_UP = 11, 30, 5
SPEED = "frames/s, in turns"
# Compared pair by pair with the first model: (what, kind of case, score).
COMPARED = (
    ("M_J, all pairs", MATCHED, "iou"),
    (BY_HAND, MATCHED, "iou"),
    ("mismatched sound: empty share", MISMATCHED, "empty"),
    ("mismatched sound: false pixels", MISMATCHED, "area"),
    ("two objects: share on the sounding one", TWO, "right"),
)


@dataclass
class Judgement:
    """``rows``: model -> figures; ``differences``: the first model's lead over each other one."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    differences: dict[str, list[Row]] = field(default_factory=dict)
    cases: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> str:
        """Everything, NaN as null."""
        about: dict[str, Any] = {"kind": "light judgement", "schema": 1, "seed": SEED}
        about["cases"] = self.cases
        for name, table in (("models", self.rows), ("differences", self.differences)):
            about[name] = {model: [_plain(r) for r in rows] for model, rows in table.items()}
        return json.dumps(about, indent=2) + "\n"

    def to_markdown(self) -> str:
        """One column per model; in brackets the 95 % interval."""
        models = list(self.rows)
        named = {m: {r.name: r for r in rows} for m, rows in self.rows.items()}
        names = list(dict.fromkeys(r.name for rows in self.rows.values() for r in rows))
        lines = [
            f"| figure | cases | {' | '.join(models)} |",
            f"|---|---:|{'---:|' * len(models)}",
        ]
        for name in names:
            count = max(named[m][name].count for m in models if name in named[m])
            cells = [_cell(named[m].get(name)) for m in models]
            lines.append(f"| {name} | {count} | {' | '.join(cells)} |")
        for model, rows in self.differences.items():
            lines += ["", f"{models[0]} less {model}, pair by pair:", ""]
            lines += ["| figure | pairs | difference |", "|---|---:|---:|"]
            lines += [f"| {r.name} | {r.count} | {_cell(r)} |" for r in rows]
        return "\n".join(lines) + "\n"


def evaluate(
    work: Path, contestants: Sequence[Contestant], say: Say, limit: int = 10_000
) -> Judgement:
    """Every figure of every model on the same cases; ``limit`` caps the cases of each kind."""
    cases = draw_cases(Composites(work, SEED), limit)
    judgement = Judgement()
    for case in cases:
        judgement.cases[case.kind] = judgement.cases.get(case.kind, 0) + 1
    answers: dict[str, list[Answer]] = {}
    for one in contestants:
        say(f"{one.title}:")
        model = one.make()
        try:
            answers[one.title] = _answers(model, cases, say)
            rows = rows_of(answers[one.title])
            for part in (hearing_rows, reaction_rows):
                rows += part(model, Composites(work, SEED + 1), limit)
        finally:
            model.close()
        for row in rows:
            say(str(row))
        judgement.rows[one.title] = rows
    first = contestants[0].title
    for one in contestants[1:]:
        judgement.differences[one.title] = lead(answers[first], answers[one.title])
    for title, row in _speed(contestants, cases[0]).items():
        judgement.rows[title].append(row)
        say(f"{title}: {row}")
    return judgement


def lead(first: Sequence[Answer], other: Sequence[Answer]) -> list[Row]:
    """How much more (or, of false pixels, less) ``first`` has, over the same cases."""
    rows = []
    for name, kind, score in COMPARED:
        both = [
            (a, b)
            for a, b in zip(first, other, strict=True)
            if a.case.kind == kind and (name != BY_HAND or a.case.by_hand)
        ]
        ours, theirs = (
            np.array([_number(getattr(pair[i], score)) for pair in both], np.float64)
            for i in (0, 1)
        )
        groups = np.unique([a.case.picture for a, _ in both] or [""], return_inverse=True)[1]
        found = None
        if both:
            found = paired_difference(theirs, ours, groups, resamples=RESAMPLES)
        if found is not None:
            rows.append(Row(name, found.frames, found.value, found.low, found.high))
    return rows


def _answers(model: Segmenter, cases: Sequence[Case], say: Say) -> list[Answer]:
    out, told = [], time.monotonic()
    for answer, _ in ask(model, cases):
        out.append(answer)
        if time.monotonic() - told > 10:
            told = time.monotonic()
            say(f"  {len(out)} of {len(cases)} cases")
    return out


def _speed(contestants: Sequence[Contestant], case: Case) -> dict[str, Row]:
    """Whole steps, each model serving one frame in turn, so that all meet the same load."""
    models = {one.title: one.make() for one in contestants}
    rng = np.random.default_rng(0)
    # A live window is never the same twice: nothing may be remembered.
    windows = [np.roll(case.window, int(rng.integers(len(case.window)))) for _ in range(ROUNDS)]

    def steps(model: Segmenter) -> Callable[[int], float]:
        count = 0

        def step(number: int) -> float:
            nonlocal count
            count += 1
            began = time.perf_counter()
            model.step(case.frame, windows[number], count * SECOND_NS // 25)
            return (time.perf_counter() - began) * 1e3

        return step

    try:
        turns = {title: steps(model) for title, model in models.items()}
        take_turns(turns, WARM_UP)
        timings = summarise(take_turns(turns, ROUNDS), contestants[0].title)
    finally:
        for model in models.values():
            model.close()
    return {
        title: Row(SPEED, ROUNDS, 1e3 / t.median, 1e3 / t.high, 1e3 / t.low)
        for title, t in timings.items()
    }


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _cell(row: Row | None) -> str:
    if row is None or not np.isfinite(row.value):
        return "-"
    digits = 1 if row.name == SPEED else 3
    ends = "" if row.low is None else f" ({row.low:.{digits}f} .. {row.high:.{digits}f})"
    return f"{row.value:.{digits}f}{ends}"


def _plain(row: Row) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in asdict(row).items()
    }
