"""The light recipe from photographs and recordings to one file.

Segmenter of potential sounding objects; audio-visual correlation; calibration; file.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import torch

from avs_ros.errors import CheckpointError
from avs_ros.inference.light import BUNDLED
from avs_ros.models.avsc import AVSC
from avs_ros.models.light.checkpoint import load_light
from avs_ros.training.report import RunReporter
from recipes.avsc_light import instances
from recipes.avsc_light.calibration import calibrate
from recipes.avsc_light.correlation import train_correlation
from recipes.avsc_light.export import export, unmoved
from recipes.avsc_light.pairs import Heard, Seen, listen, look
from recipes.avsc_light.scenes import InstanceSampler
from recipes.avsc_light.segmenter import SegmenterTraining
from recipes.avsc_light.settings import AVSCLightSettings
from recipes.avsc_light.start import audio_parameters, start_network
from recipes.c3n_light import images, recordings
from recipes.c3n_light.audio_stage import SoundSampler

# Windows of held-out recordings that the threshold is chosen on.
HELD_SOUNDS = 1200


def train_light(
    settings: AVSCLightSettings, data: Path, output: Path, reporter: RunReporter, *, resume: bool
) -> Path:
    """Train, and return the file.  ``output``/cache keeps the images and sounds, decoded."""
    work = output / "cache"
    recordings.gather(data, work)
    images.gather(data, work)
    instances.gather(data, work)
    torch.manual_seed(settings.seed)
    start = Path(settings.init_from or BUNDLED)
    teacher = load_light(start)
    net = start_network(teacher, settings.image_size)
    training = SegmenterTraining(settings, net, teacher.network, work, output, reporter)
    training.run(continue_run=resume)
    correlated = output / "correlated.pt"
    done = torch.load(correlated, weights_only=True) if resume and correlated.is_file() else {}
    # A segmenter that has learned further since wants its pairs again.
    if done.get("epochs") == settings.epochs:
        net.load_state_dict(done["network"])
    else:
        correlate(settings, net, work, reporter)
        part = correlated.with_suffix(".part")
        torch.save({"network": net.state_dict(), "epochs": settings.epochs}, part)
        os.replace(part, correlated)
    calibration = calibrate(
        net, *held_out(settings, net, work), settings.empty_on_mismatch, reporter.say
    )
    reporter.log("calibration", 0, calibration)
    same = unmoved(net, teacher, data)
    if same:
        raise CheckpointError(f"tensors that no training has moved: {', '.join(same[:5])}")
    target = output / "avsc_light.safetensors"
    export(target, net, data, start, calibration, dataclasses.asdict(settings))
    return target


def correlate(settings: AVSCLightSettings, net: AVSC, work: Path, reporter: RunReporter) -> None:
    """The second step, in place."""
    scenes = InstanceSampler(work, False, settings.image_size, settings.seed + 1)
    drawn = [
        scenes.scene()
        for _ in reporter.track(
            range(settings.pairs_scenes), settings.pairs_scenes, "drawing scenes"
        )
    ]
    seen = look(net, drawn, settings.image_size // 4)
    heard = listen(net, SoundSampler(work, False, settings.seed + 1), settings.pairs_sounds)

    def report(step: int, loss: float) -> None:
        if step % 25 == 0 or step == settings.pairs_steps:
            reporter.log("correlation", step, {"loss": loss})

    steps = reporter.track(range(settings.pairs_steps), settings.pairs_steps, "pairing")
    train_correlation(net, audio_parameters(net), seen, heard, settings, steps, report)


def held_out(settings: AVSCLightSettings, net: AVSC, work: Path) -> tuple[Seen, Heard]:
    """What calibration may look at: whole held-out images, and windows of such recordings."""
    sampler = InstanceSampler(work, True, settings.image_size, settings.seed)
    scenes = [sampler.whole(index) for index in sampler.indices]
    seen = look(net, scenes, settings.image_size // 4)
    sounds = SoundSampler(work, True, settings.seed + 2)
    count = min(HELD_SOUNDS, 4 * int(np.ceil(settings.pairs_sounds / 4)))
    return seen, listen(net, sounds, count)
