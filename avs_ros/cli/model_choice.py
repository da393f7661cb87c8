"""Which models a deterministic evaluation asks, and how they compute."""

from __future__ import annotations

import argparse

from avs_ros.errors import ParameterError

DEFAULT_MODEL = "c3n_light"
# Not "auto": which engine is the fastest may differ from machine to machine, and so would the
# last digits of the scores.
REFERENCE_ENGINE = "torch"


def add_models(parser: argparse.ArgumentParser) -> None:
    """``--model`` (several times), ``--engine``, ``--device``."""
    parser.add_argument(
        "--model", action="append", metavar="NAME|FILE",
        help=f"default {DEFAULT_MODEL}; give it several times to see models side by side",
    )  # fmt: skip
    add_computing(parser)


def add_computing(parser: argparse.ArgumentParser) -> None:
    """``--engine`` and ``--device`` of a run whose numbers shall come again."""
    parser.add_argument(
        "--engine", default=REFERENCE_ENGINE,
        help=f"default {REFERENCE_ENGINE}, the reference; auto takes the fastest of this machine",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N")


def add_threads(parser: argparse.ArgumentParser) -> None:
    """``--threads`` of an evaluation in one process; :func:`threads_of` reads it."""
    parser.add_argument(
        "--threads", type=int, default=1,
        help="computing threads (1); another number may change last digits",
    )  # fmt: skip


def threads_of(args: argparse.Namespace) -> int:
    """``--threads``.  Raises ParameterError for a number below 1."""
    if args.threads < 1:
        raise ParameterError(f"--threads is {args.threads}; it must be at least 1")
    return int(args.threads)


def add_workers(parser: argparse.ArgumentParser) -> None:
    """``--jobs``, ``--threads`` and ``--ray``."""
    parser.add_argument("--jobs", type=int, default=1, help="processes on this machine (1)")
    parser.add_argument(
        "--threads", type=int, default=1,
        help="computing threads of each process (1); another number may change last digits",
    )  # fmt: skip
    parser.add_argument("--ray", default="", metavar="ADDRESS", help="an existing Ray cluster")


def check_workers(args: argparse.Namespace) -> None:
    """Raise ParameterError for counts below 1."""
    for name in ("jobs", "threads"):
        if (count := getattr(args, name)) < 1:
            raise ParameterError(f"--{name} is {count}; it must be at least 1")


def chosen_models(args: argparse.Namespace) -> list[str]:
    """The models in the order given.  Raises ParameterError for one that is named twice."""
    names: list[str] = args.model or [DEFAULT_MODEL]
    for name in names:
        if names.count(name) > 1:
            raise ParameterError(f"--model {name} is given twice; each model is asked once")
    return names
