"""From the demo's recording to its film, its image and its report."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from avs_ros.cli.run_folder import counter_descriptions
from avs_ros.media.film import choose_moments, decode, jpeg, thumbnails, write_film
from avs_ros.media.recorded_run import RecordedPrediction, RecordedRun
from avs_ros.media.scene import SECONDS, Turn, turns
from avs_ros.report.charts import Span
from avs_ros.report.run_report import Moment, RunSummary, write_report
from avs_ros.streaming.audio_buffer import AUDIO_COUNTERS
from avs_ros.streaming.synchronizer import FRAME_COUNTERS

# A turn is judged from here on: the window of sound is a second long.
HEARD_S = 0.6
# Moments of the film that image.jpg shows, one below the other.
IMAGES = 2


def render(
    run: RecordedRun, folder: Path, seconds: float, advance: Callable[[int], None], over_dds: bool
) -> None:
    """Write ``overlay.mp4``, ``image.jpg`` and ``report.html`` in ``folder``.

    ``seconds``: of the scene that were played.  ``over_dds``: whether a real node was recorded;
    else one process did it all.
    """
    film = folder / "overlay.mp4"
    write_film(run, film, lambda: advance(1))
    summary = summarize(run, seconds, over_dds)
    stamps = [stamp for stamp, _ in run.frames]
    answered = sorted(set(run.answers) & set(stamps))
    chosen = choose_moments(summary.times, summary.scores, summary.marked)
    summary.moments = [
        Moment(summary.times[i], jpeg(decode(overlay)), summary.marked[i] or "nothing marked")
        for i in chosen if (overlay := run.answers[answered[i]].overlay)
    ]
    # The surest moment of each label.
    surest = {
        label: i for i in sorted(chosen, key=lambda i: summary.scores[i])
        if (label := summary.marked[i])
    }
    positions = sorted(stamps.index(answered[i]) for i in surest.values())[:IMAGES]
    if positions:
        images = [decode(data) for data in thumbnails(film, positions, width=1600)]
        (folder / "image.jpg").write_bytes(jpeg(np.vstack(images), width=1600))
    write_report(folder / "report.html", summary)


def summarize(
    run: RecordedRun, seconds: float = SECONDS, over_dds: bool = True
) -> RunSummary:
    """Everything about the run that the report shows, but the images."""
    first_ns = run.frames[0][0]
    stamps = sorted(set(run.answers) & {stamp for stamp, _ in run.frames})
    answers = [run.answers[stamp] for stamp in stamps]
    times = [(stamp - first_ns) * 1e-9 for stamp in stamps]
    lasted = (run.frames[-1][0] - first_ns) * 1e-9
    counters = {
        name: int(value) for name, value in run.diagnostics.items()
        if (name in FRAME_COUNTERS or name in AUDIO_COUNTERS or name.startswith("refused"))
        and value.isdecimal()
    }
    told = run.diagnostics
    played = [turn for turn in turns() if turn.start < seconds]
    return RunSummary(
        "avs demo",
        f"{told.get('model', 'the model')} on {told.get('engine', '?')} "
        f"({told.get('device', '?')}), "
        + ("through the real node over DDS" if over_dds else "in one process, without ROS 2"),
        times=times,
        scores=[answer.score for answer in answers],
        marked=[answer.label for answer in answers],
        levels_dbfs=[run.level_dbfs(stamp) for stamp in stamps],
        latencies_ms=[a.latency_ms for a in answers if a.latency_ms is not None],
        latency_name="image to mask, over DDS" if over_dds else "time spent on an image",
        end_s=lasted + 0.04,
        threshold=None,
        score_name="score of the surest instance",
        played=_spans(played, seconds),
        counters={
            "images played": len(run.frames), "masks recorded": len(run.answers),
            **({"answers per second": f"{len(answers) / max(lasted, 1e-6):.1f}"}
               if over_dds else {}),
            **counter_descriptions(counters),
        },
        metadata={
            **{name: told[name] for name in ("model", "engine", "device") if name in told},
            **judge(times, answers, played, seconds),
        },
        files={
            "overlay.mp4": "camera, the node's overlay, and the sound",
            "output.mcap": ("everything that went over DDS" if over_dds else "camera, sound and "
                            "answers") + " (ROS 2 bag, opens in Foxglove)",
        },
        notes=[
            "A cat (left) and an astronaut (right) take turns to make a sound. The images come "
            "with scikit-image, the voices are synthesised. "
            + ("The node was given camera and microphone topics in real time, and nothing else."
               if over_dds else "ROS 2 is not installed: the same pipeline went through every "
               "image, as fast as it can."),
        ],
    )


def _spans(played: Sequence[Turn], seconds: float) -> list[Span]:
    """Turns one after the other; where two overlap, both names."""
    edges = sorted({min(edge, seconds) for turn in played for edge in (turn.start, turn.end)})
    spans = []
    for start, end in itertools.pairwise(edges):
        who = {turn.who for turn in played if turn.start <= start and turn.end >= end}
        if who:
            spans.append((start, end, " + ".join(sorted(who))))
    return spans


def judge(
    times: Sequence[float], answers: Sequence[RecordedPrediction], played: Sequence[Turn],
    seconds: float,
) -> Mapping[str, str]:
    """How often the right side was marked while one of the two sounded, and silence kept empty.

    A frame counts from ``HEARD_S`` after the turn's start, for a turn that nobody interrupts; a
    silent one if nothing was played in the second before it (and the half that echoes take).
    """
    right: dict[str, list[bool]] = {"cat": [], "person": []}
    empty: list[bool] = []
    for time, answer in zip(times, answers, strict=True):
        if answer.label_mask is None:
            continue
        marked = answer.label_mask > 0
        sounding = [turn for turn in played if turn.start <= time < min(turn.end, seconds)]
        if len(sounding) == 1 and time >= sounding[0].start + HEARD_S:
            who, middle = sounding[0].who, marked.shape[1] // 2
            # Alone for the whole window, not only now.
            if not any(t.who != who and t.start < time < t.end + 1.0 for t in played):
                side = marked[:, :middle] if who == "cat" else marked[:, middle:]
                right[who].append(bool(2 * np.count_nonzero(side) > np.count_nonzero(marked)))
        elif not any(turn.start < time < turn.end + 1.5 for turn in played):
            empty.append(not marked.any())
    told = {f"{who} sounds alone: marked on its side": good for who, good in right.items()}
    told["silence: nothing marked"] = empty
    return {
        name: f"{sum(good)} of {len(good)} frames" for name, good in told.items() if good
    }
