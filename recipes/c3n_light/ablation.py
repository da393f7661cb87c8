"""What each part of the recipe brings: short runs from one state, on the same cases.

The trunk's runs change one thing each against the first of them; the last run is the whole
recipe, with as many steps.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from avs_ros.evaluation.composite import MATCHED, MISMATCHED, SILENT, TWO, Case, make_cases
from avs_ros.evaluation.composite_benchmark import CompositeBenchmark, ScoredCase, judge
from avs_ros.evaluation.composite_data import read_dataset
from avs_ros.evaluation.composite_scores import intervals, score
from avs_ros.evaluation.run_files import make_folder, write_whole
from avs_ros.inference.light import BUNDLED, LightSegmenter
from avs_ros.models.light.checkpoint import load_light
from avs_ros.models.light.network import LightC3N
from avs_ros.segmentation import Bytes
from recipes.c3n_light.joint import PairSampler
from recipes.c3n_light.recipe import train_whole
from recipes.c3n_light.settings import C3NLightSettings
from recipes.c3n_light.stages import Cost, Reporter, learn
from recipes.c3n_light.trunk import Sensed, Trunk, TrunkStage, answers_of, sense_all
from recipes.c3n_light.visual_stage import new_network

ASKED = (MATCHED, MISMATCHED, SILENT, TWO)
# Columns of the table: heading, score of the composite benchmark.
COLUMNS = (
    ("M_J", "m_j"),
    ("classes equal", "m_j_classes"),
    ("mismatch: empty", "mismatch_empty"),
    ("mismatch: false pixels", "mismatch_false"),
    ("silence: empty", "silence_empty"),
    ("two objects", "two_share"),
    ("(by area)", "two_by_area"),
)
FIRST = "CCAM gates only"
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    (FIRST, {}),
    ("+ CAM prior channel", {"gates": "cam_prior"}),
    ("+ CAM prior channel + stronger gates", {"gates": "strong"}),
    ("without TPAVI", {"tpavi": False}),
    ("without the teachers' masks", {"teachers": False}),
    ("backbone fine-tuned", {"backbone": "fine_tuned"}),
    ("whole recipe", {"part": "whole", "backbone": "fine_tuned"}),
    ("input 288 px", {"image_size": 288}),
    ("input 320 px", {"image_size": 320}),
)


@dataclass(frozen=True)
class VariantResult:
    """One run: its name, cost, scores of the composite benchmark and their 95 % intervals."""

    name: str
    cost: dict[str, float]
    scores: dict[str, Any]
    intervals: dict[str, Any]

    @staticmethod
    def of(name: str, cost: dict[str, float], answers: Sequence[ScoredCase]) -> VariantResult:
        """What the answers of a run come to."""
        return VariantResult(name, cost, score(answers), dict(intervals(answers)))

    def to_json(self) -> str:
        """Everything; :meth:`read` reads it back."""
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @staticmethod
    def read(path: Path) -> VariantResult:
        """What :meth:`to_json` wrote."""
        return VariantResult(**json.loads(path.read_text(encoding="utf-8")))

    def cell(self, name: str) -> str:
        """A score and its interval."""
        value, ends = self.scores[name], self.intervals.get(name)
        if value is None:
            return "-"
        return f"{value:.3f}" + (f" ({ends[0]:.2f} .. {ends[1]:.2f})" if ends else "")


def start_network(data: Path, settings: C3NLightSettings) -> LightC3N:
    """The state that every run starts from: public visual encoder, bundled audio encoder and
    affinity, new decoder.
    """
    torch.manual_seed(settings.seed)
    net = new_network(data, settings.channels, settings.image_size)
    ready = load_light(BUNDLED).network
    net.audio_encoder.load_state_dict(ready.audio_encoder.state_dict())
    net.affinity.load_state_dict(ready.affinity.state_dict())
    return net


class TrunkRuns:
    """Runs of the trunk; what a frozen backbone says of the same pairs is kept between them."""

    def __init__(self, data: Path, work: Path, cases: Sequence[Case]) -> None:
        self.data, self.work, self.cases = data, work, cases
        self._kept: dict[tuple[int, bool, int], Any] = {}
        self._asked: dict[int, Sensed] = {}

    def run(
        self, settings: C3NLightSettings, folder: Path, reporter: Reporter
    ) -> tuple[Cost, list[ScoredCase]]:
        """Train the trunk that ``settings`` describe, and ask it the cases."""
        net = start_network(self.data, settings)
        trunk = Trunk(net, settings.gates, settings.tpavi)
        size, seed = settings.image_size, settings.seed
        sampler = PairSampler(self.work, seed, size, teachers=settings.teachers)
        stage = TrunkStage(net, trunk, sampler, size, settings.batch, seed)
        frozen = settings.backbone == "frozen"
        if frozen:
            key = (size, settings.teachers, settings.trunk_pairs)
            if key not in self._kept:
                stage.prepare(settings.trunk_pairs)
                self._kept[key] = stage.kept
            stage.kept = self._kept[key]
            net.c3n.backbone.requires_grad_(False)
        cost = learn(
            stage, settings.trunk_steps, folder, reporter,
            seed=seed, checkpoint_every=settings.checkpoint_every,
        )  # fmt: skip
        if not frozen or size not in self._asked:
            frames = [_resized(case.view().rgb, size) for case in self.cases]
            sensed = sense_all(net, frames, [case.sound() for case in self.cases])
            if frozen:
                self._asked = {size: sensed}
        else:
            sensed = self._asked[size]
        answers = []
        for case, mask in zip(self.cases, answers_of(trunk, sensed), strict=True):
            view = case.view()
            whole = cv2.resize(mask, view.unknown.shape[::-1], interpolation=cv2.INTER_LINEAR)
            answer = judge(case, view, np.asarray(whole > 0.5))
            answers.append(dataclasses.replace(answer, shown=None))
        return cost, answers


def train_trunk(
    settings: C3NLightSettings, data: Path, work: Path, output: Path, reporter: Reporter
) -> list[str]:
    """Train the trunk of ``settings``, write ``scores.json``; its figures as lines."""
    cases = _cases(data)
    cost, answers = TrunkRuns(data, work, cases).run(settings, output, reporter)
    outcome = VariantResult.of("trunk", cost.minutes(), answers)
    write_whole(output / "scores.json", outcome.to_json())
    told = [f"{head}: {outcome.cell(name)}" for head, name in COLUMNS]
    return [*told, f"scores: {output / 'scores.json'}"]


def _cases(data: Path) -> list[Case]:
    """The benchmark's own, but for two sounds at once: the trunk has one mask."""
    return [case for case in make_cases(read_dataset(data)) if case.kind in ASKED]


