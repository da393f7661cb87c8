"""Files of a rosbag2: what they are by their content, how to open them, what mends them."""

from __future__ import annotations

from collections.abc import Collection, Generator
from pathlib import Path
from typing import Any

from avs_ros.errors import BagError, MediaError, optional

# First bytes of a file -> what it is.
_KINDS = {
    b"\x89MCAP0\r\n": "mcap",
    b"SQLite format 3\x00": "sqlite3",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"#ROSBAG V": "ros1",
    b"version https://git-lfs": "lfs",
}
_ZSTD = b"\x28\xb5\x2f\xfd"
_SUFFIXES = {".mcap": "mcap", ".db3": "sqlite3"}


def kind_of(path: Path) -> str:
    """``mcap``, ``sqlite3``, ``zstd`` (compressed as a whole), ``ros1``, ``lfs`` (a pointer to the
    file instead of the file) or "" for a file of another kind.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(32)
    except OSError:
        return ""
    return next((kind for magic, kind in _KINDS.items() if begin.startswith(magic)), "")


def is_bag(path: Path) -> bool:
    """Whether ``path`` is taken for a rosbag2: a folder, or a storage file by name or content."""
    if path.is_dir():
        return True
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    return any(one in _SUFFIXES for one in suffixes) or kind_of(path) in ("mcap", "sqlite3")


def refuse_unreadable(path: Path) -> None:
    """Raise for a file that stands for something else, and say how to get that.

    :class:`MediaError` for a Git LFS pointer, :class:`BagError` for a ROS 1 bag and for a storage
    file that is compressed as a whole.
    """
    if path.is_dir():
        return
    kind, suffix = kind_of(path), path.suffix.lower()
    if kind == "lfs":
        raise MediaError(
            f"{path}: a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"
        )
    if kind == "ros1" or suffix == ".bag":
        raise BagError(f"{path}: a ROS 1 bag; convert it with `rosbags-convert` first")
    if kind == "zstd":
        raise BagError(
            f"{path}: compressed as a whole; unpack it with `zstd -d {path.name}`, or give the "
            "folder with its metadata.yaml"
        )


def open_reader(path: Path) -> Any:
    """A rosbags ``Reader`` that is open; the caller closes it.

    Messages that were compressed one by one are handed out unpacked, with metadata.yaml or
    without.  Raises :class:`BagError` or :class:`MediaError`, with what helps.
    """
    optional("rosbags.rosbag2", "Reading bags")
    from rosbags.rosbag2 import Reader

    # Python's own from 3.14 on, a stand-in before: rosbags knows which.
    from rosbags.rosbag2.reader import zstd  # type: ignore[attr-defined]

    class UnpackingReader(Reader):
        """Also takes files whose names do not end in lower case, and unpacks messages."""

        def messages(
            self, connections: Collection[Any] = (), start: int | None = None,
            stop: int | None = None,
        ) -> Generator[tuple[Any, int, bytes], None, None]:
            for connection, recorded_ns, raw in super().messages(connections, start, stop):
                if raw[:4] == _ZSTD:  # a message in CDR begins with 0
                    raw = bytes(zstd.decompress(raw))
                yield connection, recorded_ns, raw

    storage = storage_of(path)
    if not storage.is_dir():
        plugins = Reader.STORAGE_PLUGINS
        kind = kind_of(storage) or _SUFFIXES.get(storage.suffix.lower(), "mcap")
        plugin = plugins[".mcap" if kind == "mcap" else ".db3"]
        UnpackingReader.STORAGE_PLUGINS = {**plugins, storage.suffix: plugin}
    try:
        reader = UnpackingReader(storage)
        reader.open()
    except Exception as error:  # a broken file breaks the reader in any way it likes
        raise broken(path, "cannot be read as a rosbag2", error) from error
    return reader


def _files(path: Path) -> list[Path]:
    """The storage files of a bag, which may be one itself."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.is_file() and is_bag(file))


def storage_of(path: Path) -> Path:
    """The path that the reader takes: a folder without metadata stands for its only file."""
    if not path.exists():
        raise BagError(f"{path}: no such bag")
    refuse_unreadable(path)
    if not path.is_dir():
        return path
    files = _files(path)
    if (path / "metadata.yaml").exists():
        for file in files:
            if kind_of(file) == "lfs":
                refuse_unreadable(file)
        return path
    if not files:
        raise BagError(
            f"{path}: the folder is not a rosbag2 (no metadata.yaml and no storage file)"
        )
    if len(files) > 1:
        raise BagError(
            f"{path}: {len(files)} storage files without metadata.yaml; "
            f"`ros2 bag reindex {path.name}` writes it"
        )
    refuse_unreadable(files[0])
    return files[0]


def broken(path: Path, what: str, error: Exception) -> BagError:
    """The error to raise where the reader fails: ``what`` is wrong, why, and what may mend it."""
    says = str(error).rstrip(".") or type(error).__name__
    return BagError(f"{path}: {what} ({says}); {_remedy(path, says)}")


def _remedy(path: Path, says: str) -> str:
    files = _files(path)
    for file in files:
        kind = kind_of(file) or _SUFFIXES.get(file.suffix.lower(), "")
        if file.stat().st_size == 0:
            return f"{file.name} is empty (0 bytes): nothing was recorded into it"
        if kind == "mcap" and not _ends_like_mcap(file):
            return f"{file.name} was cut short: `mcap recover {file.name} -o whole.mcap` mends it"
    if path.is_dir() and ("etadata" in says or "YAML" in says or "missing" in says):
        return f"`ros2 bag reindex {path.name}` writes metadata.yaml for the files that are there"
    for file in files:
        if kind_of(file) == "sqlite3" or file.suffix.lower() == ".db3":
            return f"`sqlite3 {file.name} .recover | sqlite3 whole.db3` saves what is left of it"
    return "`mcap recover` saves what is left of it"


def _ends_like_mcap(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8))
        return file.read() == b"\x89MCAP0\r\n"
