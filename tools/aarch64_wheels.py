"""Whether everything that a robot installs has a wheel for Linux on aarch64.

``python tools/aarch64_wheels.py [EXTRA ...]`` asks pip, level by level, for the base install and
the extras (default: onnx) as a Jetson or a Raspberry Pi would, and prints each distribution with
the version found.  pip evaluates markers for the machine that it runs on, so they are evaluated
here.  Needs a package index.  What is better taken from elsewhere on a Jetson is in
:data:`JETSON`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PLATFORMS = (
    "manylinux_2_34_aarch64", "manylinux_2_28_aarch64", "manylinux_2_27_aarch64",
    "manylinux_2_17_aarch64", "manylinux2014_aarch64",
)  # fmt: skip
# Ubuntu 22.04 (JetPack 6, Humble) and 24.04 (Jazzy).
PYTHONS = ("3.10", "3.12")
# CUDA's libraries, which torch's own wheel asks for: a Jetson has JetPack's instead.
_CUDA = ("nvidia-", "cuda-", "triton")
# Distribution -> where a Jetson has the one that uses its GPU.
JETSON = {
    "torch": "NVIDIA's PyTorch for Jetson, built for the JetPack at hand (JetPack 6: Python 3.10)",
    "torchaudio": "built beside NVIDIA's torch in NVIDIA's l4t-pytorch container; the plain wheel "
    "serves where its version equals torch's",
    "torchvision": "as torchaudio (timm asks for it)",
    "onnxruntime": "the plain wheel for the CPU; onnxruntime-gpu from NVIDIA's Jetson Zoo",
    "tensorrt": "part of JetPack (python3-libnvinfer), for the system's Python",
}


def resolve(requirements: Iterable[str], python: str) -> dict[str, str]:
    """Distribution -> version for all of ``requirements`` and what these need in turn.

    ``python``: such as "3.12".  Raises RuntimeError with pip's words where one has no wheel.
    """
    environment = {
        "platform_machine": "aarch64", "sys_platform": "linux", "platform_system": "Linux",
        "os_name": "posix", "python_version": python, "python_full_version": f"{python}.0",
        "implementation_name": "cpython", "platform_python_implementation": "CPython",
    }  # fmt: skip
    found: dict[str, str] = {}
    level = _wanted(requirements, environment, frozenset())
    while level:
        below: list[str] = []
        for entry in _ask(level, python):
            metadata = entry["metadata"]
            found[canonicalize_name(metadata["name"])] = metadata["version"]
            extras = frozenset(entry.get("requested_extras", ()))
            below += _wanted(metadata.get("requires_dist", ()), environment, extras)
        level = [text for text in below if canonicalize_name(Requirement(text).name) not in found]
    return found


def _wanted(
    requirements: Iterable[str], environment: dict[str, str], extras: frozenset[str]
) -> list[str]:
    """Those whose marker holds there, without the marker."""
    kept = []
    for text in requirements:
        requirement = Requirement(text)
        if requirement.name.startswith(_CUDA):
            continue
        marker, requirement.marker = requirement.marker, None
        if marker is None or any(
            marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras)
        ):
            kept.append(str(requirement))
    return kept


def _ask(requirements: list[str], python: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        words = [
            sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed",
            "--no-deps", "--only-binary=:all:", "--target", folder, "--report", str(report),
            "--implementation", "cp", "--python-version", python,
            "--abi", f"cp{python.replace('.', '')}", "--abi", "abi3", "--abi", "none",
        ]  # fmt: skip
        for platform in PLATFORMS:
            words += ["--platform", platform]
        done = subprocess.run(
            [*words, *dict.fromkeys(requirements)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"Python {python}, aarch64: {done.stderr.strip()}")
        entries: list[dict[str, Any]] = json.loads(report.read_text())["install"]
        return entries


def declared(extras: Iterable[str] = ("onnx",)) -> list[str]:
    """What setup.py asks for: the base install and ``extras``."""
    import setuptools

    given: dict[str, Any] = {}
    plain, setuptools.setup = setuptools.setup, lambda **words: given.update(words)
    try:
        exec(compile((ROOT / "setup.py").read_text(), "setup.py", "exec"), {})
    finally:
        setuptools.setup = plain
    further = [text for extra in extras for text in given["extras_require"][extra]]
    return [*given["install_requires"], *further]


def main(extras: list[str]) -> int:
    """See the module."""
    for python in PYTHONS:
        try:
            found = resolve(declared(extras or ["onnx"]), python)
        except RuntimeError as error:
            print(error)
            return 1
        print(f"Python {python}: {len(found)} distributions")
        for name, version in sorted(found.items()):
            print(f"  {name} {version}" + (f"   Jetson: {JETSON[name]}" if name in JETSON else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
