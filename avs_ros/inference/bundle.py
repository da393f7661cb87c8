"""A whole model for one stream: what it sees with, what it hears with, and plain metadata.

A model is made of PyTorch networks, but a portable engine needs only their exported steps.  These
are kept with the metadata in the cache folder under the model's *identity* (its files, its
options, this package's code), so that from the second start on neither the networks nor PyTorch
itself are loaded: that is the larger part of a light model's memory, and most of the time it takes
to start.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import json
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from safetensors import SafetensorError, safe_open

from avs_ros.errors import AvsError, EngineError
from avs_ros.inference.engines.prepared import (
    Step,
    StepRunner,
    cache_folder,
    code_digest,
    forget_old,
    prepare,
    read_step,
    written_whole,
)
from avs_ros.inference.engines.selection import (
    AUTO,
    ENGINES,
    build_runner,
    find_engine,
    remembered,
)

if TYPE_CHECKING:
    from avs_ros.inference.engines.program import StepProgram

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bundle:
    """The ``visual`` and the ``audio`` step.  ``metadata``: what JSON can hold."""

    metadata: Mapping[str, Any]
    visual: Step
    audio: Step

    def program(self) -> StepProgram:
        """The visual step of a bundle that is fresh from its networks."""
        return cast("StepProgram", self.visual)


@dataclass(frozen=True)
class ModelRunners:
    """A bundle's steps, running: ``engine`` and ``device`` are those of ``visual``."""

    metadata: Mapping[str, Any]
    visual: StepRunner
    audio: StepRunner

    def close(self) -> None:
        """Free what they hold."""
        self.visual.close()
        self.audio.close()


def identity_of(*payload: object, files: tuple[Path, ...] = ()) -> str:
    """Digest of everything that decides a model's numbers: plain values and files."""
    digest = hashlib.sha256(repr((code_digest(), *payload)).encode())
    for path in files:
        if not path.is_file():  # whoever reads it says so better
            continue
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def header_value(path: str | Path, key: str) -> Any:
    """What a safetensors file says under ``key``: decoded where it is JSON.

    By its header alone, without the tensors and without PyTorch.  None where it says nothing of
    it; also for other files and broken ones, of which their reader says what is wrong.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(key, "null")
    except (SafetensorError, OSError):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def open_runners(
    name: str, identity: str | None, make: Callable[[], Bundle], engine: str, device: str
) -> ModelRunners:
    """The model on ``engine``, from the cache where that is enough.

    ``make`` builds the networks; it must keep no reference to them.  ``identity``: None for
    networks that are in memory only.  Raises what :func:`build_runner` raises.
    """
    if engine != AUTO:
        find_engine(engine, device)  # before anything is built
    kept = None if identity is None else load_bundle(name, identity)
    if kept is not None:
        wanted = remembered(kept.visual, device) if engine == AUTO else engine
        if wanted in ENGINES and ENGINES[wanted].portable:
            try:
                return _run(kept, wanted, device)
            except AvsError as error:
                _log.warning("%s: what is kept of it is of no use, building anew: %s", name, error)
    bundle = make()
    if engine == AUTO:
        chosen = build_runner(bundle.visual, AUTO, device)
        chosen.close()
        engine = chosen.engine
    if identity is not None and engine in ENGINES and ENGINES[engine].portable:
        try:
            bundle = save_bundle(name, identity, bundle)
        except OSError as error:
            _log.warning("%s cannot be kept in the cache: %s", name, error)
        give_back_memory()
    return _run(bundle, engine, device)


def load_bundle(name: str, identity: str) -> Bundle | None:
    """What :func:`save_bundle` has kept, or None where any of it is missing or unreadable."""
    path = _path(name, identity)
    try:
        payload = json.loads(path.read_text(encoding="utf-8"))
        steps = [read_step(payload["steps"][key], path.parent) for key in ("visual", "audio")]
        return Bundle(payload["metadata"], *steps)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save_bundle(name: str, identity: str, bundle: Bundle) -> Bundle:
    """Export both steps, keep them and the metadata; the result needs no networks."""
    visual, audio = prepare(bundle.visual), prepare(bundle.audio)
    steps = {"visual": visual.describe(), "audio": audio.describe()}
    text = json.dumps({"metadata": bundle.metadata, "steps": steps})
    path = _path(name, identity)
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")
    forget_old(path.parent, name, ".bundle.json")
    return Bundle(json.loads(text)["metadata"], visual, audio)


def give_back_memory() -> None:
    """Hand freed memory back to the system now, where the C library keeps it (Linux)."""
    gc.collect()
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _run(bundle: Bundle, engine: str, device: str) -> ModelRunners:
    # A GPU's half-precision engines would blur the class scores that the label rests on.
    beside = engine if device == "cpu" else "torch"
    # The smaller one first: what engines need only while they load does not come on top.
    audio = _listen(bundle.audio, beside, device)
    give_back_memory()
    try:
        visual = build_runner(bundle.visual, engine, device)
    except BaseException:
        audio.close()
        raise
    give_back_memory()
    return ModelRunners(bundle.metadata, visual, audio)


def _listen(step: Step, engine: str, device: str) -> StepRunner:
    try:
        return build_runner(step, engine, device)
    except EngineError as error:
        if engine == "torch" or not hasattr(step, "module"):
            raise
        _log.warning("the audio network stays in PyTorch: %s", error)
        return build_runner(step, "torch", device)


def _path(name: str, identity: str) -> Path:
    return cache_folder() / f"{name}_{identity[:16]}.bundle.json"

