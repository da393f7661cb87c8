"""``python -m avs_ros.training.light``: reproduce and judge the bundled model."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from avs_ros.errors import AvsError, CheckpointError
from avs_ros.inference.light import BUNDLED
from avs_ros.models.light import LightC3N
from avs_ros.training.light import pictures, recordings
from avs_ros.training.light.deciding import calibrate, train_gate
from avs_ros.training.light.evaluate import command as judging
from avs_ros.training.light.export import export, untouched
from avs_ros.training.light.hearing import train_hearing
from avs_ros.training.light.joint import KEPT_AT_THE_END, lead_back, train_joint
from avs_ros.training.light.seeing import new_network, train_seeing


def say(line: str) -> None:
    """One line of progress, at once."""
    print(line, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Train (the default), or judge (``evaluate``, ``clips``, ``failures``)."""
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in judging.VERBS:
        try:
            judging.run(given, say)
        except AvsError as error:
            print(f"light: {error}", file=sys.stderr)
            return 2
        return 0
    parser = argparse.ArgumentParser(prog="python -m avs_ros.training.light", description=__doc__)
    parser.add_argument("verb", nargs="?", choices=("train", *judging.VERBS), default="train")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--work", type=Path, default=Path("light_training"), help="caches, states")
    parser.add_argument("--model", type=Path, default=BUNDLED, help="file to write")
    parser.add_argument("--hearing-minutes", type=float, default=40.0)
    parser.add_argument("--seeing-minutes", type=float, default=90.0)
    parser.add_argument("--joint-minutes", type=float, default=60.0)
    parser.add_argument("--settle-minutes", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(given)
    torch.set_num_threads(args.threads)
    try:
        recordings.gather(args.data, args.work)
        pictures.gather(args.data, args.work)
        _train(args)
    except AvsError as error:
        print(f"light: {error}", file=sys.stderr)
        return 2
    return 0


def _train(args: argparse.Namespace) -> None:
    """Every step resumes from its own state under ``--work``; the seeds are fixed."""
    train_hearing(args.data, args.work, args.hearing_minutes, say)
    train_seeing(args.data, args.work, args.seeing_minutes, say)
    train_joint(args.data, args.work, args.joint_minutes, say)
    state = train_joint(args.data, args.work, args.settle_minutes, say, settle=True)
    finish(args.data, args.work, state, args.model)


def finish(data: Path, work: Path, state: Path, target: Path) -> LightC3N:
    """Gate, calibration, file: from the joint state to what is shipped."""
    net = new_network(data)
    net.load_state_dict(torch.load(state, weights_only=True)["net"])
    lead_back(net, data, 0.0, KEPT_AT_THE_END)
    calibration: dict[str, Any] = dict(calibrate(net, *train_gate(net, work, say), say))
    same = untouched(net, data)
    if same:
        raise CheckpointError(f"tensors that no training has moved: {', '.join(same[:5])}")
    steps = {}
    for name in ("hearing", "seeing", "joint", "settled"):
        part = torch.load(work / f"{name}.pt", weights_only=True)
        steps[name] = {"minutes": round(float(part["minutes"]), 1), "steps": int(part["steps"])}
    export(net, data, target, calibration, steps)
    say(f"wrote {target}: {json.dumps(calibration)}, {target.stat().st_size / 2**20:.1f} MiB")
    return net


if __name__ == "__main__":
    sys.exit(main())
