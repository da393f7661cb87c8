"""Models by name, and checkpoints by path: everything that can stand behind the protocol.

And what computed a result: the record that makes it repeatable.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import avs_ros
from avs_ros.errors import ModelError, ParameterError
from avs_ros.gate import GateConfig, apply_gate
from avs_ros.inference.bundle import header_value
from avs_ros.inference.engines import ENGINES
from avs_ros.inference.engines.threads import limited_threads
from avs_ros.inference.segmenter import Segmenter

if TYPE_CHECKING:
    from avs_ros.inference.engines.program import StepProgram

DEFAULT_MODEL = "c3n_light"
_DATA = Path(__file__).resolve().parents[1] / "data"
_FILE_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".tar")


@dataclass(frozen=True)
class Model:
    """``description``: one line for people.  ``module``: where its functions are.

    ``create(name, engine, device, **arguments, **options)`` builds the segmenter,
    ``program(name, **arguments, **options)`` its visual step alone, for export.
    ``arguments``: fixed keywords of both.  ``weights``: the bundled file that it runs on (without
    folder and suffix), "" where it needs one that is not in the package.
    """

    description: str
    module: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    weights: str = ""


_LIGHT, _PUBLISHED = "avs_ros.inference.light", "avs_ros.inference.c3n"
_AVSC = "avs_ros.inference.avsc"
# What a safetensors file says it is -> where it runs; all others are C3N's.
_KINDS = {"c3n_light": _LIGHT, "avsc": _AVSC}


_VISUAL = {
    "pvt": ("pvt_v2_b5", "PVT-v2-B5"), "swin": ("swin_base_patch4_window7_224", "Swin-B")
}  # fmt: skip
_AUDIO = {"panns": "PANNs", "beats": "BEATs", "vggish": "VGGish"}
MODELS: dict[str, Model] = {
    "c3n_light": Model("light C3N (MobileNetV2, EfficientAT), comes with the package", _LIGHT,
                       weights="c3n_light"),
    "c3n_light_paper": Model(
        "the C3N inside c3n_light, by itself: the authors' arithmetic, no gate", _PUBLISHED,
        {"light": True}, "c3n_light",
    ),
    "consensus_cam": Model(
        "class activation map of the consensus label, untrained: a baseline",
        "avs_ros.inference.consensus_cam",
        weights="c3n_light",
    ),
    **{
        f"c3n_{short}_{audio}": Model(
            f"C3N, {words} and {said} (needs weights)", _PUBLISHED,
            {"visual": visual, "audio": audio},
        )
        for short, (visual, words) in _VISUAL.items() for audio, said in _AUDIO.items()
    },
    "avsc_light": Model(
        "light AVSC (same file): instances of what could sound, followed; then which do",
        f"{_AVSC}_light",
        weights="c3n_light",
    ),
    **{
        f"avsc_{short}": Model(
            f"AVSC, {words} and BEATs (needs weights)", _AVSC, {"configuration": f"avsc_{short}"}
        )
        for short, (_, words) in _VISUAL.items()
    },
}


def create_segmenter(
    model: str | Path = DEFAULT_MODEL,
    engine: str = "auto",
    device: str = "auto",
    *,
    gate: GateConfig | None = None,
    threads: int | None = None,
    **options: Any,
) -> Segmenter:
    """A segmenter for one stream.

    ``model``: a name in :data:`MODELS`, or the path of a checkpoint file.  ``engine``: "auto"
    (the fastest that passes its self-check) or a name in ``engines.ENGINES``.  ``device``:
    "auto", "cpu", "cuda" or "cuda:N".  ``gate``: what counts as sounding (None: as the weight
    file says); a pipeline replaces it by that of its post-processing.  ``threads``: how many
    compute (None: as many as the engine takes; see ``engines.threads``).  ``options``: see the
    model's own ``create``.

    Raises ModelError for an unknown name or a model that lacks its weights, CheckpointError for
    a file that does not fit, EngineError for an engine or device that cannot serve,
    ParameterError for an option of the gate that the model does not have.
    """
    entry, name, checkpoint = _find(model)
    with limited_threads(threads):
        made: Segmenter = importlib.import_module(entry.module).create(
            name=name, engine=engine, device=device, **entry.arguments, **checkpoint, **options
        )
    if gate is not None:
        try:
            apply_gate(made, gate)
        except ParameterError:
            made.close()
            raise
    return made


def step_program(model: str | Path = DEFAULT_MODEL, **options: Any) -> StepProgram:
    """The visual step of a model, for export; arguments and errors as above."""
    entry, name, checkpoint = _find(model)
    program: StepProgram = importlib.import_module(entry.module).program(
        name=name, **entry.arguments, **checkpoint, **options
    )
    return program


def weight_file(model: str | Path) -> Path | None:
    """The file that a model's own weights are in; None for one that has none."""
    entry, _, checkpoint = _find(model)
    if checkpoint:
        return checkpoint["checkpoint"]
    return _DATA / f"{entry.weights}.safetensors" if entry.weights else None


def _find(model: str | Path) -> tuple[Model, str, dict[str, Path]]:
    """The model's entry, its name, and the checkpoint where ``model`` is a file."""
    text = str(model)
    if text in MODELS:
        return MODELS[text], text, {}
    path = Path(text).expanduser()
    if not path.exists() and path.suffix not in _FILE_SUFFIXES:
        raise ModelError(
            f"unknown model {text!r}; known: {', '.join(MODELS)}, or the path of a checkpoint file"
        )
    # Other files than safetensors cannot say it.
    module = _KINDS.get(str(header_value(path, "kind")), _PUBLISHED)
    return Model(f"checkpoint {path}", module), path.stem, {"checkpoint": path}


def describe(
    segmenter: Segmenter, model: str | Path, threads: int | None = None
) -> dict[str, Any]:
    """Plain values that JSON can hold.

    ``model``, ``threads``: as ``create_segmenter`` got them.  Keys: ``avs_ros`` (version),
    ``model``, ``engine``, ``library`` (the engine's, with its version), ``device``, ``threads``
    (a number, or "auto") and ``weights`` ({file name: SHA-256}; empty where none was read).  On
    one machine, equal records and equal input give equal masks.
    """
    return {
        "avs_ros": avs_ros.__version__,
        "model": segmenter.name,
        "engine": segmenter.engine,
        "library": _library(segmenter.engine),
        "device": segmenter.device,
        "threads": threads or "auto",
        "weights": _weights(segmenter, model),
    }


def _library(engine: str) -> str:
    name = (ENGINES[engine].requires or "torch") if engine in ENGINES else ""
    try:
        return f"{name} {importlib.metadata.version(name)}" if name else ""
    except importlib.metadata.PackageNotFoundError:
        return name


def _weights(segmenter: Segmenter, model: str | Path) -> dict[str, str]:
    """Of the model's own file, and of others that the segmenter was built from."""
    from avs_ros.weights.sources import sha256_of

    others: dict[str, str] = getattr(segmenter, "weights", {})
    try:
        path = weight_file(model)
    except ModelError:  # not one of ours
        path = None
    own = {} if path is None or not path.is_file() else {path.name: sha256_of(path)}
    return {**own, **others}
