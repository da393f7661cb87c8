"""``avs evaluate avsbench DIR``: print the table of scores and write ``metrics.json``."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avs_ros.errors import ModelError

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
        from avs_ros.inference import create_segmenter

        return Streamed(create_segmenter(args.model, device=args.device)), 224
    import torch

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
    cuda = args.device == "auto" and torch.cuda.is_available()
    device = "cuda" if cuda else "cpu" if args.device == "auto" else args.device
    return WholeClip(loaded.network, audio_encoder, device), loaded.network.image_size


def run(args: argparse.Namespace) -> int:
    """Evaluate; print a table; write the scores."""
    from rich.console import Console
    from rich.progress import track

    from avs_ros.evaluation import avsbench
    from avs_ros.evaluation.avsbench_run import evaluate_clips

    subset = args.subset or avsbench.detect_subset(args.root)
    if args.check:
        report = avsbench.check_layout(args.root, subset)
        print(report)
        return 0 if report.complete else 1
    clips = avsbench.read_clips(args.root, subset, args.split)
    model, size = _model(args)
    console = Console(stderr=True)
    scores = evaluate_clips(
        model,
        clips,
        size=size,
        batch_frames=args.batch_frames,
        track=lambda items: track(items, f"{subset} {args.split}", len(clips), console=console),
    )
    _print(scores, f"{args.model} on {subset} {args.split}")
    about: dict[str, Any] = {"kind": "avsbench", "schema": 1}
    about |= {"model": args.model, "subset": subset, "split": args.split}
    about |= dataclasses.asdict(scores)
    args.output.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    print(f"written: {args.output}")
    return 0


def _print(scores: AVSBenchScores, title: str) -> None:
    from avs_ros.report.terminal import show_table

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
