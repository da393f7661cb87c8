"""``avs train NETWORK``: ``c3n`` on AVSBench, ``avsc``, or ``light``, the bundled model.

One process: ``avs train c3n --config FILE --data DIR -o DIR``.  Several (c3n, avsc on AVSBench):
``torchrun --nproc-per-node 4 -m avs_ros.cli train c3n …``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from avs_ros.cli import train_avsc, train_c3n, train_light
from avs_ros.errors import ParameterError

# Network -> what `avs train --help` says of it, and its module.
NETWORKS = {
    "c3n": ("C3N on AVSBench S4 or MS3", train_c3n),
    "avsc": ("AVSC: small on photographs and sounds, or on AVSBench", train_avsc),
    "light": ("the bundled light model, on photographs and sounds", train_light),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs train``."""
    networks = parser.add_subparsers(dest="network", metavar="NETWORK", required=True)
    for name, (line, module) in NETWORKS.items():
        module.add_arguments(networks.add_parser(name, help=line))


def _overrides(pairs: Sequence[str]) -> dict[str, str]:
    out = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ParameterError(f"--set {pair}: write NAME=VALUE")
        out[name] = value
    return out


def run(args: argparse.Namespace) -> int:
    """Train; print where the network is."""
    return NETWORKS[args.network][1].run(args, _overrides(args.set))
