"""Before an engine serves, it computes a fixed input and is held against eager PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avs_ros.errors import EngineError
from avs_ros.inference.engines.prepared import Array, Results, Step, StepRunner


def difference(
    program: Step,
    runner: StepRunner,
    inputs: Sequence[Array] | None = None,
    answers: Results | None = None,
) -> tuple[float, str]:
    """(largest relative difference, output it occurs in) on the program's fixed input.

    ``inputs`` and the ``answers`` they must get: in place of the fixed ones.

    Relative to the largest value of that output (or 1): float noise grows with the numbers.
    A different decision counts as infinite; so do values that are not finite.
    """
    found = runner(*(program.example if inputs is None else inputs))
    wanted_of = program.expected if answers is None else answers
    worst, where = 0.0, program.outputs[0]
    for name, expected, array in zip(program.outputs, wanted_of, found, strict=True):
        if name == program.decision:
            gap = 0.0 if np.array_equal(expected, array) else float("inf")
        elif not np.isfinite(array).all():
            gap = float("inf")
        else:
            wanted = np.asarray(expected, np.float64)
            scale = max(1.0, float(np.abs(wanted).max(initial=0.0)))
            gap = float(np.abs(np.asarray(array, np.float64) - wanted).max(initial=0.0)) / scale
        if gap > worst:
            worst, where = gap, name
    return worst, where


def require_agreement(program: Step, runner: StepRunner, tolerance: float) -> float:
    """The difference; raises EngineError, naming it, where it is beyond ``tolerance``."""
    worst, where = difference(program, runner)
    if worst > tolerance:
        raise EngineError(
            f"engine {runner.engine} on {runner.device} differs from eager PyTorch by "
            f"{worst:.2g} in {where!r} (tolerance {tolerance:g}) and is not used; "
            "choose another engine"
        )
    return worst
