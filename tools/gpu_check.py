"""Every engine once for real on a GPU; run by ``gpu_check.sh``, which says what it leaves.

``gpu_check.json`` holds ``machine``, ``sections`` and ``verdict``.  A section has a ``status``:
"agrees", "differs" (a check failed), "absent" (something it needs is not installed, ``reason``
says what), "failed" (``reason``) or "left out" (no time was left).  It is written anew after each
section, so that an interrupted run leaves what it found.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gpu_steps
import gpu_training
import numpy as np
from gpu_verdict import verdict, worst

from avs_ros.benchmarks.measuring import describe_machine
from avs_ros.errors import AvsError, EngineError
from avs_ros.inference.engines import ENGINES, choose_device
from avs_ros.inference.engines.program import StepProgram

LIMIT_S, SOAK_S = 345.0, 180.0
# Seconds that the soak leaves for the end, and that it is worth starting with.
_END_S, _LEAST_S = 5.0, 10.0


@dataclass
class Check:
    """One run: where it writes, what it may use, and what it has found."""

    out: Path
    device: str
    small: bool
    soak_s: float
    limit_s: float
    began: float = field(default_factory=time.monotonic)
    found: dict[str, Any] = field(default_factory=dict)

    def left_s(self) -> float:
        """Seconds until the limit."""
        return self.limit_s - (time.monotonic() - self.began)

    def tell(self, words: str) -> None:
        """One line of the log, with the time since the start."""
        print(f"[{time.monotonic() - self.began:6.1f} s] {words}", flush=True)

    @property
    def subjects(self) -> dict[str, Any]:
        """Name -> subject."""
        return gpu_steps.SMALL if self.small else gpu_steps.SUBJECTS

    def missing(self, engine: str) -> str:
        """Why the engine cannot be here; "" where it can."""
        entry = ENGINES[engine]
        if self.device.partition(":")[0] not in entry.devices:
            return f"is not made for {self.device}"
        library = entry.requires.removesuffix("-gpu")
        if library and importlib.util.find_spec(library) is None:
            return f"{entry.requires} is not installed"
        if library == "onnxruntime" and self.device.startswith("cuda"):
            import onnxruntime

            kind = "Tensorrt" if entry.options.get("provider") == "tensorrt" else "CUDA"
            if f"{kind}ExecutionProvider" not in onnxruntime.get_available_providers():
                return f"this ONNX Runtime has no {kind} provider (onnxruntime-gpu has)"
        return ""


def engines_of(check: Check, name: str, automatic: bool = True) -> dict[str, Any]:
    """Each engine on one model: self-check, real frames, latency, copies, memory."""
    steps = gpu_steps.load(check.subjects[name], name)
    program = steps.visual
    assert isinstance(program, StepProgram)
    scenes = gpu_steps.scene_inputs(steps)
    found: dict[str, Any] = {}
    names = [name for name, entry in ENGINES.items() if entry.automatic == automatic]
    # Exporting a large network takes a minute: what needs the file comes last.
    for engine in sorted(names, key=lambda name: ENGINES[name].portable):
        if reason := check.missing(engine):
            found[engine] = {"status": "absent", "reason": reason}
            continue
        if check.left_s() < _END_S:
            found[engine] = {"status": "left out", "reason": "no time was left"}
            continue
        found[engine] = gpu_steps.check_engine(
            program, engine, check.device, scenes, 0.2 if check.small else 1.0
        )
        check.tell(f"  {name} on {engine}: {_in_words(found[engine])}")
        gc.collect()
    found["status"] = worst(found)
    return found


def slow_engines(check: Check) -> dict[str, Any]:
    """TensorRT and the like: each model in a process of its own, ended when the time is up."""
    slow = [name for name, entry in ENGINES.items() if not entry.automatic]
    reasons = {name: check.missing(name) for name in slow}
    if all(reasons.values()):
        reason = "; ".join(f"{name} {reason}" for name, reason in reasons.items())
        return {"status": "absent", "reason": reason}
    found: dict[str, Any] = {}
    for name in check.subjects:
        seconds = check.left_s() - check.soak_s / 2 - _END_S
        if seconds < _LEAST_S:
            found[name] = {"status": "left out", "reason": "no time was left to build it"}
            continue
        command = [sys.executable, __file__, str(check.out), "--device", check.device]
        command += ["--build", name, "--limit", str(seconds)]
        command += ["--small"] if check.small else []
        try:
            done = subprocess.run(
                command, timeout=seconds, check=False, stdout=subprocess.PIPE, text=True
            )
            found[name] = json.loads(done.stdout.splitlines()[-1])
        except subprocess.TimeoutExpired:
            found[name] = {"status": "left out", "reason": f"not built in {seconds:.0f} s"}
        except (IndexError, ValueError):
            found[name] = {"status": "failed", "reason": f"status {done.returncode}, see the log"}
        check.tell(f"  {name}: {json.dumps(found[name])[:300]}")
    return {**found, "status": worst(found)}


def speed(check: Check) -> dict[str, Any]:
    """The published form against the step in one graph, in turns: how many times faster."""
    from avs_ros.benchmarks.comparison import compare
    from avs_ros.benchmarks.forms import AUTHORS, AUTHORS_HALF

    # Every form takes a process and a quarter of a minute: the others were timed by themselves.
    on_gpu = check.device.startswith("cuda")
    forms = [AUTHORS, AUTHORS_HALF, "cuda-graph"] if on_gpu else [AUTHORS, "torch"]
    subject = check.subjects["c3n_pvt_panns"]
    result = compare(subject, check.device, forms, 3 if check.small else 20, check.tell)
    return {"status": "agrees", **result}


def node(check: Check) -> dict[str, Any]:
    """What the real node adds to the step: over DDS, and without it where there is no ROS 2."""
    subject = check.subjects["c3n_light"]
    seconds = 1.0 if check.small else 5.0
    from avs_ros.benchmarks.streams import measure_throughput

    engine = _fastest(check, "c3n_light")
    found: dict[str, Any] = {
        "in_process": measure_throughput(
            subject, engine, check.device, seconds, check.tell, factors=(0.5, 2.0)
        )
    }
    try:
        import rclpy  # noqa: F401

        from avs_ros.benchmarks.streams import measure_node

        rounds = 5 if check.small else 50
        found["over_dds"] = measure_node(
            subject, engine, check.device, rounds, seconds, check.tell
        )
    except ImportError as error:
        found["over_dds"] = {"status": "absent", "reason": f"no ROS 2 here ({error})"}
    return {"status": "agrees", **found}


def soak(check: Check) -> dict[str, Any]:
    """The light model's step for three minutes, or for the time that is left."""
    seconds = min(check.soak_s, check.left_s() - _END_S)
    if seconds < min(_LEAST_S, check.soak_s):
        return {"status": "left out", "reason": "no time was left"}
    steps = gpu_steps.load(check.subjects["c3n_light"], "c3n_light")
    program = steps.visual
    assert isinstance(program, StepProgram)
    scenes = gpu_steps.scene_inputs(steps)
    return gpu_steps.soak(
        program, _fastest(check, "c3n_light"), check.device, scenes, seconds, check.tell
    )


