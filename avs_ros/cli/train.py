"""``avs train NETWORK``: ``c3n`` or ``avsc`` on AVSBench.

One process: ``avs train c3n --config FILE --data DIR -o DIR``.  Several:
``torchrun --nproc-per-node 4 -m avs_ros.cli train c3n …``.
"""

from __future__ import annotations

import argparse

from avs_ros.cli import train_avsc, train_c3n

# Network -> what `avs train --help` says of it, and its module.
NETWORKS = {
    "c3n": ("C3N on AVSBench S4 or MS3", train_c3n),
    "avsc": ("AVSC on AVSBench S4 or MS3", train_avsc),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs train``."""
    networks = parser.add_subparsers(dest="network", metavar="NETWORK", required=True)
    for name, (line, module) in NETWORKS.items():
        module.add_arguments(networks.add_parser(name, help=line))


def run(args: argparse.Namespace) -> int:
    """Train; print where the network is."""
    from avs_ros.training.config import parse_overrides

    return NETWORKS[args.network][1].run(args, parse_overrides(args.set))
