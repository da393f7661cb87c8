"""Networks that compute no answer twice: many runs over one stream differ in what follows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

import pytest

from avs_ros.inference import bundle
from avs_ros.inference.engines.prepared import Array, Results, StepRunner


class RememberingRunner:
    """A network on its engine; what it has answered to the same inputs is remembered."""

    def __init__(self, runner: StepRunner) -> None:
        self.engine, self.device, self.close = runner.engine, runner.device, runner.close
        self._runner = runner
        self._answers: dict[bytes, Results] = {}

    def __call__(self, *inputs: Array) -> Results:
        digest = blake2b()
        for one in inputs:
            digest.update(repr(one.shape).encode() + one.tobytes())
        key = digest.digest()
        if key not in self._answers:
            # Engines may write their next answer over this one.
            self._answers[key] = tuple(one.copy() for one in self._runner(*inputs))
        return tuple(one.copy() for one in self._answers[key])


@contextmanager
def remembered_networks() -> Iterator[None]:
    """The networks of segmenters that are made in here are :class:`RememberingRunner` s."""
    build = bundle.build_runner

    def build_remembering(*arguments: Any) -> RememberingRunner:
        return RememberingRunner(build(*arguments))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "build_runner", build_remembering)
        yield
