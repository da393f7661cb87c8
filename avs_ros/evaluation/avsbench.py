"""Readers for the AVSBench data sets: S4 (single source), MS3 (multiple sources), AVSS (semantic).

Layouts as published by AVSBench (Zhou et al., ECCV 2022 and IJCV 2024)::

    <root>/Single-source/s4_meta_data.csv          columns: name, start, category, split
    <root>/Single-source/s4_data/visual_frames/<split>/<category>/<name>/<name>_{1..5}.png
    <root>/Single-source/s4_data/audio_wav/<split>/<category>/<name>.wav
    <root>/Single-source/s4_data/gt_masks/<split>/<category>/<name>/<name>_{1..5}.png (train: 1)

    <root>/Multi-sources/ms3_meta_data.csv         columns: name, split
    <root>/Multi-sources/ms3_data/visual_frames/<name>/<name>.mp4_{1..5}.png
    <root>/Multi-sources/ms3_data/audio_wav/<split>/<name>.wav
    <root>/Multi-sources/ms3_data/gt_masks/<split>/<name>/<name>_{1..5}.png

    <root>/metadata.csv          columns: vid, uid, s_min, s_sec, a_obj, split, label
    <root>/{v1s,v1m,v2}/<uid>/audio.wav, frames/{0..}.jpg, labels_semantic/{0..}.png

One clip is T frames at one per second, each paired with its own second of sound.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avs_ros.errors import DatasetError

SPLITS = ("train", "val", "test")
Row = dict[str, str]


@dataclass(frozen=True)
class AVSBenchClip:
    """Where one clip's files are.

    ``masks[t]`` is None where frame t carries no annotation (S4 training clips annotate the
    first frame only).  ``wav`` holds at least ``len(frames)`` seconds of sound.
    """

    name: str
    subset: str
    split: str
    category: str
    frames: tuple[Path, ...]
    masks: tuple[Path | None, ...]
    wav: Path


def _rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """Rows of a csv with or without these header names; columns are then taken by position."""
    if not path.is_file():
        raise DatasetError(f"{path} is missing: this is not the root of an AVSBench folder")
    with path.open(newline="", encoding="utf-8") as file:
        table = [row for row in csv.reader(file) if row]
    if not table:
        raise DatasetError(f"{path} is empty")
    header = [cell.strip() for cell in table[0]]
    named = columns[-1] in header
    at = {c: header.index(c) if named and c in header else i for i, c in enumerate(columns)}
    table = table[named:]
    for number, row in enumerate(table, 1):
        if len(row) <= max(at.values()):
            raise DatasetError(
                f"{path} row {number} has {len(row)} columns, at least {max(at.values()) + 1} "
                f"are needed ({', '.join(columns)})"
            )
    return [{c: row[i].strip() for c, i in at.items()} for row in table]


def _s4(root: Path, row: Row) -> AVSBenchClip:
    name, place, data = row["name"], Path(row["split"]) / row["category"], root / "s4_data"
    numbers = range(1, 6)
    truth = data / "gt_masks" / place / name
    return AVSBenchClip(
        name, "s4", row["split"], row["category"],
        tuple(data / "visual_frames" / place / name / f"{name}_{n}.png" for n in numbers),
        tuple(
            truth / f"{name}_{n}.png" if row["split"] != "train" or n == 1 else None
            for n in numbers
        ),
        data / "audio_wav" / place / f"{name}.wav",
    )  # fmt: skip


def _ms3(root: Path, row: Row) -> AVSBenchClip:
    name, split, data, numbers = row["name"], row["split"], root / "ms3_data", range(1, 6)
    return AVSBenchClip(
        name, "ms3", split, "",
        tuple(data / "visual_frames" / name / f"{name}.mp4_{n}.png" for n in numbers),
        tuple(data / "gt_masks" / split / name / f"{name}_{n}.png" for n in numbers),
        data / "audio_wav" / split / f"{name}.wav",
    )  # fmt: skip


def _avss(root: Path, row: Row) -> AVSBenchClip:
    folder, numbers = root / row["label"] / row["uid"], range(10 if row["label"] == "v2" else 5)
    first_only = row["label"] == "v1s" and row["split"] == "train"
    return AVSBenchClip(
        row["uid"], f"avss/{row['label']}", row["split"], row["a_obj"],
        tuple(folder / "frames" / f"{n}.jpg" for n in numbers),
        tuple(
            None if first_only and n else folder / "labels_semantic" / f"{n}.png" for n in numbers
        ),
        folder / "audio.wav",
    )  # fmt: skip


# subset -> the folder of its table, if it is not the root itself; the table; its columns; a row
_SUBSETS: dict[str, tuple[str, str, tuple[str, ...], Callable[[Path, Row], AVSBenchClip]]] = {
    "s4": ("Single-source", "s4_meta_data.csv", ("name", "start", "category", "split"), _s4),
    "ms3": ("Multi-sources", "ms3_meta_data.csv", ("name", "split"), _ms3),
    "avss": (
        "", "metadata.csv", ("vid", "uid", "s_min", "s_sec", "a_obj", "split", "label"), _avss
    ),
}  # fmt: skip
SUBSETS = tuple(_SUBSETS)


def detect_subset(root: Path) -> str:
    """Which of S4, MS3, AVSS lies at ``root``; DatasetError when none or more than one does."""
    found = [
        subset for subset, (folder, table, *_) in _SUBSETS.items()
        if (root / folder / table).is_file() or (root / table).is_file()
    ]  # fmt: skip
    if len(found) == 1:
        return found[0]
    what = "no AVSBench metadata" if not found else "more than one subset: " + ", ".join(found)
    raise DatasetError(f"{root} holds {what}; name one of {', '.join(SUBSETS)} and its root")


def _clips(root: Path, subset: str, split: str) -> list[AVSBenchClip]:
    folder, table, columns, clip = _SUBSETS[subset]
    base = root / folder if (root / folder).is_dir() else root
    return [clip(base, row) for row in _rows(base / table, columns) if row["split"] == split]


def read_clips(root: Path | str, subset: str, split: str) -> list[AVSBenchClip]:
    """Clips of one split, in the order of the csv; DatasetError for an unknown or empty one."""
    if subset not in _SUBSETS:
        raise DatasetError(f"unknown subset {subset!r}; known: {', '.join(SUBSETS)}")
    clips = _clips(Path(root), subset, split)
    if not clips:
        raise DatasetError(f"{root}: no clip of {subset} is in split {split!r}")
    return clips


@dataclass(frozen=True)
class LayoutReport:
    """Result of a layout check: clips per split, and each missing file."""

    subset: str
    clips: dict[str, int]
    missing: list[Path]

    @property
    def complete(self) -> bool:
        """True when nothing is missing."""
        return not self.missing

    def __str__(self) -> str:
        """A few lines for people: counts, then the first missing files."""
        head = f"{self.subset}: {', '.join(f'{n} {s}' for s, n in self.clips.items())} clips, "
        if self.complete:
            return f"{head}nothing missing"
        lines = [f"  missing: {path}" for path in self.missing[:10]]
        if len(self.missing) > 10:
            lines.append(f"  … and {len(self.missing) - 10} more")
        return "\n".join([f"{head}{len(self.missing)} files missing", *lines])


def check_layout(root: Path | str, subset: str | None = None) -> LayoutReport:
    """Look for every file that the metadata promises."""
    root = Path(root)
    subset = subset or detect_subset(root)
    clips = {split: _clips(root, subset, split) for split in SPLITS}
    files = (
        path for found in clips.values() for clip in found
        for path in (*clip.frames, *clip.masks, clip.wav)
    )
    missing = [path for path in files if path is not None and not path.is_file()]
    return LayoutReport(subset, {split: len(found) for split, found in clips.items()}, missing)
