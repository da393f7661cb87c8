"""``avs VERB …``: choose the verb, run it, turn errors into one message and an exit status.

Exit status: 0 done; 1 the verb says its own check failed; 2 the input or the command line is at
fault (one message on stderr); 130 and 143 interrupted or terminated, with every file whole.

A verb ``name`` lives in ``avs_ros/cli/<name>.py`` and has ``add_arguments(parser)`` and
``run(args) -> int``.  Only the verb that was asked for is imported, so ``avs --help`` needs
neither torch nor ROS 2.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import avs_ros
from avs_ros.errors import EXTRAS, AvsError

# verb -> the line that `avs --help` shows; the module is avs_ros.cli.<verb>
VERBS: dict[str, str] = {
    "run": "segment a video file, a rosbag2 or a live camera: masks, labels, video, bag, report",
    "demo": "play a scene through the real node over DDS, record it, render it",
    "info": "versions, devices, engines, models, ROS 2; or one model, with its gate",
    "train": "train C3N, AVSC or the bundled light model",
    "weights": "list, download, convert and verify public weight files",
    "export": "a model's step as an ONNX file or a TensorRT engine",
    "labels": "build or look at the similarity of visible and heard classes",
    "convert": "data sets, videos and robots' bags to rosbag2",
    "evaluate": "scores of a model on data with truth",
    "benchmark": "speed and memory, side by side: published form, engines, node",
}


# The disk's or its owner's fault, not the program's.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM: unwinds like Ctrl-C, so that open files are finished."""


def _terminate(_signum: int, _frame: FrameType | None) -> None:
    raise Terminated


def build_parser(verb: str | None = None) -> argparse.ArgumentParser:
    """The parser of every verb's name; only ``verb`` is imported and gets its arguments."""
    parser = argparse.ArgumentParser(
        prog="avs", description="Which pixels are making the sound, and what they are."
    )
    parser.add_argument("--version", action="version", version=f"avs_ros {avs_ros.__version__}")
    parser.add_argument(
        "--traceback", action="store_true", help="show where in the program an error arose"
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, line in VERBS.items():
        sub = verbs.add_parser(name, help=line, description=line[:1].upper() + line[1:] + ".")
        if name == verb:
            module = importlib.import_module(f"avs_ros.cli.{name.replace('-', '_')}")
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit status (the console script hands it to the shell)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = next((word for word in arguments if not word.startswith("-")), None)
    try:
        args = build_parser(verb).parse_args(arguments)
    except SystemExit:
        for word in arguments:
            if word.startswith("-") and os.path.lexists(word):
                print(f"avs: for the file of the name {word} write ./{word}", file=sys.stderr)
        raise
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        return int(args.run(args) or 0)
    except AvsError as error:
        if args.traceback:
            raise
        print(f"avs {args.verb}: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if args.traceback or extra is None:
            raise
        print(f"avs {args.verb}: {error.name} is not installed: pip install 'avs_ros[{extra}]'",
              file=sys.stderr)
        return 2
    except BrokenPipeError:
        # `avs … | head`: the reader has gone; keep Python from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        if args.traceback or error.errno not in DISK_ERRORS:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"avs {args.verb}: {where}{error.strerror}", file=sys.stderr)
        return 2
    except Terminated:
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        print(f"avs {args.verb}: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    finally:
        signal.signal(signal.SIGTERM, previous)
