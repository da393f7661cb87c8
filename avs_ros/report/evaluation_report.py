"""The report of an evaluation: scores, classes, latencies, drops, worst frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avs_ros.evaluation.run_files import write_whole
from avs_ros.evaluation.worst import WorstFrame
from avs_ros.report.charts import bars, precision_recall, times_histogram
from avs_ros.report.page import render

# score -> what it means, in the order of the page
MEANINGS: dict[str, str] = {
    "m_j": "M_J as AVSBench: mean over batches of the mean frame IoU",
    "m_f": "M_F as AVSBench: best F (beta² 0.3) of each batch, mean over batches",
    "m_j_frames": "M_J, every frame equal",
    "m_j_missed_empty": "M_J, every frame equal, those without an answer as if nothing was marked",
    "m_j_at_once": "M_J of the newest mask there was when the frame came (what a robot acts on)",
    "m_j_sounding": "mean IoU of the frames on which something sounds",
    "m_f_set": "M_F with one threshold for the whole set",
    "average_precision": "area under precision over recall, pixels of all frames pooled",
    "silent_empty": "share of silent frames with nothing marked",
    "false_positive_rate": "marked area on silent frames",
    "pointing": "attention point lies on the sounding object",
    "label_accuracy": "a label names what is seen sounding",
    "heard_accuracy": "the sound is called by a right name",
    "c_iou": "cIoU as VGG-SS: marked pixels overlap the true boxes by half or more",
    "auc": "AUC as VGG-SS: area under that share over all overlaps",
    "box_c_iou": "cIoU of the predicted boxes with the true ones",
    "box_auc": "AUC of the predicted boxes with the true ones",
    "flicker": "1 - IoU with the mask before, while the truth stays",
}

# percentiles -> what they are of
TIMES: dict[str, str] = {
    "latency_ms": "age of the frame when its answer was published, ms: p50 / p95 / p99",
    "round_trip_ms": "image to mask at a third process, ms: p50 / p95 / p99",
    "sync_error_ms": "sound ends before the frame's window, ms: p50 / p95 / p99",
}


@dataclass
class EvaluationSummary:
    """What the page shows.

    ``scores``: :meth:`ScoreSheet.result`, or a live run's; ``live``: a live run's, to stand
    beside them; ``latencies_ms``, ``sync_errors_ms``: one a frame; ``curves``: name ->
    :meth:`ScoreSheet.precision_recall`; ``drops``: reason -> count; ``notes``: messages.
    """

    title: str
    scores: Mapping[str, Any]
    latencies_ms: Sequence[float] = ()
    sync_errors_ms: Sequence[float] = ()
    drops: Mapping[str, int] | None = None
    worst: Sequence[WorstFrame] = ()
    notes: Sequence[str] = ()
    live: Mapping[str, Any] | None = None
    curves: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.4f}"


def _rows(scores: Mapping[str, Any]) -> dict[str, str]:
    """Meaning -> value, of everything that the table shows."""
    rows = {meaning: _number(scores.get(name)) for name, meaning in MEANINGS.items()}
    for name, change in (("onset", "starts"), ("offset", "stops")):
        if changes := scores[f"{name}s"]:
            value = scores[f"{name}_ms"]
            shown = "-" if value is None else f"{value:.0f} ms"
            rows[f"median time to follow when sound {change}"] = (
                f"{shown} ({scores[f'{name}s_missed']} of {changes} never followed)"
            )
    for name, description in TIMES.items():
        if found := scores.get(name):
            rows[description] = " / ".join(f"{found[part]:.0f}" for part in ("p50", "p95", "p99"))
    rows["frames with a truth"] = str(scores["frames"] + scores["missed_frames"])
    rows["of them without an answer"] = str(scores["missed_frames"])
    if "answered_share" in scores:
        rows["images answered"] = f"{scores['answered_share']:.0%}"
    return rows


def _head(summary: EvaluationSummary) -> list[tuple[str, str]]:
    scores, live = summary.scores, summary.live or {}
    masks = {"m_j": "M_J", "m_f": "M_F"}
    shown = masks if scores["m_j"] is not None else {"c_iou": "cIoU", "auc": "AUC"}
    head = [(_number(scores[name]), description) for name, description in shown.items()]
    if live.get("m_j_missed_empty") is not None:
        head.append((_number(live["m_j_missed_empty"]), "M_J live, missed = empty"))
    head += [
        (_number(scores["silent_empty"]), "silent frames left empty"),
        (_number(scores["false_positive_rate"]), "area marked on silent frames"),
        (str(scores["frames"]), "frames scored"),
        (str(scores["missed_frames"]), "frames without an answer"),
    ]
    if latency := (live or scores)["latency_ms"]:
        head.append((f"{latency['p50']:.0f} / {latency['p95']:.0f} ms", "latency p50 / p95"))
    return head


def _charts(summary: EvaluationSummary) -> list[tuple[str, str, str]]:
    """Title, chart and note of each."""
    scores, found = summary.scores, []
    if scores["classes"]:
        score, heading = ("c_iou", "cIoU") if scores["m_j"] is None else ("m_j", "M_J")
        values = {name: one[score] for name, one in scores["classes"].items()}
        found.append((f"{heading} by class", bars(values, ""), ""))
    if any(curve["recall"] for curve in summary.curves.values()):
        note = "Pixels of all frames pooled, silent frames too; the dot is threshold 0.5."
        found.append(("Precision over recall", precision_recall(summary.curves), note))
    for title, values_ms in (
        ("Age of the frame when its answer came", summary.latencies_ms),
        ("How far the sound ended before the frame's window", summary.sync_errors_ms),
    ):
        finite = [value for value in values_ms if np.isfinite(value)]
        if finite and not any(finite):
            found.append((title, "", f"0 ms on every one of {len(finite)} frames"))
        elif finite:
            found.append((title, times_histogram(finite), ""))
    return found


def to_html(summary: EvaluationSummary) -> str:
    """The whole page."""
    scores, live = _rows(summary.scores), _rows(summary.live) if summary.live else {}
    pairs = [(n, scores.get(n, "-"), live.get(n, "-")) for n in dict.fromkeys([*scores, *live])]
    return render(
        "evaluation.html", summary.title, headline=_head(summary), notes=summary.notes,
        scores={name: value for name, value in scores.items() if value != "-"},
        pairs=[row for row in pairs if row[1:] != ("-", "-")] if live else [],
        charts=_charts(summary), drops=summary.drops,
        worst=[(one.jpeg, one.description) for one in summary.worst],
    )  # fmt: skip


def write_report(path: Path, summary: EvaluationSummary) -> Path:
    """Write the page; it appears whole or not at all."""
    return write_whole(path, to_html(summary))
