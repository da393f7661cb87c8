"""``avs labels``: build a label similarity, or look at one."""

from __future__ import annotations

import argparse
from pathlib import Path

from avs_ros.cli.options import check_safetensors
from avs_ros.models.label_similarity import (
    build_similarity,
    read_similarity,
    shipped_similarity,
    write_similarity,
)
from avs_ros.models.labels import audioset, imagenet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs labels``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    build = actions.add_parser(
        "build", help="embed the label texts and write the similarity of every pair"
    )
    build.add_argument("--embedding", default="minilm",
                       help="minilm, sentence-transformers:NAME or glove:FILE (default: minilm)")
    build.add_argument("--form", choices=("plain", "context"), default="context",
                       help="plain: names as they stand, as in the paper; context: what things "
                       "are comes first (default: context)")
    build.add_argument("--extra-rows", nargs="*", metavar="NAME",
                       help="visual classes outside ImageNet (default: those of the package)")
    build.add_argument("-o", "--output", type=Path, metavar="FILE", help="a .safetensors file")

    nearest = actions.add_parser("nearest", help="what a sound's class resembles most")
    nearest.add_argument("label", help="an AudioSet class, by name or MID")
    nearest.add_argument("--form", choices=("plain", "context"), default="context")
    nearest.add_argument("--file", type=Path, help="a similarity built by `avs labels build`")
    nearest.add_argument("-n", "--count", type=int, default=10)

    listing = actions.add_parser("list", help="names and ids of a vocabulary, one per line")
    listing.add_argument("vocabulary", choices=("audioset", "imagenet"))


def run(args: argparse.Namespace) -> int:
    """Run one action."""
    return {"build": _build, "nearest": _nearest, "list": _list}[args.action](args)


def _build(args: argparse.Namespace) -> int:
    output = args.output or Path(f"label_similarity_{args.form}.safetensors")
    check_safetensors(output)
    similarity = build_similarity(args.embedding, args.form, args.extra_rows)
    write_similarity(similarity, output)
    rows, columns = similarity.matrix.shape
    print(f"{output}: {rows} visual x {columns} AudioSet classes, {args.form}, {args.embedding}")
    return 0


def _nearest(args: argparse.Namespace) -> int:
    column = audioset().index(args.label)
    similarity = read_similarity(args.file) if args.file else shipped_similarity(args.form)
    values = similarity.matrix[:, column]
    print(f"{audioset()[column]} ({similarity.form}, {similarity.embedding})")
    for row in (-values).argsort(kind="stable")[: max(args.count, 0)]:
        print(f"  {values[row]:.3f}  {similarity.rows[row]}")
    return 0


def _list(args: argparse.Namespace) -> int:
    vocabulary = audioset() if args.vocabulary == "audioset" else imagenet()
    for index, (identity, name) in enumerate(zip(vocabulary.ids, vocabulary.names, strict=True)):
        print(f"{index}\t{identity}\t{name}")
    return 0
