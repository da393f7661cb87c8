"""``avs evaluate WHAT …``: scores of a model on data with truth; one kind of data, one file."""

from __future__ import annotations

import argparse
import importlib

# kind of data -> the line that `avs evaluate --help` shows; module avs_ros.cli.evaluate_<kind>
KINDS: dict[str, str] = {
    "avsbench": "the AVSBench S4, MS3 or AVSS data set: M_J and M_F as published",
    "bag": "rosbags that carry true masks: deterministic and live replay",
    "clips": "real clips with boxes at moments: what is found, pointed at, named, left alone",
    "compare": "two runs over the same bags: differences with their intervals",
    "composite": "photographs x sounds that fit, do not fit, or are absent",
    "robustness": "those bags again with noise, wrong sounds, shifts, drops, blur, low light",
    "scenes": "a few scenes that may be shown anywhere: models side by side, as one image",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs evaluate``: one sub-command for each kind of data."""
    kinds = parser.add_subparsers(dest="kind", metavar="WHAT", required=True)
    for name, line in KINDS.items():
        module = importlib.import_module(f"avs_ros.cli.evaluate_{name}")
        module.add_arguments(kinds.add_parser(name, help=line, description=line))


def run(args: argparse.Namespace) -> int:
    """Run the chosen evaluation."""
    module = importlib.import_module(f"avs_ros.cli.evaluate_{args.kind}")
    return int(module.run(args))
