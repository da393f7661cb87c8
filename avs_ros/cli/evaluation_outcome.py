"""What ``avs evaluate bag`` found: the table on the screen and the files in the folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avs_ros.evaluation.live import LiveRun
    from avs_ros.evaluation.score_sheet import ScoreSheet
    from avs_ros.evaluation.worst import WorstFrame
    from avs_ros.report.evaluation_report import EvaluationSummary


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
        from rich.console import Console
        from rich.table import Table

        from avs_ros.report.evaluation_report import MEANINGS

        results = self.results()
        title = f"{self.model}, {_counted(self.recordings, 'bag')}"
        table = Table("score", *results, "meaning", title=title)
        for name, meaning in MEANINGS.items():
            values = [scores.get(name) for scores in results.values()]
            shown = ["-" if value is None else f"{value:.4f}" for value in values]
            if set(shown) != {"-"}:
                table.add_row(name, *shown, meaning)
        table.add_row(
            "missed_frames", *(str(s["missed_frames"]) for s in results.values()),
            "frames with a truth but without an answer",
        )
        for name, meaning in (("latency_ms", "age of the frame when answered, ms, p50 / p95"),):
            times = [scores[name] for scores in results.values()]
            if any(times):
                table.add_row(
                    name,
                    *(f"{t['p50']:.0f} / {t['p95']:.0f}" if t else "-" for t in times), meaning,
                )
        Console().print(table)

    def write(self, folder: Path) -> list[Path]:
        """Write every file; returns them.  Raises DatasetError when the folder cannot be made."""
        from avs_ros.evaluation import run_files
        from avs_ros.report.evaluation_report import to_html

        results = self.results()
        first, scores = next(iter(results.items()))
        about: dict[str, Any] = {
            "mode": first, "model": self.model, "engine": self.engine or self.live_engine,
            "frames_file": run_files.FRAMES, **scores,
        }
        if first == "deterministic" and self.sheet is not None:
            about["precision_recall"] = self.sheet.precision_recall()
        page = to_html(self._summary(results))
        run_files.make_folder(folder)
        written = []
        if self.live is not None:
            name = run_files.LIVE_FRAMES if self.sheet is not None else run_files.FRAMES
            written.append(run_files.write_frames(folder / name, self.live.sheet.records()))
            if self.sheet is not None:
                about["live"] = {
                    "engine": self.live_engine, "frames_file": name, "rate": self.rate,
                    **results["live"],
                }
            else:
                about["rate"] = self.rate
        if self.sheet is not None:
            path = folder / run_files.FRAMES
            written.append(run_files.write_frames(path, self.sheet.records()))
        written.append(run_files.write_metrics(folder, {**about, "bags": self.bags}))
        run_files.write_whole(folder / "report.html", page)
        return [*written, folder / "report.html"]

    def _summary(self, results: dict[str, dict[str, Any]]) -> EvaluationSummary:
        from avs_ros.evaluation.replay import KEPT_WORST
        from avs_ros.report.evaluation_report import EvaluationSummary

        notes, curves = [], {}
        if self.sheet is not None:
            notes.append(
                "Deterministic replay: every frame with a truth, no clock, nothing dropped."
            )
            curves["deterministic"] = self.sheet.precision_recall()
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
        measured = self.live.sync_errors_ms if self.live is not None else (
            self.sheet.values("sync_error_ms") if self.sheet is not None else []
        )
        return EvaluationSummary(
            f"{self.model} on {_counted(self.recordings, 'recording')}",
            next(iter(results.values())),
            latencies_ms=self.live.latencies_ms if self.live is not None else (),
            sync_errors_ms=measured,
            drops=self.live.drops if self.live is not None else None,
            worst=sorted(self.worst, key=lambda one: -one.badness)[:KEPT_WORST],
            notes=notes,
            live=results["live"] if len(results) > 1 else None,
            curves=curves,
        )


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
