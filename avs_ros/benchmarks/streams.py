"""Whole streams: frames that come faster than the model, and the real node over DDS.

The node is measured by two processes on a DDS domain of their own, loopback only: the node and a
client that drives it.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from avs_ros.benchmarks.subject import SceneStream, Subject, segmenter
from avs_ros.errors import RosError
from avs_ros.inference.segmenter import Segmenter
from avs_ros.postprocess import PostprocessConfig, Postprocessor
from avs_ros.ros_installation import own_graph, python_process, require_ros
from avs_ros.sound import SAMPLE_RATE
from avs_ros.streaming import Frame, Pipeline, Sound, Synchronizer, Worker

# Of the rate that the bare model could keep up with.
FACTORS = (0.5, 1.0, 2.0, 4.0)
_WARM_UP, _STEPS = 2, 7
_SOUND_S = 0.02
_DRAIN_S = 30.0


def measure_throughput(
    subject: Subject,
    engine: str,
    device: str,
    seconds: float,
    tell: Callable[[str], None] = lambda description: None,
    factors: Sequence[float] = FACTORS,
) -> dict[str, Any]:
    """Plain values: ``step_ms`` of the bare model, ``stages_ms``, the parts that it tells of, and
    ``runs``, one per input rate.

    Each run: ``factor``, ``offered_hz``, ``offered``, ``answered``, ``dropped``,
    ``answered_hz``, ``latency_ms`` (frame pushed -> answer; ``p50`` and ``p90``).
    """
    tell("loading the model")
    served = segmenter(subject, engine, device)
    scene = SceneStream()
    step_ms, stages_ms = _bare_ms(served, scene)
    runs = []
    try:
        for factor in factors:
            rate = factor * 1e3 / step_ms
            tell(f"input at {rate:.0f} Hz")
            runs.append({"factor": factor, **_run(served, scene, rate, seconds)})
    finally:
        served.close()
    return {
        "engine": served.engine, "model": served.name, "step_ms": step_ms, "stages_ms": stages_ms,
        "runs": runs,
    }  # fmt: skip


def _bare_ms(served: Segmenter, scene: SceneStream) -> tuple[float, dict[str, float]]:
    """Medians: of the whole step, and of each stage that the answer tells of."""
    times: list[float] = []
    stages: list[Mapping[str, float]] = []
    for number in range(_WARM_UP + _STEPS):
        window = scene.sound(number * SAMPLE_RATE // 10, SAMPLE_RATE)
        began = time.perf_counter()
        answer = served.step(scene.frame(number), window, (number + 1) * 100_000_000)
        times.append((time.perf_counter() - began) * 1e3)
        stages.append(dict(answer.ms))
    served.reset()
    measured = stages[_WARM_UP:]
    medians = {
        stage: float(np.median([one[stage] for one in measured if stage in one]))
        for stage in dict.fromkeys(stage for one in measured for stage in one)
    }
    return float(np.median(times[_WARM_UP:])), medians


def _run(served: Segmenter, scene: SceneStream, rate: float, seconds: float) -> dict[str, Any]:
    arrived: dict[int, float] = {}
    pipeline = Pipeline(
        served,
        Synchronizer(window_s=served.window_s, deadline_s=0.5, rate_hz=served.sample_rate),
        Postprocessor(PostprocessConfig()),
    )
    worker = Worker(
        pipeline, lambda _, pair: arrived.__setitem__(pair.stamp_ns, time.perf_counter())
    )
    pushed: dict[int, float] = {}
    pipeline.push(Sound(0, scene.sound(0, 2 * SAMPLE_RATE), SAMPLE_RATE))
    base_s, chunk = 2.0, round(_SOUND_S * SAMPLE_RATE)
    heard = 2 * SAMPLE_RATE
    worker.start()
    began = time.perf_counter()
    try:
        for number in range(max(1, round(seconds * rate))):
            due = began + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            stamp_s = base_s + number / rate
            while heard < (stamp_s + _SOUND_S) * SAMPLE_RATE:
                pipeline.push(
                    Sound(round(heard / SAMPLE_RATE * 1e9), scene.sound(heard, chunk), SAMPLE_RATE)
                )
                heard += chunk
            stamp_ns = round(stamp_s * 1e9)
            pushed[stamp_ns] = time.perf_counter()
            pipeline.push(Frame.of(stamp_ns, scene.frame(number), number))
        last = max(pushed)
        # The newest frame is never dropped: its answer is the last one.
        until = time.perf_counter() + _DRAIN_S
        while last not in arrived and time.perf_counter() < until:
            time.sleep(0.002)
        lasted = max(arrived.values(), default=time.perf_counter()) - began
    finally:
        worker.stop()
    counters = pipeline.counters()
    latency = [(at - pushed[stamp]) * 1e3 for stamp, at in arrived.items()]
    p50, p90 = np.percentile(latency, (50, 90)) if latency else (float("nan"),) * 2
    return {
        "offered_hz": rate, "offered": len(pushed), "answered": len(arrived),
        "dropped": len(pushed) - len(arrived), "dropped_busy": counters["dropped_busy"],
        "answered_hz": len(arrived) / lasted,
        "latency_ms": {"p50": float(p50), "p90": float(p90)},
    }


_LAST_LINES = 8
_NODE_ARGUMENTS = (
    "--ros-args", "-p", "autostart:=false", "-p", "image_transport:=raw",
    "-p", "image_qos:=reliable", "-p", "audio_qos:=reliable",
    "-r", "image:=/image", "-r", "audio:=/audio",
)


def measure_node(
    subject: Subject,
    engine: str,
    device: str,
    rounds: int,
    seconds: float,
    tell: Callable[[str], None] = lambda arguments: None,
    domain: int | None = None,
) -> dict[str, Any]:
    """Plain values: ``states`` (CPU and memory of the node), ``ms``, ``overhead_ms``.

    ``ms`` holds a :class:`Timing` for ``end_to_end`` (frame published -> mask received) and for
    ``bare_step``, taken in turns.  ``seconds``: how long each state is watched.  Raises
    RosError where the node does not answer.
    """
    require_ros()
    graph, values = own_graph(domain), asdict(subject)
    told: dict[str, Any] = {}

    def hear(line: str) -> None:
        told.update(json.loads(line))
        if "doing" in told:
            tell(told.pop("doing"))

    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        served = ["avs_ros.nodes.benchmark_subject", json.dumps(values), engine, device]
        with python_process(["-m", *served, *_NODE_ARGUMENTS], graph, log) as node:
            spec = {
                "subject": values, "engine": engine, "device": device,
                "pid": node.pid, "rounds": rounds, "seconds": seconds,
            }
            client = ["-m", "avs_ros.nodes.benchmark_client", json.dumps(spec)]
            with python_process(client, graph, log, hear) as measuring:
                status = measuring.wait()
            if "result" in told:
                result: dict[str, Any] = told["result"]
                return result
            why = told.get("error", f"the measuring process has ended, status {status}")
            log.seek(0)
            said = [f"\n  {line}" for line in log.read().splitlines()[-_LAST_LINES:]]
            tail = "".join(["; the processes said:", *said]) if said else ""
            raise RosError(f"{why}{tail}")
