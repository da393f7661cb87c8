"""``avs weights``: list, download, convert and verify public weight files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from avs_ros.cli.options import check_safetensors
from avs_ros.cli.progress import progress_bar
from avs_ros.errors import CheckpointError, DownloadError, ParameterError
from avs_ros.weights import sources
from avs_ros.weights.sources import (
    PublicFile,
    WeightSource,
    cache_folder,
    cached_paths,
    download,
    find_source,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs weights``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="known public weights, and which of them are here")

    fetch = actions.add_parser("download", help="fetch public weights; continues where it stopped")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="see `avs weights list`")

    change = actions.add_parser("convert", help="public files into one safetensors file")
    change.add_argument("name", metavar="NAME", help="see `avs weights list`; or c3n")
    change.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="default: the downloaded files"
    )
    change.add_argument("-o", "--output", type=Path, help="default: NAME.safetensors")
    change.add_argument(
        "--similarity", help="for c3n: plain, context or a file (default: context)"
    )

    check = actions.add_parser("verify", help="hash, size, and whether every tensor fits")
    check.add_argument("name", nargs="?", metavar="NAME", help="default: all that are here")
    check.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="default: the downloaded files"
    )

    for action in (fetch, change, check):
        action.add_argument("--folder", type=Path, default=cache_folder(),
                            help="where downloads are kept (default: the user's cache)")


def run(args: argparse.Namespace) -> int:
    """Run one action."""
    actions = {"list": _list, "download": _download, "convert": _convert, "verify": _verify}
    return actions[args.action](args)


def _list(_args: argparse.Namespace) -> int:
    print(f"{'name':39} {'size':>9} {'SHA-256':9} {'here':4} licence")
    for source in sources.SOURCES:
        first = (source.files[0].sha256 or "unknown")[:8]
        here = "yes" if cached_paths(source) else "-"
        print(f"{source.name:39} {_size(source):>9} {first:9} {here:4} {source.licence}")
        if source.note:
            print(f"{'':4}{source.note}")
    print(f"downloads are kept in {cache_folder()}")
    print("The paper's trained C3N networks are not public: train them with `avs train c3n`.")
    return 0


def _size(source: WeightSource) -> str:
    if all(file.size for file in source.files):
        return f"{sum(file.size or 0 for file in source.files) / 2**20:.0f} MiB"
    about = sum(file.about_mib or 0 for file in source.files)
    return f"~{about} MiB" if about else "unknown"


def _download(args: argparse.Namespace) -> int:
    folder: Path = args.folder
    for source in [find_source(name) for name in args.names]:
        for file in source.files:
            if file.url is None and not (folder / file.name).is_file():
                raise DownloadError(
                    f"{source.name} is shared on a page for browsers only: open {source.page} "
                    f"({source.note}), save {file.name} in {folder}, then run "
                    f"`avs weights verify {source.name}`"
                )
            path = _fetch(file, folder)
            checked = "checked" if file.sha256 else "no published hash to check it against"
            print(f"{path} ({path.stat().st_size} bytes, {checked})")
    return 0


def _fetch(file: PublicFile, folder: Path) -> Path:
    """Download, on a terminal with a bar of rate and remaining time."""
    if not sys.stderr.isatty():
        return download(file, folder)
    from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn

    with progress_bar(
        "{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(),
    ) as bar:
        task = bar.add_task(file.name, total=None)
        return download(file, folder, lambda done, total: bar.update(
            task, completed=done, total=total))


def _convert(args: argparse.Namespace) -> int:
    from avs_ros.weights.convert import convert, convert_c3n

    output = args.output or Path(f"{args.name}.safetensors")
    check_safetensors(output)
    if args.name == "c3n":
        if len(args.files) != 1:
            raise ParameterError("name one C3N checkpoint: avs weights convert c3n FILE")
        description = convert_c3n(args.files[0], output, args.similarity)
    else:
        source = find_source(args.name)
        convert(source, _files(args, source), output)
        description = source.network
    print(f"{output}: {description}, {output.stat().st_size} bytes")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from avs_ros.weights.convert import verify

    folder: Path = args.folder
    if args.name:
        chosen = [find_source(args.name)]
    else:
        chosen = [source for source in sources.SOURCES if cached_paths(source, folder)]
        if not chosen:
            print(f"no downloaded weights in {folder}")
    right = True
    for source in chosen:
        for ok, subject, found in verify(source, _files(args, source)):
            print(f"{'ok   ' if ok else 'WRONG'} {subject}: {found}")
            right &= ok
    return 0 if right else 1


def _files(args: argparse.Namespace, source: WeightSource) -> list[Path]:
    """The files named on the command line, else the downloaded ones."""
    if args.files:
        if len(args.files) != len(source.files):
            names = ", ".join(file.name for file in source.files)
            raise ParameterError(
                f"{source.name} consists of {len(source.files)} file(s) ({names}), "
                f"{len(args.files)} given"
            )
        return list(args.files)
    paths = cached_paths(source, args.folder)
    if paths is None:
        raise CheckpointError(
            f"{source.name} is not in {args.folder}: fetch it with `avs weights download "
            f"{source.name}`, or name its files"
        )
    return paths
