"""The report of an evaluation: scores, classes, latencies, drops, worst frames."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from avs_ros.evaluation.frame_scores import WorstFrame
from avs_ros.report import charts
from avs_ros.report.curves import precision_recall
from avs_ros.report.page import columns, data_uri, figures, grid, page, section, table

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
    for name in ("onset_ms", "offset_ms"):
        value = scores[name]
        description = "median time to follow when sound " + (
            "starts" if "onset" in name else "stops"
        )
        if changes := scores[name.replace("_ms", "s")]:
            missed = scores[name.replace("_ms", "s_missed")]
            shown = "-" if value is None else f"{value:.0f} ms"
            rows[description] = f"{shown} ({missed} of {changes} never followed)"
    for name, description in TIMES.items():
        if found := scores.get(name):
            rows[description] = " / ".join(f"{found[part]:.0f}" for part in ("p50", "p95", "p99"))
    rows["frames with a truth"] = str(scores["frames"] + scores["missed_frames"])
    rows["of them without an answer"] = str(scores["missed_frames"])
    if "answered_share" in scores:
        rows["images answered"] = f"{scores['answered_share']:.0%}"
    return rows


def _table(summary: EvaluationSummary) -> str:
    rows = _rows(summary.scores)
    if summary.live is None:
        shown = {name: value for name, value in rows.items() if value != "-"}
        return table(shown)
    live = _rows(summary.live)
    names = list(dict.fromkeys([*rows, *live]))
    pairs = [(name, rows.get(name, "-"), live.get(name, "-")) for name in names]
    return grid(
        ("score", "deterministic", "live"), [row for row in pairs if row[1:] != ("-", "-")]
    )


def _head(summary: EvaluationSummary) -> list[tuple[str, str]]:
    scores = summary.scores
    head = [
        *([(_number(scores["m_j"]), "M_J"), (_number(scores["m_f"]), "M_F")]
          if scores["m_j"] is not None
          else [(_number(scores["c_iou"]), "cIoU"), (_number(scores["auc"]), "AUC")]),
        (_number(scores["silent_empty"]), "silent frames left empty"),
        (_number(scores["false_positive_rate"]), "area marked on silent frames"),
        (str(scores["frames"]), "frames scored"),
        (str(scores["missed_frames"]), "frames without an answer"),
    ]
    if summary.live is not None and summary.live["m_j_missed_empty"] is not None:
        head.insert(2, (_number(summary.live["m_j_missed_empty"]), "M_J live, missed = empty"))
    latency = (summary.live or scores)["latency_ms"]
    if latency:
        head.append((f"{latency['p50']:.0f} / {latency['p95']:.0f} ms", "latency p50 / p95"))
    return head


def _charts(summary: EvaluationSummary) -> list[str]:
    scores, cards = summary.scores, []
    if scores["classes"]:
        score = "c_iou" if scores["m_j"] is None else "m_j"
        values = {name: one[score] for name, one in scores["classes"].items()}
        heading = "M_J by class" if score == "m_j" else "cIoU by class"
        cards.append(section(heading, charts.bars(values, "")))
    if any(curve["recall"] for curve in summary.curves.values()):
        note = "Pixels of all frames pooled, silent frames too; the dot is threshold 0.5."
        chart = precision_recall(summary.curves)
        cards.append(section("Precision over recall", chart, note))
    for title, values_ms in (
        ("Age of the frame when its answer came", summary.latencies_ms),
        ("How far the sound ended before the frame's window", summary.sync_errors_ms),
    ):
        finite = [value for value in values_ms if np.isfinite(value)]
        if finite and not any(finite):
            note = f"0 ms on every one of {len(finite)} frames"
            cards.append(section(title, f'<p class="soft">{note}</p>'))
        elif finite:
            marks = {"median": float(np.median(finite)), "95 %": float(np.percentile(finite, 95))}
            cards.append(section(title, charts.histogram(finite, "ms", marks)))
    if summary.drops is not None:
        told: Mapping[str, object] = summary.drops or {"nothing was dropped": ""}
        cards.append(section("Drops and troubles, by reason", table(told)))
    return cards


def to_html(summary: EvaluationSummary) -> str:
    """The whole page."""
    body = [f"<h1>{escape(summary.title)}</h1>", figures(_head(summary))]
    body += [f'<p class="soft">{escape(note)}</p>' for note in summary.notes]
    body.append(section("Scores", _table(summary)))
    body.append(columns(*_charts(summary)))
    if summary.worst:
        shown = "".join(
            f'<figure><img alt="{escape(one.description)}" src="{data_uri(one.jpeg)}">'
            f"<figcaption>{escape(one.description)}</figcaption></figure>"
            for one in summary.worst
        )
        note = "image, answer, truth; dB is the level of the second of sound before the frame"
        body.append(section("Worst frames", f'<div class="moments wide">{shown}</div>', note))
    return page(summary.title, "\n".join(body))


def write_report(path: Path, summary: EvaluationSummary) -> None:
    """Write the page; it appears whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(to_html(summary), encoding="utf-8")
    os.replace(part, path)
