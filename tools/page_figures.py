"""Run the commands that stand in a page and put what they print into the block below each.

    python tools/page_figures.py docs/research/two_models.md --data DIR

A command is an indented line that begins with "avs "; its block is the next one between ```
lines, before another command.  In commands, DIR is the data folder and docs/ the repository's;
they run in a folder of their own, with this repository's package.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Wide enough for the tables of two models.
COLUMNS = "110"
_BLOCK = re.compile(
    r"^    (avs .+)\n((?:(?!    avs |```).*\n)*)```\n(?:(?!```).*\n)*```\n", re.MULTILINE
)


def commands(page: str) -> list[str]:
    """Those that have a block."""
    return [match[1] for match in _BLOCK.finditer(page)]


def with_figures(page: str, printed: dict[str, str]) -> str:
    """The page with other blocks: command -> what it printed."""

    def block(match: re.Match[str]) -> str:
        if match[1] not in printed:
            return match[0]
        text = "\n".join(line.rstrip() for line in printed[match[1]].splitlines()).strip("\n")
        return f"    {match[1]}\n{match[2]}```\n{text}\n```\n"

    return _BLOCK.sub(block, page)


def run(command: str, data: Path, folder: Path) -> str:
    """What a command prints.  Raises CalledProcessError where it fails."""
    words = [
        re.sub(r"^DIR(?=/|$)", str(data), re.sub(r"^docs/", f"{ROOT}/docs/", word))
        for word in shlex.split(command)[1:]
    ]
    environment = {
        **os.environ, "COLUMNS": COLUMNS,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "avs_ros.cli", *words], cwd=folder, env=environment, check=True,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    # Files that it wrote lie in a folder that is gone, and single recordings are nobody's figures.
    left_out = re.compile(r"(results|plot)? +\S+/\S+$|\S+\.(mp4|webm|mkv|mcap): ")
    lines = [line for line in done.stdout.splitlines() if not left_out.match(line)]
    return "\n".join(lines)


def main() -> int:
    """Rewrite the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--only", default="", metavar="TEXT", help="commands that hold this text")
    args = parser.parse_args()
    for command in commands(args.page.read_text(encoding="utf-8")):
        if args.only not in command:
            continue
        print(command, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            printed = run(command, args.data.resolve(), Path(folder))
        page = args.page.read_text(encoding="utf-8")
        args.page.write_text(with_figures(page, {command: printed}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