def run(check: Check, only: list[str]) -> int:
    """All sections in the order of their weight; 0 where nothing differs or failed."""
    check.found = {"machine": describe_machine(), "device": check.device, "sections": {}}
    sections: dict[str, Callable[[], dict[str, Any]]] = {
        name: lambda name=name: engines_of(check, name)  # type: ignore[misc]
        for name in check.subjects
    }
    sections |= {
        "speed": lambda: speed(check),
        "training": lambda: gpu_training.train_all(check.out, check.device, check.small),
        "node": lambda: node(check),
        "slow engines": lambda: slow_engines(check),
        "soak": lambda: soak(check),
    }
    unknown = [name for name in only if name not in sections]
    if unknown:
        raise EngineError(f"unknown section {unknown[0]!r}; known: {', '.join(sections)}")
    for name, section in sections.items():
        if only and name not in only:
            continue
        if check.left_s() < _LEAST_S and name != "soak":
            entry: dict[str, Any] = {"status": "left out", "reason": "no time was left"}
        else:
            check.tell(f"{name} ...")
            at = time.monotonic()
            entry = _guarded(section)
            entry["seconds"] = round(time.monotonic() - at, 1)
        check.found["sections"][name] = entry
        check.tell(f"{name}: {entry['status']} {entry.get('reason', '')}")
        check.found["verdict"] = verdict(check.found["sections"])
        _write(check)
    check.tell(f"verdict: {json.dumps(check.found['verdict'])}")
    return 0 if check.found["verdict"]["status"] not in ("differs", "failed") else 1


def _guarded(section: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return section()
    except (AvsError, RuntimeError, OSError, ValueError, ImportError) as error:
        traceback.print_exc()
        return {"status": "failed", "reason": str(error).splitlines()[0] if str(error) else ""}


def _fastest(check: Check, name: str) -> str:
    """The engine that was the fastest of those that agree; "torch" before any was measured."""
    entries = check.found.get("sections", {}).get(name, {})
    times = {
        engine: entry["p50_ms"]
        for engine, entry in entries.items()
        if isinstance(entry, dict) and entry.get("status") == "agrees"
    }
    return min(times, key=lambda engine: times[engine]) if times else "torch"


def _in_words(entry: dict[str, Any]) -> str:
    if "p50_ms" not in entry:
        return f"{entry['status']}: {entry.get('reason', '')}"
    worst = max(entry["difference"], entry["scene_difference"])
    return f"{entry['status']} ({worst:.1g}), {entry['p50_ms']:.2f} ms"


def _write(check: Check) -> None:
    def plain(value: Any) -> Any:
        return value.item() if isinstance(value, np.generic) else str(value)

    text = json.dumps(check.found, indent=1, default=plain)
    (check.out / "gpu_check.json").write_text(text + "\n", encoding="utf-8")


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N; cpu to try the tool")
    parser.add_argument("--small", action="store_true", help="small networks, to try the tool")
    parser.add_argument("--only", default="", metavar="A,B", help="only these sections")
    parser.add_argument("--soak", type=float, default=SOAK_S, metavar="S")
    parser.add_argument("--limit", type=float, default=LIMIT_S, metavar="S")
    parser.add_argument("--build", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    try:
        device = choose_device(args.device)
        check = Check(args.out, device, args.small, args.soak, args.limit)
        if args.build:
            output, sys.stdout = sys.stdout, sys.stderr
            found = engines_of(check, args.build, automatic=False)
            print(json.dumps(found), file=output, flush=True)
            return 0
        return run(check, [name for name in args.only.split(",") if name])
    except AvsError as error:
        print(f"gpu_check: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
