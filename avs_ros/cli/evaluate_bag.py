"""``avs evaluate bag``: replay bags that carry their truth, in process or live over DDS."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avs_ros.cli.options import (
    DEFAULT_MODEL,
    REFERENCE_ENGINE,
    add_bag_topics,
    add_workers,
    audio_format,
    check_workers,
)
from avs_ros.cli.progress import tracked
from avs_ros.cli.recorded_play import RecordedPlay
from avs_ros.errors import ParameterError
from avs_ros.evaluation.label_sets import read_label_sets
from avs_ros.evaluation.live import CAMERA_INFO, LiveRun, topics_of
from avs_ros.evaluation.replay import KEPT_WORST, Job, ReplayOptions, run_job, spread
from avs_ros.evaluation.run_files import (
    FRAMES,
    LIVE_FRAMES,
    make_folder,
    write_frames,
    write_metrics,
)
from avs_ros.evaluation.score_sheet import ScoreSheet
from avs_ros.evaluation.truth import bag_names, checked_bags, read_truth
from avs_ros.evaluation.worst import WorstFrame
from avs_ros.inference.segmenter import Segmenter
from avs_ros.media.bag import BagOptions
from avs_ros.media.bag_writer import NODE
from avs_ros.report.evaluation_report import MEANINGS, EvaluationSummary, write_report
from avs_ros.report.terminal import show_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs evaluate bag``."""
    parser.add_argument(
        "bags", type=Path, nargs="+", metavar="BAG", help="bags, or folders of them"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("evaluation"), metavar="DIR")
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME|FILE")
    parser.add_argument(
        "--engine", default="",
        help=f"default: {REFERENCE_ENGINE}, the reference; live auto, the fastest, as the node",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N")
    add_bag_topics(parser, "masks or boxes")
    parser.add_argument(
        "--labels", type=Path, metavar="FILE",
        help='more names that are right: {"name": {"visible": [...], "audible": [...]}} (JSON)',
    )  # fmt: skip
    parser.add_argument(
        "--batch-frames", type=int, default=5, help="frames that share an F threshold (5)"
    )
    parser.add_argument(
        "--truth-frames-only", action="store_true", help="run no frame that has no truth (quicker)"
    )
    add_workers(parser)
    live = parser.add_argument_group("live", "the same bags through the real node, over DDS")
    live.add_argument(
        "--live", action="store_true", help="also play them live: what do drops and delays cost?"
    )
    live.add_argument("--live-only", action="store_true", help="only live")
    live.add_argument("--rate", type=float, default=1.0, metavar="R", help="playing speed (1)")
    live.add_argument(
        "--probability", action="store_true",
        help="record probability maps, for M_F; costs the node time",
    )
    live.add_argument("--domain", type=int, metavar="N", help="DDS domain (default: a free one)")


def run(args: argparse.Namespace, load: Callable[..., Segmenter] | None = None) -> int:
    """Evaluate; print the table; write ``metrics.json``, frames and ``report.html``.

    ``load``: see ``replay.Job`` (tests choose the model with it).
    """
    check_workers(args)
    if args.batch_frames < 1:
        raise ParameterError(f"--batch-frames is {args.batch_frames}; it must be at least 1")
    if not 0.01 <= args.rate <= 100:
        raise ParameterError(f"--rate is {args.rate:g}; must be from 0.01 to 100")
    options = BagOptions(args.image, args.audio, audio_format=audio_format(args))
    names = read_label_sets(args.labels) if args.labels else None
    paths = checked_bags(args.bags, options, args.truth)
    bags = dict(zip(bag_names(paths), paths, strict=True))
    outcome = Outcome(args.model, len(bags))
    if not args.live_only:
        replayed = ReplayOptions(
            options, args.truth, every_frame=not args.truth_frames_only, names=names
        )
        jobs = [
            Job(str(path), args.model, args.engine or REFERENCE_ENGINE, args.device, replayed,
                args.batch_frames, args.threads, name, load)
            for name, path in bags.items()
        ]  # fmt: skip
        outcome.sheet = ScoreSheet(args.batch_frames, names)
        done = tracked(spread(run_job, jobs, args.jobs, args.ray), "replaying", len(jobs))
        for name, one in zip(bags, done, strict=True):
            outcome.sheet.extend(one.sheet)
            outcome.worst += one.worst
            outcome.engine = one.engine
            outcome.bags[name] = one.sheet.result() if one.sheet.frames else None
    if args.live or args.live_only:
        outcome.live_engine = args.engine or "auto"
        outcome.live = LiveRun(ScoreSheet(args.batch_frames, names))
        for name, path in tracked(bags.items(), "playing live", len(bags)):
            _play_live(args, name, path, outcome.live)
        outcome.rate, outcome.probability = args.rate, args.probability
    outcome.show()
    for path in outcome.write(args.output):
        print(f"  {path}")
    return 0


def _play_live(args: argparse.Namespace, name: str, bag: Path, live: LiveRun) -> None:
    """Play one bag to a fresh node, so that bags cannot influence each other."""
    truths, form = read_truth(bag, args.truth), audio_format(args)
    chosen: dict[str, object] = {"image_topic": args.image, "audio_topic": args.audio}
    if form is not None:
        chosen |= {
            "audio_rate": form.rate, "audio_channels": form.channels,
            "audio_format": form.sample_format,
        }
    with tempfile.TemporaryDirectory(prefix="avs_live_") as folder:
        recording = Path(folder) / "answers.mcap"
        with RecordedPlay(Path(folder) / "logs", args.domain, CAMERA_INFO) as play:
            play.start(recording, topics_of(NODE, args.probability), {
                "model": args.model, "engine": args.engine or "auto", "device": args.device,
                "image_transport": "raw",
                # The node's clock is the bag's: latencies then are true at any speed.
                "use_sim_time": True,
            })
            play.play({
                **{option: value for option, value in chosen.items() if value},
                "input": bag.resolve(), "image_type": "Image", "start_stamp": "recorded",
                "rate": float(args.rate), "clock_rate": 500.0,
            })
            play.settle()
        live.read(recording, name, NODE, truths, args.rate)


@dataclass
class Outcome:
    """A deterministic run (``sheet``), a live one (``live``), or both.

    ``engine``: what the deterministic one ran on; ``live_engine``: what the node was told.
    """

    model: str
    recordings: int
    engine: str = ""
    live_engine: str = ""
    sheet: ScoreSheet | None = None
    worst: list[WorstFrame] = field(default_factory=list)
    bags: dict[str, Any] = field(default_factory=dict)
    live: LiveRun | None = None
    rate: float = 1.0
    probability: bool = False

    def results(self) -> dict[str, dict[str, Any]]:
        """Scores by "deterministic" and "live", those that were run."""
        found = {}
        if self.sheet is not None:
            found["deterministic"] = self.sheet.result()
        if self.live is not None:
            found["live"] = self.live.result(self.probability)
        return found

    def show(self) -> None:
        """Print the table of scores."""
        results = self.results()
        rows = []
        for name, meaning in MEANINGS.items():
            values = [scores.get(name) for scores in results.values()]
            shown = ["-" if value is None else f"{value:.4f}" for value in values]
            if set(shown) != {"-"}:
                rows.append([name, *shown, meaning])
        missed = [str(scores["missed_frames"]) for scores in results.values()]
        rows.append(["missed_frames", *missed, "frames with a truth but without an answer"])
        times = [scores["latency_ms"] for scores in results.values()]
        if any(times):
            shown = [f"{t['p50']:.0f} / {t['p95']:.0f}" if t else "-" for t in times]
            rows.append(["latency_ms", *shown, "age of the frame when answered, ms, p50 / p95"])
        head = ["score", *results, "meaning"]
        title = f"{self.model}, {_counted(self.recordings, 'bag')}"
        show_table(head, rows, range(len(head)), (), title=title)

    def write(self, folder: Path) -> list[Path]:
        """Write every file; returns them.  Raises DatasetError when the folder cannot be made."""
        results = self.results()
        first, scores = next(iter(results.items()))
        about: dict[str, Any] = {
            "mode": first, "model": self.model, "engine": self.engine or self.live_engine,
            "frames_file": FRAMES, **scores,
        }
        sheets: dict[str, ScoreSheet] = {}
        if self.live is not None:
            sheets[FRAMES if self.sheet is None else LIVE_FRAMES] = self.live.sheet
        if self.sheet is None:
            about["rate"] = self.rate
        else:
            sheets[FRAMES] = self.sheet
            about["precision_recall"] = self.sheet.precision_recall()
            if "live" in results:
                about["live"] = {
                    "engine": self.live_engine, "frames_file": LIVE_FRAMES, "rate": self.rate,
                    **results["live"],
                }
        make_folder(folder)
        written = [write_frames(folder / name, one.records()) for name, one in sheets.items()]
        written.append(write_metrics(folder, {**about, "bags": self.bags}))
        return [*written, write_report(folder / "report.html", self._summary(results))]

    def _summary(self, results: dict[str, dict[str, Any]]) -> EvaluationSummary:
        summary = EvaluationSummary(
            f"{self.model} on {_counted(self.recordings, 'recording')}",
            next(iter(results.values())),
            worst=sorted(self.worst, key=lambda one: -one.badness)[:KEPT_WORST],
            live=results["live"] if len(results) > 1 else None,
        )
        notes, curves = [], {}
        if self.sheet is not None:
            notes.append(
                "Deterministic replay: every frame with a truth, no clock, nothing dropped."
            )
            curves["deterministic"] = self.sheet.precision_recall()
            summary.sync_errors_ms = self.sheet.values("sync_error_ms")
        if self.live is not None:
            notes.append(
                f"Live replay: through the node over DDS at {self.rate:g}x; "
                f"{self.live.answers} of {self.live.played} images were answered."
            )
            notes += _costs(results)
            if self.probability:
                curves["live"] = self.live.sheet.precision_recall()
            else:
                notes.append("Live M_F needs the probability maps: --probability records them.")
            summary.latencies_ms, summary.drops = self.live.latencies_ms, self.live.drops
            summary.sync_errors_ms = self.live.sync_errors_ms
        summary.notes, summary.curves = notes, curves
        return summary


def _costs(results: dict[str, dict[str, Any]]) -> list[str]:
    """What drops and delays do to M_J, in words."""
    calm, live = results.get("deterministic"), results["live"]
    if calm is None or calm["m_j_frames"] is None or live["m_j_at_once"] is None:
        return []
    whole, dropped, late = calm["m_j_frames"], live["m_j_missed_empty"], live["m_j_at_once"]
    return [
        f"M_J, every frame equal: {whole:.4f} with every frame answered; {dropped:.4f} live, "
        f"frames without an answer counted as empty (drops cost {whole - dropped:.4f}); "
        f"{late:.4f} with the newest mask there was at each moment (drops and latency cost "
        f"{whole - late:.4f})."
    ]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
