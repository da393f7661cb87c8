"""The whole recipe: stage after stage, then gate, calibration and the file that is kept."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from avs_ros.errors import CheckpointError
from avs_ros.inference.light import BUNDLED
from avs_ros.models.light.checkpoint import load_light
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.vocabulary import CATEGORY_NAMES, CONFUSABLE_GROUPS, SOUND_CLASS_NAMES
from recipes.c3n_light import images, motors, recordings, spoken
from recipes.c3n_light.audio_stage import (
    AudioStage,
    SoundSampler,
    YamnetTeacher,
    start_audio_encoder,
)
from recipes.c3n_light.companions import calibrate_companion, train_companion
from recipes.c3n_light.evidence import gather_gate_dataset, listen, look_at_held_out
from recipes.c3n_light.export import export, untouched
from recipes.c3n_light.gate_training import calibrate, lift_maps, train_gate
from recipes.c3n_light.joint import (
    INTERPOLATION_AUDIO,
    INTERPOLATION_AUDIO_ALONE,
    INTERPOLATION_END,
    INTERPOLATION_VISUAL,
    JointStage,
    PairSampler,
    interpolate_weights,
)
from recipes.c3n_light.refine import MORE_OF, RefineStage
from recipes.c3n_light.scenes import SceneSampler
from recipes.c3n_light.settings import BUNDLED_NAME, C3NLightSettings
from recipes.c3n_light.stages import Cost, Reporter, Stage, learn
from recipes.c3n_light.visual_stage import VisualStage, new_network

NETWORK = "c3n_light.safetensors"
# Log-odds by which a category that sounds may fall below its threshold and go on: on held-out
# sounds of three seconds it marks more, and starts fewer false marks, than a lower threshold.
HOLD = 2.0


def gather(settings: C3NLightSettings, data: Path, work: Path, say: Callable[[str], None]) -> None:
    """Fill the caches under ``work``, unless they are there."""
    recordings.gather(data, work)
    if settings.spoken:
        count = spoken.gather(work)
        say(
            f"{count} sentences by {spoken.PROGRAM}"
            if count
            else f"{spoken.PROGRAM} is not installed: the recorded speech alone is used"
        )
    if settings.motors and not (work / motors.TABLE).is_file():
        count = motors.gather(work, YamnetTeacher(data))
        say(f"{count} made-up motors that YAMNet takes for motors")
    images.gather(data, work)


def load_start(path: Path) -> LightC3N:
    """The network of a light file, to go on from.

    Raises CheckpointError where it marks other categories or hears other voices than this code.
    """
    model = load_light(path)
    if model.categories != CATEGORY_NAMES or model.sound_classes != SOUND_CLASS_NAMES:
        raise CheckpointError(
            f"{path} knows other categories or sound classes than this training: start without "
            f"init_from"
        )
    return model.network.requires_grad_(True)


def _start_file(settings: C3NLightSettings) -> Path:
    return BUNDLED if settings.init_from == BUNDLED_NAME else Path(settings.init_from)


def start_network(settings: C3NLightSettings, data: Path) -> LightC3N:
    """What the first stage starts from."""
    torch.manual_seed(settings.seed)
    if not settings.init_from:
        net = new_network(data, settings.channels, settings.image_size)
        start_audio_encoder(net, data)
        return net
    net = load_start(_start_file(settings))
    net.c3n.image_size = net.image_size = settings.image_size
    return net


def train_whole(
    settings: C3NLightSettings,
    data: Path,
    work: Path,
    output: Path,
    reporter: Reporter,
    *,
    device: str = "cpu",
    start: LightC3N | None = None,
) -> Path:
    """Every stage (each goes on where it was interrupted), then ``output``'s weight file.

    ``start``: a network instead of what ``settings`` name.  Raises CheckpointError when a stage's
    state is another run's.
    """
    net = (start or start_network(settings, data)).to(device)
    costs = {
        name: learn(
            stage, steps, output, reporter,
            seed=settings.seed, checkpoint_every=settings.checkpoint_every,
        )
        for name, steps, stage in _stages(net, settings, data, work, device)
    }  # fmt: skip
    net = net.to("cpu")
    if settings.settle_steps:
        interpolate_weights(net, data, 0.0, INTERPOLATION_END)
    elif settings.audio_steps:
        interpolate_weights(net, data, 0.0, INTERPOLATION_AUDIO_ALONE)
    return finish(net, settings, data, work, output / NETWORK, reporter, costs, device)


def _stages(net: LightC3N, settings: C3NLightSettings, data: Path, work: Path, device: str) -> Any:
    """(Name, steps, stage) in turn; each is made when the one before is done."""
    s = settings

    def scenes(size: int, more: bool = False) -> SceneSampler:
        return SceneSampler(work, False, size, s.seed, MORE_OF if more else None, s.teachers)

    def pairs(more: bool = False) -> PairSampler:
        return PairSampler(work, s.seed, s.small_size, MORE_OF if more else None, s.teachers)

    def begin(stage: Stage, steps: int) -> tuple[str, int, Stage]:
        net.c3n.backbone.requires_grad_(s.backbone == "fine_tuned")
        return stage.name, steps, stage

    if s.audio_steps:
        audio_encoder = AudioStage(net, data, work, s.audio_batch, s.seed, s.teachers)
        yield begin(audio_encoder, s.audio_steps)
    if s.visual_steps:
        yield begin(
            VisualStage(net, scenes(s.small_size), scenes(s.image_size), s.batch, s.seed),
            s.visual_steps,
        )
    if s.joint_steps:
        with torch.no_grad():
            net.objectness_gain.fill_(0.05)
        yield begin(JointStage(net, pairs(), s.batch, s.seed), s.joint_steps)
    if s.settle_steps:
        # Fine-tuning on few images and sounds forgets classes that are not among them.
        interpolate_weights(net.cpu(), data, INTERPOLATION_VISUAL, INTERPOLATION_AUDIO)
        before = new_network(data, s.channels, s.image_size).eval().to(device)
        yield begin(JointStage(net.to(device), pairs(), s.batch, s.seed, before), s.settle_steps)
    if s.refine_steps:
        with_more = RefineStage(net, scenes(net.image_size, True), pairs(True), s.batch, s.seed)
        yield begin(with_more, s.refine_steps)
        net.audio_encoder.requires_grad_(True)
        net.affinity.requires_grad_(True)


def finish(
    net: LightC3N,
    settings: C3NLightSettings,
    data: Path,
    work: Path,
    target: Path,
    reporter: Reporter,
    costs: dict[str, Cost],
    device: str = "cpu",
) -> Path:
    """Gate, calibration, file: from what the stages have taught to what is used."""
    net = copy.deepcopy(net)
    net.requires_grad_(True)
    lifts = lift_maps(net, work)
    reporter.say(f"maps raised by {lifts}")
    dataset = gather_gate_dataset(net, work, settings.gate_images, settings.gate_sounds)
    train_gate(net, dataset, reporter.say, steps=settings.gate_steps)
    train_companion(net, dataset, reporter.say, steps=settings.gate_steps)
    sounds = max(16, settings.gate_sounds * 3 // 10)
    held = look_at_held_out(net, work), listen(net, SoundSampler(work, True, 4), sounds)
    calibration: dict[str, Any] = dict(calibrate(net, *held, reporter.say))
    companion_logits = calibrate_companion(net, *held, calibration["threshold"])
    reporter.say(f"a second category beside the first: threshold {companion_logits:.3f}")
    calibration["companion_threshold"] = companion_logits
    calibration["map_lift"] = lifts
    calibration["confusable_groups"] = [list(group) for group in CONFUSABLE_GROUPS]
    calibration["hold"] = HOLD
    # A start that is trained already, or a part that is frozen, is no mistake.
    if not settings.init_from and settings.backbone == "fine_tuned" and settings.joint_steps:
        same = untouched(net, data)
        if same:
            reporter.say(f"{len(same)} tensors are as they started: {', '.join(same[:5])}")
    log: dict[str, Any] = {
        "device": device,
        "threads": torch.get_num_threads(),
        "stages": {name: cost.minutes() for name, cost in costs.items()},
        "wall_minutes": round(sum(cost.wall_s for cost in costs.values()) / 60, 1),
        "cpu_minutes": round(sum(cost.cpu_s for cost in costs.values()) / 60, 1),
        "settings": dataclasses.asdict(settings),
    }
    if settings.init_from:
        earlier = load_light(_start_file(settings)).metadata.get("provenance", {})
        log["before"] = earlier.get("log", {})
    export(net, data, target, calibration, log)
    return target
