"""``avs run`` as a process of its own, with the brightness model in place of a network.

Only the function that makes the segmenter is replaced.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fakes import BrightnessSegmenter

HERE = Path(__file__).resolve()


class SlowBrightness(BrightnessSegmenter):
    """The same, but it takes its time, so that it can be interrupted."""

    def step(self, frame, window, stamp_ns):  # type: ignore[no-untyped-def]
        import time

        time.sleep(0.02)
        return super().step(frame, window, stamp_ns)


def start(*arguments: object, script: Path = HERE) -> subprocess.Popen[str]:
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join(filter(None, (str(HERE.parent), inherited)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    return subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=environment,
    )


def avs(*arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """The installed ``avs`` command itself."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "avs_ros.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment,
        check=False,
    )


if __name__ == "__main__":
    from avs_ros.cli import main, run

    kind = SlowBrightness if "--slow" in sys.argv else BrightnessSegmenter
    run.create_segmenter = lambda *_, **__: kind()
    sys.exit(main.main([word for word in sys.argv[1:] if word != "--slow"]))
