"""Python processes in which some libraries are as good as not installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROS = (r"rclpy", r"rpyutils", r"rosidl_\w+", r"ament_\w+", r"\w+_msgs", r"\w+_interfaces",
       r"std_srvs", r"cv_bridge", r"launch", r"launch_ros")


class _Hiding:
    """A finder of modules that overlooks some."""

    def __init__(self, finder: Any, hidden: re.Pattern[str]) -> None:
        self._finder, self._hidden = finder, hidden

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if self._hidden.fullmatch(name.partition(".")[0]):
            return None
        return self._finder.find_spec(name, path, target)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


def hide(*names: str) -> None:
    """From here on, packages whose names match one of these patterns are not found."""
    hidden = re.compile("|".join(names))
    sys.meta_path[:] = [_Hiding(finder, hidden) for finder in sys.meta_path]


def run_without(
    names: tuple[str, ...], code: str, *arguments: str, timeout: float = 200
) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a Python that does not find these packages."""
    here = Path(__file__).resolve().parent
    paths = (str(here.parent), str(here), os.environ.get("PYTHONPATH"))
    environment = {
        **os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    return subprocess.run(
        [sys.executable, "-c", f"from without import hide; hide(*{names!r})\n{code}", *arguments],
        capture_output=True, text=True, timeout=timeout, check=False, env=environment,
    )


def start_without_ros(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that the test starts from here on find no rclpy, nor do those that they start."""
    package = folder / "without_ros" / "rclpy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'rclpy'\")")
    paths = (str(package.parent), os.environ.get("PYTHONPATH"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
