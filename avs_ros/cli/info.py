"""``avs info``: versions, devices, engines, models, ROS 2; of one model, its file and its gate.

A table, or ``--json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import avs_ros
from avs_ros.benchmarks.measuring import cores, installed_version, processor
from avs_ros.errors import EXTRAS
from avs_ros.gate import GateConfig, gate_in_force, in_words
from avs_ros.inference import create_segmenter
from avs_ros.inference.bundle import header_value
from avs_ros.inference.engines import ENGINES
from avs_ros.inference.registry import DEFAULT_MODEL, MODELS, describe, weight_file
from avs_ros.ros_installation import ros_lacks
from avs_ros.weights.sources import cache_folder

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

# What the nodes need, then what tools and engines may use.
PACKAGES = (
    "numpy", "opencv-python-headless", "torch", "torchaudio", "timm", "soxr", "safetensors",
    "PyYAML", "rosbags", "av", "rich", "scipy", "scikit-image", "sounddevice", "onnx",
    "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("model", nargs="?", metavar="MODEL",
                        help="tell of this one instead: a name, or a checkpoint file")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")


def collect() -> dict[str, Any]:
    """Everything that the verb prints, as plain values."""
    return {
        "avs_ros": avs_ros.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": {name: installed_version(name) for name in PACKAGES},
        "devices": _devices(),
        "engines": _engines(),
        "models": _models(),
        "ros": _ros(),
    }


def of_model(model: str) -> dict[str, Any]:
    """What one model is made of, and the gate that is in force where nothing is asked for.

    ``gate``: option -> ``value``, ``from``; see :func:`avs_ros.gate.gate_in_force`.
    """
    with closing(create_segmenter(model, engine="torch", device="cpu")) as segmenter:
        gate = gate_in_force(segmenter, GateConfig())
        about, file = describe(segmenter, model), weight_file(model)
        return {
            "model": about["model"], "weights": about["weights"],
            "licence": _licence(file) if file and file.suffix == ".safetensors" else "",
            "categories": list(getattr(segmenter, "categories", segmenter.labels)),
            "gate": {name: {"value": one, "from": source} for name, (one, source) in gate.items()},
        }


def _devices() -> list[dict[str, Any]]:
    """The processor, then each GPU that PyTorch sees."""
    found: list[dict[str, Any]] = [{"device": "cpu", "name": processor(), "threads": cores()}]
    try:
        import torch
    except ImportError:
        return found
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        found.append({
            "device": f"cuda:{index}", "name": properties.name,
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "capability": f"{properties.major}.{properties.minor}",
        })
    return found


def _engines() -> list[dict[str, Any]]:
    try:
        import torch
    except ImportError:
        return []
    kinds = {"cpu"} | ({"cuda"} if torch.cuda.is_available() else set())
    found = []
    for name, engine in ENGINES.items():
        lacks = ""
        if engine.requires and installed_version(engine.requires) is None:
            extra = EXTRAS.get(engine.requires)
            how = f"pip install 'avs_ros[{extra}]'" if extra else f"install {engine.requires}"
            lacks = f"needs {engine.requires}: {how}"
        elif not kinds & set(engine.devices):
            lacks = "needs a CUDA device"
        found.append({
            "engine": name, "description": engine.description, "devices": list(engine.devices),
            "available": not lacks, "lacks": lacks,
        })
    return found


def _models() -> list[dict[str, Any]]:
    """Every model by name; bundled ones with what their file says of itself."""
    data = Path(avs_ros.__file__).with_name("data")
    found = []
    for name, model in MODELS.items():
        file = data / f"{model.weights}.safetensors"
        bundled = bool(model.weights) and file.is_file()
        found.append({
            "model": name, "description": model.description, "default": name == DEFAULT_MODEL,
            "bundled": bundled, **(_size(file) if bundled else {}),
            **({"licence": _licence(file)} if bundled else {}),
        })
    for path in sorted(path for path in cache_folder().glob("**/*") if path.is_file()):
        found.append({"model": str(path), "description": "downloaded weights", "default": False,
                      "bundled": False, **_size(path)})
    return found


def _size(file: Path) -> dict[str, float]:
    return {"mib": round(file.stat().st_size / 2**20, 1)}


def _licence(file: Path) -> str:
    return str(header_value(file, "licence") or "")


def _ros() -> dict[str, Any]:
    """Whether the nodes can run here, and what decides how far ROS 2 reaches."""
    environment = {
        name: os.environ[name]
        for name in ("ROS_DISTRO", "RMW_IMPLEMENTATION", "ROS_LOCALHOST_ONLY",
                     "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_STATIC_PEERS")
        if os.environ.get(name)
    }
    lacks = ros_lacks()
    return {
        "installed": not lacks, "lacks": lacks,
        "domain": os.environ.get("ROS_DOMAIN_ID") or "0", **environment,
    }


def run(args: argparse.Namespace) -> int:
    """Print the table, or JSON."""
    found = of_model(args.model) if args.model else collect()
    if args.json:
        print(json.dumps(found, indent=2))
    elif args.model:
        _show_model(found)
    else:
        _show(found)
    return 0


def _show_model(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(f"[bold]{found['model']}[/], {len(found['categories'])} categories")
    for name, digest in found["weights"].items():
        console.print(f"{name}, SHA-256 {digest}", soft_wrap=True)
    if found["licence"]:
        console.print(Text(found["licence"], style="dim"))
    gate = ((name, in_words(one["value"]), one["from"]) for name, one in found["gate"].items())
    console.print(_table("\nGate in force", ("option", "value", "from"), gate))


def _table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str | Text]]) -> Table:
    from rich.table import Table

    made = Table(title=title, title_justify="left", title_style="bold", show_edge=False,
                 header_style="dim", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(f"[bold]avs_ros {found['avs_ros']}[/], Python {found['python']}, "
                  f"{found['system']}\n")
    ros = found["ros"]
    says = Text(f"not for the nodes: {ros['lacks']}", "red") if ros["lacks"] else "installed"
    distribution = f" {ros['ROS_DISTRO']}" if "ROS_DISTRO" in ros else ""
    console.print(f"[bold]ROS 2{distribution}[/] ", says, f"(domain {ros['domain']})\n")
    devices = (
        (one["device"], one["name"],
         f"{one['threads']} threads" if "threads" in one else f"{one['memory_gib']} GiB")
        for one in found["devices"]
    )
    console.print(_table("Devices", ("device", "name", ""), devices), "")
    engines = (
        (one["engine"], ", ".join(one["devices"]), one["description"],
         Text("available", "green") if one["available"] else Text(one["lacks"], "dim"))
        for one in found["engines"]
    )
    console.print(_table("Engines", ("engine", "on", "what", ""), engines), "")
    models: list[tuple[str | Text, ...]] = []
    for one in found["models"]:
        where = "[green]bundled[/]" if one["bundled"] else "[dim]weights: see avs weights[/]"
        if not one["bundled"] and "mib" in one:
            where = f"{one['mib']} MiB"
        default = " (default)" if one["default"] else ""
        models.append((one["model"] + default, one["description"], where))
        if one.get("licence"):
            models.append(("", Text(one["licence"], style="dim"), ""))
    console.print(_table("Models", ("model", "what", ""), models), "")
    packages = (
        (name, installed or "[dim]not installed[/]")
        for name, installed in found["packages"].items()
    )
    console.print(_table("Packages", ("package", "version"), packages))