def run_ablation(
    settings: C3NLightSettings, data: Path, work: Path, output: Path, reporter: Reporter
) -> list[VariantResult]:
    """Every run of :data:`VARIANTS`; finished ones are read back from ``output``."""
    cases = _cases(data)
    runs, outcomes = TrunkRuns(data, work, cases), []
    for name, changes in VARIANTS:
        folder = make_folder(output / name.replace(" ", "_").replace("'", ""))
        if (folder / "outcome.json").is_file():
            outcomes.append(VariantResult.read(folder / "outcome.json"))
            continue
        began = time.monotonic(), time.process_time()
        own = {"part": "trunk", "backbone": "frozen", **changes}
        if own["part"] == "whole":
            steps = settings.trunk_steps
            own |= {"audio_steps": 0, "visual_steps": 0, "joint_steps": 0, "settle_steps": 0,
                    "refine_steps": steps}  # fmt: skip
            chosen = dataclasses.replace(settings, **own)
            net = start_network(data, chosen)
            target = train_whole(chosen, data, work, folder, reporter, start=net)
            with_file = LightSegmenter(target, engine="torch")
            benchmark = CompositeBenchmark(with_file)
            answers = [dataclasses.replace(benchmark.ask(one), shown=None) for one in cases]
            with_file.close()
        else:
            chosen = dataclasses.replace(settings, **own)
            _, answers = runs.run(chosen, folder, reporter)
        cost = {
            "steps": settings.trunk_steps,
            "wall_minutes": round((time.monotonic() - began[0]) / 60, 1),
            "cpu_minutes": round((time.process_time() - began[1]) / 60, 1),
        }
        outcome = VariantResult.of(name, cost, answers)
        write_whole(folder / "outcome.json", outcome.to_json())
        reporter.say(f"{name}: {cost}; M_J {outcome.cell('m_j')}")
        outcomes.append(outcome)
    write_whole(output / "ablation.md", to_markdown(outcomes, settings))
    every = [json.loads(outcome.to_json()) for outcome in outcomes]
    about = {"settings": dataclasses.asdict(settings), "runs": every}
    write_whole(output / "ablation.json", json.dumps(about, indent=1) + "\n")
    return outcomes


def to_markdown(outcomes: Sequence[VariantResult], settings: C3NLightSettings) -> str:
    """One line for each run; in brackets 95 % intervals over images."""
    heads = [head for head, _ in COLUMNS]
    lines = [
        f"| variant | {' | '.join(heads)} | CPU min |",
        f"|---|{'---:|' * (len(heads) + 1)}",
    ]
    for outcome in outcomes:
        cells = [outcome.cell(name) for _, name in COLUMNS]
        lines.append(f"| {outcome.name} | {' | '.join(cells)} | {outcome.cost['cpu_minutes']} |")
    asked = outcomes[0].scores
    lines += [
        "",
        f"{asked['matched']} matching pairs, {asked['mismatched']} mismatches, {asked['silent']} "
        f"silences, {asked['two']} scenes of two. "
        f"{settings.trunk_steps} steps of {settings.batch} pairs each, seed {settings.seed}, from "
        "the same state (public visual encoder, bundled audio encoder, new decoder): a short "
        "schedule that tells the "
        "parts apart, not what they reach. Where nothing else is said: the trunk's own mask, "
        f"backbone frozen ({settings.trunk_pairs} pairs), {settings.image_size} px, with the "
        "VOC-21 teacher's masks. In brackets: 95 % intervals.",
    ]
    return "\n".join(lines) + "\n"


def _resized(rgb: Bytes, size: int) -> Bytes:
    return np.asarray(cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA))
