"""A step made ready for engines: exported, with the answers it must give, and kept in a folder.

Before an engine serves, it computes a fixed input and is held against these.  No PyTorch in here.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import importlib.metadata
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import EngineError

if TYPE_CHECKING:
    from avs_ros.inference.engines.program import StepProgram

Array = NDArray[np.float32]
Results = tuple[NDArray[np.generic], ...]
_KEPT = 4
_DIGITS = 16


class StepRunner(Protocol):
    """A program on an engine.

    ``engine``: its name; ``device``: where it runs, in words.  Called with one float32 array
    per input of the program, it returns one array per output; arrays may be reused by the next
    call, so keep copies.
    """

    engine: str
    device: str

    def __call__(self, *inputs: Array) -> Results:
        """Run one step."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


# What an engine must know of a step.
Step: TypeAlias = "StepProgram | PreparedStep"


@dataclass(frozen=True)
class PreparedStep:
    """A step from files alone; see :class:`StepProgram` for the words.

    ``graph``: the exported file; ``check``: :attr:`example` and :attr:`expected` beside it.
    ``fingerprint``: names cached files.
    """

    name: str
    inputs: Mapping[str, Sequence[int]]
    outputs: Sequence[str]
    decision: str
    fingerprint: str
    graph: Path
    check: Path

    @cached_property
    def example(self) -> tuple[Array, ...]:
        """Fixed inputs."""
        with np.load(self.check) as file:
            return tuple(file[f"in_{number}"] for number in range(len(self.inputs)))

    @cached_property
    def expected(self) -> Results:
        """What eager PyTorch on the CPU makes of :attr:`example`."""
        with np.load(self.check) as file:
            return tuple(file[f"out_{number}"] for number in range(len(self.outputs)))

    def describe(self) -> dict[str, Any]:
        """Plain values from which :func:`read_step` makes it again, in the same folder."""
        return {**asdict(self), "graph": self.graph.name, "check": self.check.name}


def prepare(step: Step) -> PreparedStep:
    """Export a step, keep its answers beside the file, and let go of everything else."""
    graph = step.graph
    check = graph.with_name(re.sub(r"\.onnx$", "", graph.name) + "_check.npz")
    if not check.is_file():
        arrays: dict[str, NDArray[np.generic]] = {f"in_{n}": x for n, x in enumerate(step.example)}
        arrays |= {f"out_{n}": x for n, x in enumerate(step.expected)}
        with written_whole(check) as partial:
            np.savez(partial, **arrays)  # type: ignore[arg-type]
    return PreparedStep(
        step.name, dict(step.inputs), tuple(step.outputs), step.decision, step.fingerprint,
        graph, check,
    )  # fmt: skip


def read_step(payload: Mapping[str, Any], folder: Path) -> PreparedStep:
    """The step that ``payload`` describes; FileNotFoundError where one of its files is gone."""
    files = {key: (folder / payload[key]).resolve(strict=True) for key in ("graph", "check")}
    return PreparedStep(**{**payload, **files})


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


def cache_folder() -> Path:
    """``$AVS_CACHE``, or ``avs_ros`` in the user's cache folder, or a temporary one.

    The first of them that can be written to; it exists afterwards.
    """
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    candidates = [os.environ.get("AVS_CACHE"), os.path.join(home, "avs_ros")]
    for candidate in candidates:
        if candidate:
            folder = Path(candidate).expanduser() / "engines"
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError:
                continue
            if os.access(folder, os.W_OK):
                return folder
    return Path(tempfile.mkdtemp(prefix="avs_ros_"))


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Where to write what shall be ``path``: it gets there whole or not at all."""
    partial = path.with_name(f"{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def cached_path(step: Step, suffix: str) -> Path:
    """Where a file made from ``step`` is kept; another weight or shape, another name."""
    return cache_folder() / f"{step.name}_{step.fingerprint[:_DIGITS]}{suffix}"


@lru_cache(maxsize=1)
def code_digest() -> str:
    """The networks' and the exporter's source: another version's exports do not count."""
    digest = hashlib.sha256(importlib.metadata.version("torch").encode())
    package = Path(__file__).resolve().parents[2]
    inference = package / "inference"
    files = [*sorted((package / "models").rglob("*.py")), *sorted(inference.glob("*_steps.py"))]
    for path in [*files, inference / "export.py"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def forget_old(folder: Path, name: str, ending: str) -> None:
    """Keep a model's few newest files of an ending, and what was made beside them.

    Each new weight of a model makes another; what is made beside a file begins with its name, the
    ending aside.
    """
    # Not just any middle: "c3n_light" is not "c3n_light_audio".
    pattern = f"{glob.escape(name)}_{'[0-9a-f]' * _DIGITS}{ending}"
    files = sorted(folder.glob(pattern), key=lambda file: file.stat().st_mtime)
    for file in files[:-_KEPT]:
        for beside in folder.glob(f"{glob.escape(file.stem)}*"):
            beside.unlink(missing_ok=True)
