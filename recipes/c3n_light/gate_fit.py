"""The gate of a light file with a detector: gather examples with a draft, fit, choose thresholds.

Also by itself, ``python -m recipes.c3n_light gate``: on the networks of a file that there is, with
the tables of categories and sounds as they are now.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avs_ros.errors import CheckpointError
from avs_ros.inference.explaining import INPUTS, Background
from avs_ros.models.light.checkpoint import load_light, save_light
from recipes.c3n_light.categories import categories, evidence_tables
from recipes.c3n_light.clips_apart import clips_apart
from recipes.c3n_light.explaining import (
    Examples,
    companion_examples,
    companion_threshold_for,
    fit,
    gates_apart,
    in_fold,
    refusal_curve,
    threshold_for,
)
from recipes.c3n_light.gate_examples import gather_examples
from recipes.c3n_light.provenance import made_by
from recipes.c3n_light.settings import CountedInSteps, require_shares
from recipes.c3n_light.stages import Reporter

NEUTRAL_THRESHOLDS = {"threshold": 0.5, "companion_threshold": 0.5}


@dataclass(frozen=True)
class GateSettings(CountedInSteps):
    """``pairs``: composites, ``doubles``: those of two things; ``empty``: share of those without
    a source that must stay empty; ``beside``: share of those with one in which something else may
    be marked too.
    """

    seed: int = 5
    pairs: int = 20000
    doubles: int = 3000
    empty: float = 0.965
    beside: float = 0.04

    def __post_init__(self) -> None:
        """Raise ParameterError for the first value outside its range."""
        require_shares(self, "empty", "beside")


@dataclass(frozen=True)
class FittedGate:
    """``metadata``: the gate and what it weighs evidence against, as a file holds them;
    ``apart``: see :func:`gates_apart`, with companions.
    """

    metadata: Mapping[str, Any]
    thresholds: Mapping[str, float]
    curve: Sequence[Mapping[str, float]]
    apart: Sequence[Mapping[str, Any]]


def fitted_gate(
    draft: Path, settings: GateSettings, data: Path, output: Path, reporter: Reporter
) -> FittedGate:
    """Of what ``draft`` sees and hears."""
    examples, background = _examples(draft, settings, data, output, reporter)

    def companion_of(gate: Mapping[str, Any], some: Examples) -> tuple[Examples, dict[str, Any]]:
        beside = companion_examples(some, gate, Background(background))
        return beside, fit(beside)

    gate = fit(examples)
    threshold = threshold_for(examples, gate, settings.empty)
    beside, gate["companion"] = companion_of(gate, examples)
    companion = companion_threshold_for(beside, gate["companion"], settings.beside)
    reporter.say(f"gate: {len(examples.truth)} examples, threshold {threshold:.3f}, "
                 f"{companion:.3f} beside another")  # fmt: skip
    apart = gates_apart(examples)
    for fold, one in enumerate(apart):
        one["companion"] = companion_of(one, examples.only(~in_fold(examples, fold)))[1]
    curve = refusal_curve(examples, gate, apart)
    for row in curve:
        reporter.say(", ".join(f"{name} {value:.3f}" for name, value in row.items()))
    chosen = {"threshold": round(threshold, 4), "companion_threshold": round(companion, 4)}
    return FittedGate({"gate": gate, "background": background}, chosen, curve, apart)


def run_gate(
    checkpoint: Path, settings: GateSettings, data: Path, output: Path, reporter: Reporter
) -> Path:
    """A file with the networks of ``checkpoint``, the present evidence and a gate for it.

    Raises CheckpointError where the file's categories are not the present ones.
    """
    draft, target = output / "draft.safetensors", output / "c3n_light.safetensors"
    model = load_light(checkpoint)
    told = {k: v for k, v in model.metadata.items() if k not in ("kind", "build", "names")}
    detecting = dict(told["detecting"])
    if list(detecting["categories"]) != [one.name for one in categories()]:
        raise CheckpointError(f"{checkpoint} has other categories: run detect")
    detecting["evidence"] = evidence_tables()

    def write(path: Path, gate: Mapping[str, Any], thresholds: Mapping[str, float]) -> None:
        calibration = {**detecting["calibration"], **thresholds}
        told["detecting"] = {**detecting, **gate, "calibration": calibration}
        save_light(
            path, model.network, model.metadata["names"], told,
            detector=model.detector, short_audio=model.short_audio,
        )  # fmt: skip

    write(draft, neutral_gate(), NEUTRAL_THRESHOLDS)
    found = fitted_gate(draft, settings, data, output, reporter)
    made = {**made_by("gate", settings, data), "refusal_curve": list(found.curve)}
    told["provenance"] = {**told.get("provenance", {}), "gate": made}
    write(target, found.metadata, found.thresholds)
    say_clips_apart(target, data, found, reporter)
    return target


def say_clips_apart(target: Path, data: Path, found: FittedGate, reporter: Reporter) -> None:
    """Report what the clips score, each by a gate that has not met it."""
    for name, scores in clips_apart(target, data, found.apart).items():
        reporter.say(f"{name}, each by a gate that has not met it: " + ", ".join(scores))


def neutral_gate() -> dict[str, Any]:
    """A gate that accepts nothing: what a draft has."""
    zeros, ones = [0.0] * INPUTS, [1.0] * INPUTS
    gate = {
        "mean": zeros, "spread": ones, "hidden": [zeros], "hidden_bias": [0.0], "weights": [0.0],
        "bias": -9.0,
    }  # fmt: skip
    return {"gate": gate, "background": None}


def _examples(
    draft: Path, settings: GateSettings, data: Path, output: Path, reporter: Reporter
) -> tuple[Examples, dict[str, Any]]:
    """What the gate learns from, kept until the draft or what is asked of it changes."""
    payload = [draft.read_bytes(), f"{settings.pairs} {settings.doubles} {settings.seed}".encode()]
    kept = output / f"examples_{hashlib.sha256(b''.join(payload)).hexdigest()[:12]}.npz"
    if kept.is_file():
        with np.load(kept) as arrays:
            found = dict(arrays)
            background = json.loads(str(found.pop("background")))
            return Examples(**found), background
    examples, background = gather_examples(
        draft, data, settings.pairs, settings.doubles, settings.seed, reporter.say
    )
    np.savez_compressed(kept, background=json.dumps(background), **vars(examples))
    return examples, background
