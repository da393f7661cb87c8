"""One form in a process of its own, told what to do line by line (JSON both ways).

``python -m avs_ros.benchmarks.candidate_process SPEC``, where SPEC holds ``form``, ``subject``,
``device`` and, with ``form`` "export", makes the exported file that engines share.  Commands:
``{"do": "step", "number": n, "stamp_ns": s | null, "save": path | null}`` and
``{"do": "memory"}``; the end of the input ends the process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, TextIO

import numpy as np

from avs_ros.benchmarks import memory
from avs_ros.errors import AvsError

EXPORT = "export"
# Opening a subject on any engine that runs exported files makes them.
EXPORT_ENGINE = "onnxruntime"


def _say(out: TextIO, **payload: Any) -> None:
    out.write(json.dumps(payload) + "\n")
    out.flush()


def serve(spec: dict[str, Any], commands: TextIO, out: TextIO) -> int:
    """Build the form, then obey; returns the exit status."""
    from avs_ros.benchmarks.forms import StreamForm, make_form
    from avs_ros.benchmarks.subject import Subject, runners

    subject, device = Subject(**spec["subject"]), str(spec["device"])
    began = time.perf_counter()
    try:
        if spec["form"] == EXPORT:
            runners(subject, EXPORT_ENGINE, "cpu").close()
            _say(out, ready=True, load_s=time.perf_counter() - began, device=device)
            return 0
        form = make_form(str(spec["form"]), subject, device)
    except (AvsError, RuntimeError) as error:
        _say(out, error=str(error).splitlines()[0])
        return 2
    _say(out, ready=True, load_s=time.perf_counter() - began, device=form.device)
    loading_mib = memory.peak_mib()
    # From here on only what steps need counts (and getrusage forgets with it).
    memory.forget_peak()
    for line in commands:
        command = json.loads(line)
        if command["do"] == "memory":
            running_mib = memory.recent_peak_mib()
            _say(
                out, peak_mib=max(loading_mib, memory.peak_mib(), running_mib or 0.0),
                running_mib=running_mib, gpu_mib=memory.gpu_peak_mib(device),
                states=len(form.memory) if isinstance(form, StreamForm) else None,
            )
            continue
        began = time.perf_counter()
        answer = form.step(int(command["number"]), command.get("stamp_ns"))
        ms = (time.perf_counter() - began) * 1e3
        if command.get("save"):
            np.save(command["save"], answer.logits)
        _say(out, ms=ms, label=answer.label)
    return 0


def main() -> int:
    """Keep stdout for answers alone: libraries may print what they like, to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return serve(json.loads(sys.argv[1]), sys.stdin, out)


if __name__ == "__main__":
    sys.exit(main())
