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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avs_ros.errors import DatasetError

SUBSETS = ("s4", "ms3", "avss")
SPLITS = ("train", "val", "test")


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

    def files(self) -> list[Path]:
        """Every file that the clip needs."""
        return [*self.frames, *(m for m in self.masks if m is not None), self.wav]


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a csv with or without these header names; columns are then taken by position."""
    if not path.is_file():
        raise DatasetError(f"{path} is missing: this is not the root of an AVSBench folder")
    with path.open(newline="", encoding="utf-8") as file:
        table = [row for row in csv.reader(file) if row]
    if not table:
        raise DatasetError(f"{path} is empty")
    header = [cell.strip() for cell in table[0]]
    if columns[-1] in header:
        at = {c: header.index(c) if c in header else i for i, c in enumerate(columns)}
        table = table[1:]
    else:
        at = {c: i for i, c in enumerate(columns)}
    for number, row in enumerate(table, 1):
        if len(row) <= max(at.values()):
            raise DatasetError(
                f"{path} row {number} has {len(row)} columns, at least {max(at.values()) + 1} "
                f"are needed ({', '.join(columns)})"
            )
    return [{c: row[i].strip() for c, i in at.items()} for row in table]


def _s4(root: Path, split: str) -> list[AVSBenchClip]:
    base = root / "Single-source" if (root / "Single-source").is_dir() else root
    data = base / "s4_data"
    clips = []
    for row in _rows(base / "s4_meta_data.csv", ("name", "start", "category", "split")):
        if row["split"] != split:
            continue
        name, place = row["name"], Path(split) / row["category"]
        numbers = range(1, 6)
        truth = data / "gt_masks" / place / name
        masks = tuple(
            truth / f"{name}_{n}.png" if split != "train" or n == 1 else None for n in numbers
        )
        frames = tuple(data / "visual_frames" / place / name / f"{name}_{n}.png" for n in numbers)
        wav = data / "audio_wav" / place / f"{name}.wav"
        clips.append(AVSBenchClip(name, "s4", split, row["category"], frames, masks, wav))
    return clips


def _ms3(root: Path, split: str) -> list[AVSBenchClip]:
    base = root / "Multi-sources" if (root / "Multi-sources").is_dir() else root
    data = base / "ms3_data"
    clips = []
    for row in _rows(base / "ms3_meta_data.csv", ("name", "split")):
        if row["split"] != split:
            continue
        name, numbers = row["name"], range(1, 6)
        frames = tuple(data / "visual_frames" / name / f"{name}.mp4_{n}.png" for n in numbers)
        masks = tuple(data / "gt_masks" / split / name / f"{name}_{n}.png" for n in numbers)
        wav = data / "audio_wav" / split / f"{name}.wav"
        clips.append(AVSBenchClip(name, "ms3", split, "", frames, masks, wav))
    return clips


def _avss(root: Path, split: str) -> list[AVSBenchClip]:
    columns = ("vid", "uid", "s_min", "s_sec", "a_obj", "split", "label")
    clips = []
    for row in _rows(root / "metadata.csv", columns):
        if row["split"] != split:
            continue
        folder = root / row["label"] / row["uid"]
        length = 10 if row["label"] == "v2" else 5
        annotated = 1 if row["label"] == "v1s" and split == "train" else length
        frames = tuple(folder / "frames" / f"{n}.jpg" for n in range(length))
        masks = tuple(
            folder / "labels_semantic" / f"{n}.png" if n < annotated else None
            for n in range(length)
        )
        clips.append(
            AVSBenchClip(
                row["uid"],
                f"avss/{row['label']}",
                split,
                row["a_obj"],
                frames,
                masks,
                folder / "audio.wav",
            )
        )
    return clips


_READERS = {"s4": _s4, "ms3": _ms3, "avss": _avss}


def detect_subset(root: Path) -> str:
    """Which of S4, MS3, AVSS lies at ``root``; DatasetError when none or more than one does."""
    signs = {
        "s4": ("Single-source/s4_meta_data.csv", "s4_meta_data.csv"),
        "ms3": ("Multi-sources/ms3_meta_data.csv", "ms3_meta_data.csv"),
        "avss": ("metadata.csv",),
    }
    found = [s for s, names in signs.items() if any((root / n).is_file() for n in names)]
    if len(found) == 1:
        return found[0]
    what = "no AVSBench metadata" if not found else "more than one subset: " + ", ".join(found)
    raise DatasetError(f"{root} holds {what}; name one of {', '.join(SUBSETS)} and its root")


def read_clips(root: Path | str, subset: str, split: str) -> list[AVSBenchClip]:
    """Clips of one split, in the order of the csv; DatasetError for an unknown or empty one."""
    if subset not in _READERS:
        raise DatasetError(f"unknown subset {subset!r}; known: {', '.join(SUBSETS)}")
    clips = _READERS[subset](Path(root), split)
    if not clips:
        raise DatasetError(f"{root}: no clip of {subset} is in split {split!r}")
    return clips


@dataclass(frozen=True)
class LayoutReport:
    """Result of a layout check: clips per split, and each missing file."""

    subset: str
    clips: dict[str, int]
    missing: tuple[Path, ...]

    @property
    def complete(self) -> bool:
        """True when nothing is missing."""
        return not self.missing

    def __str__(self) -> str:
        """A few lines for people: counts, then the first missing files."""
        counts = ", ".join(f"{n} {s}" for s, n in self.clips.items())
        if self.complete:
            return f"{self.subset}: {counts} clips, nothing missing"
        shown = "\n".join(f"  missing: {path}" for path in self.missing[:10])
        more = len(self.missing) - 10
        tail = f"\n  … and {more} more" if more > 0 else ""
        return f"{self.subset}: {counts} clips, {len(self.missing)} files missing\n{shown}{tail}"


def check_layout(root: Path | str, subset: str | None = None) -> LayoutReport:
    """Look for every file that the metadata promises."""
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder")
    subset = subset or detect_subset(root)
    clips: dict[str, int] = {}
    missing: list[Path] = []
    for split in SPLITS:
        found = _READERS[subset](root, split)
        clips[split] = len(found)
        missing += [path for clip in found for path in clip.files() if not path.is_file()]
    return LayoutReport(subset, clips, tuple(missing))
