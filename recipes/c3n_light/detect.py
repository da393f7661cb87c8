"""``python -m recipes.c3n_light detect``: detector, audio networks, gate, the shipped file.

C3N and its class head come from a light file that ``train`` has made (``init_from``).  Every stage
resumes; what is seen of images is kept under the output folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from avs_ros.errors import ParameterError
from avs_ros.inference.light import BUNDLED
from avs_ros.models.light.checkpoint import load_light, save_light
from avs_ros.models.light.detector import Detector
from recipes.c3n_light.categories import categories, evidence_tables
from recipes.c3n_light.detecting import (
    DetectingStage,
    continue_detector,
    move_back,
    start_detector,
)
from recipes.c3n_light.detector_scenes import detector_rows
from recipes.c3n_light.gate_fit import (
    NEUTRAL_THRESHOLDS,
    GateSettings,
    fitted_gate,
    neutral_gate,
    say_clips_apart,
)
from recipes.c3n_light.listening import Listeners, ListeningStage, free_sounds
from recipes.c3n_light.mask_training import MaskStage
from recipes.c3n_light.provenance import made_by
from recipes.c3n_light.rendered import rendered_instruments
from recipes.c3n_light.scene_sources import coco_names, gather_scenes
from recipes.c3n_light.settings import BUNDLED_NAME, require_shares, require_stamps
from recipes.c3n_light.stages import Reporter, learn

# Categories that the same sounds fit; which of them, the image says.
CONFUSABLE_GROUPS = (("car", "bus", "truck", "motorcycle", "tractor", "engine"),)


@dataclass(frozen=True)
class DetectSettings(GateSettings):
    """``init_from``: light file with C3N, ``bundled`` for the package's; ``go_on``: its detector
    too, where it has one, else YOLOX-nano.  ``stamps``: folder of Tux Paint's stamps,
    ``soundfont``: file that instruments are rendered from; empty to do without.
    ``whole_size``: of the frames that the detector sees, px, ``instance_size``: where it is by
    itself; ``scene_size``: of its training
    scenes.  ``listening_back``, ``back``: share of the way back to the public audio networks and
    detector at the end.
    """

    init_from: str = BUNDLED_NAME
    go_on: bool = False
    stamps: str = "/usr/share/tuxpaint/stamps"
    soundfont: str = "/usr/share/sounds/sf2/FluidR3_GM.sf2"
    whole_size: int = 416
    instance_size: int = 512
    scene_size: int = 352
    listening_steps: int = 90
    listening_batch: int = 12
    listening_back: float = 0.5
    detecting_steps: int = 6500
    detecting_batch: int = 8
    back: float = 0.3
    mask_steps: int = 6000
    hold: float = 1.5
    context: float = 5.0
    checkpoint_every: int = 100
    threads: int = 0

    def __post_init__(self) -> None:
        """Raise ParameterError for the first value outside its range."""
        super().__post_init__()
        for name in ("whole_size", "instance_size", "scene_size"):
            if getattr(self, name) < 64 or getattr(self, name) % 32:
                raise ParameterError(f"{name} must be a multiple of 32 from 64 on")
        require_stamps(self.stamps)
        require_shares(self, "listening_back", "back")


def run_detect(settings: DetectSettings, data: Path, output: Path, reporter: Reporter) -> Path:
    """Every stage in turn; returns the file."""
    torch.manual_seed(settings.seed)
    listeners, detector = (
        _listen(settings, data, output, reporter),
        _detect(settings, data, output, reporter),
    )
    draft, target = output / "draft.safetensors", output / "c3n_light.safetensors"
    write(draft, settings, data, listeners, detector, neutral_gate(), NEUTRAL_THRESHOLDS)
    found = fitted_gate(draft, settings, data, output, reporter)
    write(
        target, settings, data, listeners, detector, found.metadata, found.thresholds, found.curve
    )
    say_clips_apart(target, data, found, reporter)
    return target


def write(
    target: Path,
    settings: DetectSettings,
    data: Path,
    listeners: Listeners,
    detector: Detector,
    gate: Mapping[str, Any],
    calibration: Mapping[str, Any],
    curve: Sequence[Mapping[str, float]] = (),
) -> None:
    """The base file's network with the new parts, and all that must be known of them."""
    base = load_light(_base(settings))
    network = base.network
    network.audio_encoder.load_state_dict(listeners.network.state_dict())
    told = {k: v for k, v in base.metadata.items() if k not in ("kind", "build", "names")}
    told["provenance"] = {
        **told.get("provenance", {}),
        "detecting": {
            **made_by("detect", settings, data),
            "refusal_curve": list(curve),
            **_before(settings, base.metadata),
        },
    }
    told["detecting"] = {
        **vocabulary(coco_names(data)),
        "whole_size": settings.whole_size,
        "instance_size": settings.instance_size,
        **gate,
        "calibration": {
            "hold": settings.hold,
            "context": settings.context,
            "confusable_groups": [list(group) for group in CONFUSABLE_GROUPS],
            **calibration,
        },
    }
    save_light(
        target, network, base.metadata["names"], told,
        detector=detector, short_audio=listeners.short,
    )  # fmt: skip


