"""What an evaluation leaves: ``metrics.json`` and one line per frame beside it.

``docs/research/metrics.md`` says what every name means; a test holds the two against each other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avs_ros.errors import DatasetError

# Rises when a name changes its meaning or goes away; new names do not raise it.
SCHEMA = 2
METRICS, FRAMES, LIVE_FRAMES = "metrics.json", "frames.jsonl", "frames_live.jsonl"


@dataclass(frozen=True)
class RunRecord:
    """One run read back: ``name`` for headings, ``frames`` as they were written."""

    name: str
    frames: list[dict[str, Any]]


def make_folder(folder: Path) -> Path:
    """The folder, made if need be.  Raises DatasetError when that is impossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be written ({error.strerror})") from error
    return folder


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file, text as UTF-8; it appears whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(part, path)
    return path


def write_results(folder: Path, files: Mapping[str, str | Mapping[str, Any]]) -> None:
    """Write ``files`` (name -> text, or values for JSON) and print where each is."""
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content, indent=2) + "\n"
        print(f"  {write_whole(folder / name, text)}")


def write_metrics(folder: Path, about: Mapping[str, Any]) -> Path:
    """Write ``metrics.json`` with the schema's number in front."""
    text = json.dumps({"schema": SCHEMA, **about}, indent=2) + "\n"
    return write_whole(folder / METRICS, text)


def write_frames(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    """One JSON object per line (:meth:`ScoreSheet.records`)."""
    return write_whole(path, "".join(json.dumps(record) + "\n" for record in records))


def read_text(path: Path) -> str:
    """The text of a file.  Raises DatasetError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise DatasetError(f"{path}: cannot be read ({why})") from error


def read_json(path: Path) -> Any:
    """The values of a JSON file.  Raises DatasetError when there are none."""
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise DatasetError(f"{path}: not JSON ({error})") from error


def read_run(path: Path) -> RunRecord:
    """A folder, its ``metrics.json``, or a ``frames*.jsonl`` -> what is known about the run.

    Raises DatasetError, saying what is missing or too new.
    """
    if path.is_dir():
        path = path / METRICS
    if path.suffix == ".jsonl":
        return RunRecord(f"{path.parent.resolve().name}/{path.stem}", _read_frames(path))
    about = read_json(path)
    if not isinstance(about, dict) or "schema" not in about:
        raise DatasetError(f"{path} is no result of `avs evaluate bag` (it has no schema)")
    if about["schema"] != SCHEMA:
        raise DatasetError(
            f"{path} has schema {about['schema']}, this program reads {SCHEMA}: evaluate again"
        )
    frames = path.parent / str(about.get("frames_file", FRAMES))
    if not frames.is_file():
        raise DatasetError(f"{frames} is missing: it holds the frames that a comparison needs")
    return RunRecord(path.parent.resolve().name, _read_frames(frames))


def _read_frames(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in read_text(path).splitlines()]
    except ValueError as error:
        raise DatasetError(f"{path}: a line is not JSON ({error})") from error
