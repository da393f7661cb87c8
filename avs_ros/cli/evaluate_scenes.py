"""``avs evaluate scenes``: models on a few scenes that may be shown anywhere, as one image.

Each row is a scene with a sound, each column a model's answer; what is marked of the sounding
thing, and of the others, is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import cv2

from avs_ros.cli.options import add_models, add_policy, chosen_models, policy_of
from avs_ros.errors import ParameterError
from avs_ros.evaluation import identity
from avs_ros.evaluation.composite_benchmark import answer_to
from avs_ros.evaluation.composite_data import read_dataset
from avs_ros.evaluation.two_of_a_kind import make_twins, tell
from avs_ros.inference import create_segmenter
from avs_ros.inference.segmenter import Segmenter
from avs_ros.postprocess import PostprocessConfig
from avs_ros.report.page import short
from avs_ros.segmentation import Segmentation

DEFAULT = ("c3n_light", "avsc_light")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs evaluate scenes``."""
    add_models(parser, DEFAULT)
    parser.add_argument("-o", "--output", type=Path, required=True, help="image to write")
    parser.add_argument(
        "--data", type=Path, metavar="DIR",
        help="folder as of `avs evaluate composite`: also how often two of a kind in its "
        "photographs are told apart, how well things are found one by one (mask AP50) and how "
        "often a followed thing changes its number (DIR/images/davis)",
    )  # fmt: skip
    parser.add_argument(
        "--clips", type=Path, metavar="DIR",
        help="also write the sounding scenes as clips that `avs convert avsbench` makes bags of",
    )  # fmt: skip
    add_policy(parser)


def run(args: argparse.Namespace) -> int:
    """Ask every model about every scene; print a table and write the image."""
    from avs_ros.evaluation.scenes import shots, write_clips

    names = chosen_models(args, DEFAULT)
    policy = policy_of(args)

    def load(name: str) -> Segmenter:
        return create_segmenter(name, args.engine, args.device, gate=policy.gate)

    _ask(names, load, args.output, policy)
    if args.clips is not None:
        print(f"{write_clips(args.clips, shots())} clips in {args.clips}")
    if args.data is not None:
        one_by_one(names, load, args.data, policy)
    return 0


def _ask(
    names: Sequence[str], load: Callable[[str], Segmenter], output: Path, policy: PostprocessConfig
) -> None:
    from avs_ros.evaluation.scenes import judge, sheet, shots

    scenes = shots()
    answers: list[list[Segmentation]] = [[] for _ in scenes]
    print(f"{'scene':<26s} {'model':<14s} {'IoU':>6s} {'marked':>7s} {'silent':>7s}  instances")
    for name in names:
        with closing(load(name)) as segmenter:
            for found, shot in zip(answers, scenes, strict=True):
                found.append(answer_to(segmenter, shot.view.rgb, shot.window, policy))
    for found, shot in zip(answers, scenes, strict=True):
        for name, answer in zip(names, found, strict=True):
            verdict = judge(answer, shot)
            iou = "-" if verdict.iou is None else f"{verdict.iou:.3f}"
            print(
                f"{shot.name:<26s} {short(name):<14s} {iou:>6s} {verdict.marked:>7.3f} "
                f"{verdict.other:>7.3f}  {', '.join(verdict.instances) or 'nothing'}"
            )
    drawn = sheet(list(zip(scenes, answers, strict=True)), [short(name) for name in names])
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = cv2.imwrite(str(output), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
    except cv2.error:  # no such format
        done = False
    if not done:
        raise ParameterError(f"{output} cannot be written: choose a .png or .jpg in your folders")


def one_by_one(
    names: Sequence[str], load: Callable[[str], Segmenter], data: Path, policy: PostprocessConfig
) -> None:
    """Print how well the models tell things apart, find them one by one, and follow them.

    ``load``: makes the segmenter of a name.  ``data``: see ``--data``.
    """
    cases = make_twins(read_dataset(data))
    told = [
        f"\n{'two of a kind':<26s} {'cases':>6s} {'marked':>7s} {'both':>7s} {'apart':>7s} "
        f"{'clear':>6s} {'apart':>7s}"
    ]
    precise = [f"\n{'photographs, one by one':<26s} {'things':>6s} {'AP50':>7s}"]
    followed = [f"\n{'sequences':<26s} {'followed':>8s} {'switches':>8s} {'a minute':>8s}"]
    for name in names:
        with closing(load(name)) as segmenter:
            one = tell(segmenter, cases, policy)
            told.append(
                f"{short(name):<26s} {one.cases:>6d} {one.marked:>7.3f} {one.both:>7.3f} "
                f"{one.apart:>7.3f} {one.clear:>6d} {one.clear_apart:>7.3f}"
            )
            if not isinstance(segmenter, identity.Finder):
                continue
            if (data / "images" / "coco_mini").is_dir():
                found = identity.precision(segmenter, identity.photographs(data))
                things = sum(found.things.values())
                precise.append(f"{short(name):<26s} {things:>6d} {found.mean():>7.3f}")
                for kind, number in sorted(found.things.items()):
                    precise.append(f"  {kind:<24s} {number:>6d} {found.of(kind):>7.3f}")
            if (data / "images" / "davis").is_dir():
                kept = identity.follow(segmenter, identity.sequences(data))
                followed.append(
                    f"{short(name):<26s} {kept.followed:>8.3f} {kept.switches:>8d} "
                    f"{kept.per_minute:>8.2f}"
                )
    print("\n".join([*told, *precise, *followed]))