def _before(settings: DetectSettings, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Where the detector goes on: what the base file says of how its own was made."""
    told = metadata.get("provenance", {}).get("detecting")
    if not (settings.go_on and told):
        return {}
    return {"before": {k: v for k, v in told.items() if k not in ("refusal_curve", "data")}}


def vocabulary(coco: list[str]) -> dict[str, Any]:
    """What the file says of its categories."""
    return {
        "categories": [category.name for category in categories()],
        "imagenet": [list(category.imagenet) for category in categories()],
        "evidence": evidence_tables(),
        "candidates": {
            "detector_classes": list(detector_rows(coco)[0]),
            "detector_rows": [list(rows) for rows in detector_rows(coco)[1]],
        },
    }


def _known_classes(metadata: Mapping[str, Any], coco: list[str]) -> list[str]:
    """Names of a file's detector classes."""
    told = metadata["detecting"]
    candidates = told["candidates"]
    if "detector_classes" in candidates:
        return list(candidates["detector_classes"])
    # Earlier files: the first category that a class beyond COCO's comes first for.
    names: dict[int, str] = {}
    for name, rows in zip(told["categories"], candidates["detector_rows"], strict=True):
        if rows and rows[0] >= len(coco):
            names.setdefault(rows[0], name)
    return [*coco, *(names[row] for row in sorted(names))]


def _base(settings: DetectSettings) -> Path:
    return BUNDLED if settings.init_from == BUNDLED_NAME else Path(settings.init_from)


def _listen(settings: DetectSettings, data: Path, output: Path, reporter: Reporter) -> Listeners:
    listeners = Listeners(data)
    font = Path(settings.soundfont)
    played = (
        rendered_instruments(font, output / "rendered", reporter.say) if settings.soundfont else []
    )
    public = Listeners(data)
    stage = ListeningStage(
        listeners,
        public,
        free_sounds(data),
        played,
        settings.listening_batch,
        settings.seed,
    )
    learn(stage, settings.listening_steps, output, reporter, seed=settings.seed,
          checkpoint_every=settings.checkpoint_every)  # fmt: skip
    # Half-way it knows the sounds that it was taught and keeps the names of all others.
    listeners.eval().requires_grad_(False)
    with torch.no_grad():
        for own, before in zip(listeners.parameters(), public.parameters(), strict=True):
            own.lerp_(before, settings.listening_back)
    return listeners


def _detect(settings: DetectSettings, data: Path, output: Path, reporter: Reporter) -> Detector:
    coco = coco_names(data)
    names = detector_rows(coco)[0]
    network, public = start_detector(data, len(names))
    base = load_light(_base(settings))
    if settings.go_on and base.detector is not None:
        continue_detector(network, base.detector, names, _known_classes(base.metadata, coco))
    scenes = gather_scenes(data, output, settings.stamps, reporter.say)
    stage = DetectingStage(
        network, public, scenes, settings.scene_size, settings.detecting_batch, settings.seed
    )
    learn(stage, settings.detecting_steps, output, reporter, seed=settings.seed,
          checkpoint_every=settings.checkpoint_every)  # fmt: skip
    if settings.back:
        move_back(network, public, settings.back)
    masks = MaskStage(
        network, scenes, settings.whole_size, settings.detecting_batch, settings.seed
    )
    learn(masks, settings.mask_steps, output, reporter, seed=settings.seed,
          checkpoint_every=settings.checkpoint_every)  # fmt: skip
    return network.eval().requires_grad_(False)
