"""What a run of ``gpu_check.py`` amounts to: goals reached, and what a Jetson may do."""

from __future__ import annotations

from typing import Any

# Goals on an H200: milliseconds of a step, and times the published form.
GOALS = {("c3n_pvt_panns", "cuda-graph"): 2.0, ("c3n_light", "cuda-graph"): 0.7}
RATIO_GOAL = 20.0
# Memory bandwidths, GB/s, by the makers' data sheets; and what a launch takes on Orin's CPU.
H200_GBS, ORIN_GBS, LAUNCH_US = 4800.0, 204.8, 5.0


def worst(entries: dict[str, Any]) -> str:
    """The gravest status of the entries; "absent" where there is none."""
    known = {entry["status"] for entry in entries.values() if isinstance(entry, dict)}
    order = ("failed", "differs", "refused", "left out", "agrees", "absent")
    return next((status for status in order if status in known), "absent")


def verdict(sections: dict[str, Any]) -> dict[str, Any]:
    """The stated goals, and what the figures let expect of a Jetson Orin (an estimate)."""
    goals: dict[str, Any] = {}
    for (name, engine), most in GOALS.items():
        entry = sections.get(name, {}).get(engine, {})
        if "p50_ms" in entry:
            goals[f"{name} on {engine}"] = {
                "p50_ms": entry["p50_ms"], "goal_ms": most, "reached": entry["p50_ms"] <= most,
            }  # fmt: skip
            at_least = entry.get("kernels", 0) * LAUNCH_US / 1e3
            by_bandwidth = entry.get("gpu_busy_ms", float("nan")) * H200_GBS / ORIN_GBS
            goals[f"{name} on {engine}"]["orin_estimate_ms"] = {
                "one graph, at most (all of it bound by memory)": by_bandwidth,
                "launched one by one, at least": at_least,
            }
    forms = sections.get("speed", {}).get("forms", {})
    ratio = forms.get("cuda-graph", {}).get("ms", {}).get("ratio")
    if ratio is not None:
        goals["times the published form"] = {
            "ratio": ratio, "goal": RATIO_GOAL, "reached": ratio >= RATIO_GOAL,
        }  # fmt: skip
    return {"status": worst(sections), "goals": goals}
