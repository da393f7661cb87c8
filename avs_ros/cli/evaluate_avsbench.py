"""``avs evaluate avsbench DIR``: print the table of scores and write ``metrics.json``."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avs_ros.cli.progress import tracked
from avs_ros.errors import ModelError
from avs_ros.evaluation import avsbench
from avs_ros.inference import create_segmenter
from avs_ros.inference.engines import choose_device
from avs_ros.report.terminal import show_table

if TYPE_CHECKING:
    from avs_ros.evaluation.avsbench_run import AVSBenchScores, ClipModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs evaluate avsbench``."""
    parser.add_argument("root", type=Path, metavar="DIR", help="root of the data set")
    parser.add_argument("--subset", choices=("s4", "ms3", "avss"), help="default: what is found")
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument(
        "--model", default="c3n_light", help="a model's name, or a C3N checkpoint file"
    )
    parser.add_argument(
        "--audio-weights", type=Path, help="public weights of the checkpoint's audio network"
    )
    parser.add_argument("--similarity", help="label similarity for the authors' checkpoints")
    parser.add_argument(
        "--streaming", action="store_true", help="feed a checkpoint frame by frame, past only"
    )
    parser.add_argument(
        "--batch-frames", type=int, default=5, help="frames that share an F threshold (default 5)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")
    parser.add_argument("--check", action="store_true", help="only look for missing files")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("metrics.json"), help="default: metrics.json"
    )


def _model(args: argparse.Namespace) -> tuple[ClipModel, int]:
    from avs_ros.evaluation.avsbench_run import Streamed, WholeClip

    path = Path(args.model)
    if args.streaming or not path.suffix:
        return Streamed(create_segmenter(args.model, device=args.device)), 224
    from avs_ros.models import audio
    from avs_ros.models.checkpoints import load_c3n
    from avs_ros.models.label_similarity import load_similarity

    given = load_similarity(args.similarity) if args.similarity else None
    loaded = load_c3n(path, given, load_similarity)
    if args.audio_weights is None:
        raise ModelError(
            f"{path} holds no audio network: name the public weights of {loaded.audio} with "
            "--audio-weights (`avs weights list` shows where they are)"
        )
    audio_encoder = audio.build(loaded.audio, args.audio_weights)
    device = choose_device(args.device)
    return WholeClip(loaded.network, audio_encoder, device), loaded.network.image_size


def run(args: argparse.Namespace) -> int:
    """Evaluate; print a table; write the scores."""
    from avs_ros.evaluation.avsbench_run import evaluate_clips

    subset = args.subset or avsbench.detect_subset(args.root)
    if args.check:
        report = avsbench.check_layout(args.root, subset)
        print(report)
        return 0 if report.complete else 1
    clips = avsbench.read_clips(args.root, subset, args.split)
    model, size = _model(args)
    scores = evaluate_clips(
        model,
        clips,
        size=size,
        batch_frames=args.batch_frames,
        track=lambda items: tracked(items, f"{subset} {args.split}", len(clips)),
    )
    _print(scores, f"{args.model} on {subset} {args.split}")
    about: dict[str, Any] = {
        "kind": "avsbench", "schema": 1, "model": args.model, "subset": subset,
        "split": args.split, **dataclasses.asdict(scores),
    }
    args.output.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    print(f"written: {args.output}")
    return 0


def _print(scores: AVSBenchScores, title: str) -> None:
    rows = [
        ("M_J", scores.m_j, f"as AVSBench, {scores.batch_frames} frames a batch"),
        ("M_F", scores.m_f, f"as AVSBench, {scores.batch_frames} frames a batch"),
        ("M_J, every frame equal", scores.m_j_frames, "batch-independent"),
        ("M_F, one threshold", scores.m_f_set, "batch-independent"),
        ("false-positive area", scores.false_positive_rate, "frames on which nothing sounds"),
        *((f"  {category}", value, "mean IoU of the category")
          for category, value in scores.categories.items()),
    ]  # fmt: skip
    shown = [(name, f"{value:.4f}", what) for name, value, what in rows if value is not None]
    show_table(("score", "value", "meaning"), shown, (0, 1, 2), (), title=title)
    print(f"{scores.clips} clips, {scores.frames} annotated frames")
