"""Public weight files: their table (``data/weights.yaml``), their place, and how they are fetched.

Fetching is resumable, checked, and leaves a whole file or none.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO

import yaml

from avs_ros import __version__
from avs_ros.errors import DownloadError, ModelError


@dataclass(frozen=True)
class PublicFile:
    """One file: its name in the cache, where it is, and what is known of its content.

    ``url`` None: it cannot be fetched by a program, only in a browser from the source's page.
    ``size`` in bytes; ``about_mib`` where only its rounded size is published or follows from the
    number of parameters.  ``sha256`` may be only the beginning of the hash (some projects put it
    into the file name).
    """

    name: str
    url: str | None = None
    size: int | None = None
    sha256: str | None = None
    about_mib: int | None = None


@dataclass(frozen=True)
class WeightSource:
    """Files that together hold the weights of one ``network``.

    ``kind``: ``audio`` (a name of ``avs_ros.models.audio``) or ``visual`` (a backbone name).
    """

    name: str
    kind: str
    network: str
    files: tuple[PublicFile, ...]
    licence: str
    page: str
    note: str = ""


def _sources() -> tuple[WeightSource, ...]:
    text = files("avs_ros").joinpath("data", "weights.yaml").read_text(encoding="utf-8")
    return tuple(
        WeightSource(**{**row, "files": tuple(PublicFile(**file) for file in row["files"])})
        for row in yaml.safe_load(text)
    )


SOURCES = _sources()


def find_source(name: str) -> WeightSource:
    """The source called ``name``; ModelError lists all of them when there is none."""
    known = {source.name: source for source in SOURCES}
    if name not in known:
        raise ModelError(f"no known weights are called {name!r}; known: {', '.join(known)}")
    return known[name]


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/avs_ros/weights``, or the same under ``~/.cache``; may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification ignores relative values.
    root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    return root / "avs_ros" / "weights"


def cached_paths(source: WeightSource, folder: Path | None = None) -> list[Path] | None:
    """The source's files in the cache, in its order; None unless all of them are there."""
    root = folder or cache_folder()
    paths = [root / file.name for file in source.files]
    return paths if all(path.is_file() for path in paths) else None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def matches(file: PublicFile, size: int, digest: str) -> bool:
    """Whether ``size`` and ``digest`` are those of ``file``, as far as they are known."""
    right_size = file.size is None or file.size == size
    return right_size and (file.sha256 is None or digest.startswith(file.sha256))


def expected(file: PublicFile) -> str:
    """What is known of the content of ``file``, in words."""
    return f"{file.size or '?'} bytes, SHA-256 {file.sha256 or '?'}"


# (bytes there so far, bytes expected in all or None)
Progress = Callable[[int, "int | None"], None]

_CHUNK = 1 << 18
_ATTEMPTS = 4
_TIMEOUT_S = 30.0
# What a connection that breaks in the middle raises.
_BROKEN = (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError)


def download(file: PublicFile, folder: Path, progress: Progress | None = None) -> Path:
    """Fetch ``file`` into ``folder`` and return its path; at once where it is there already.

    What has arrived is kept in ``NAME.part`` when the connection breaks or the program is
    stopped; the next call continues there if the server's file is still the same.  The file
    appears under its own name only when it is complete and its size and hash, where known, are
    right.

    Raises:
        DownloadError: no network, the server refuses, it cannot be fetched by a program, the
            disk is full, or the content is not what it should be.
    """
    path = folder / file.name
    if path.is_file():
        return path
    if file.url is None:
        raise DownloadError(f"{file.name} cannot be fetched by a program")
    part = folder / f"{file.name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as out:
            try:
                fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DownloadError(
                    f"{file.name} is being downloaded by another process"
                ) from error
            transfer = _Transfer(file, file.url, out, progress or (lambda _done, _total: None))
            try:
                transfer.fill()
                _check(file, part)
                os.replace(part, path)
            finally:
                if part.exists() and not part.stat().st_size:
                    part.unlink()
    except OSError as error:
        raise DownloadError(f"{file.name} cannot be written to {folder}: {error}") from error
    transfer.version.unlink(missing_ok=True)
    return path


class _Transfer:
    """A server's file on its way into ``out``.

    ``version``: the file beside ``out``'s that holds what identifies the server's version of it
    (ETag or date).
    """

    def __init__(self, file: PublicFile, url: str, out: BinaryIO, progress: Progress) -> None:
        self.file, self.url, self.out, self.progress = file, url, out, progress
        self.version = Path(f"{out.name}.version")

    def fill(self) -> None:
        """Append until the server's file is complete."""
        for _ in range(_ATTEMPTS):
            before, why = self.out.tell(), "the connection ended early"
            try:
                total = self._request()
                if total is None or self.out.tell() >= total:
                    return
            except _BROKEN as error:
                why = str(error)
            if self.out.tell() <= before:
                break
        raise self._broken(why)

    def _request(self) -> int | None:
        """One request; returns the size of the whole file, where the server says it."""
        start = self.out.tell()
        version = self.version.read_text() if self.version.is_file() else ""
        headers = {"User-Agent": f"avs_ros/{__version__}"}
        if start and version:
            # Without If-Range a file that was replaced meanwhile would be glued to the old part.
            headers |= {"Range": f"bytes={start}-", "If-Range": version}
        try:
            response = urllib.request.urlopen(
                urllib.request.Request(self.url, headers=headers), timeout=_TIMEOUT_S
            )
        except urllib.error.HTTPError as error:
            if error.code == 416:  # nothing after `start`: it is complete, or of another version
                if error.headers.get("Content-Range", "") == f"bytes */{start}":
                    return start
                self.out.truncate(self.out.seek(0))
                return self._request()
            raise DownloadError(
                f"{self.url} answered {error.code} ({error.reason}): {self.file.name} is not "
                "there any more, or not for programs"
            ) from error
        except urllib.error.URLError as error:
            raise self._broken(str(error.reason)) from error
        with response:
            if response.headers.get_content_type() == "text/html":
                raise DownloadError(
                    f"{self.url} answered with a web page instead of {self.file.name}"
                )
            if response.status != 206:
                self.out.truncate(self.out.seek(0))
                etag = response.headers.get("ETag", "")
                # A weak ETag does not promise the same bytes.
                strong = etag if etag and not etag.startswith("W/") else ""
                self.version.write_text(strong or response.headers.get("Last-Modified", ""))
            return self._copy(response)

    def _copy(self, response: http.client.HTTPResponse) -> int | None:
        name, done = self.file.name, self.out.seek(0, os.SEEK_END)
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        if total is not None:
            if self.file.size is not None and total != self.file.size:
                raise DownloadError(
                    f"{name} should be {self.file.size} bytes, the server has {total}"
                )
            if shutil.disk_usage(self.version.parent).free < total - done:
                raise DownloadError(f"not enough disk space for {name} ({total >> 20} MiB)")
        self.progress(done, total)
        while chunk := response.read(_CHUNK):
            done += self.out.write(chunk)
            self.progress(done, total)
        self.out.flush()
        return total

    def _broken(self, reason: str) -> DownloadError:
        host, done = self.url.split("/")[2], self.out.tell()
        kept = f"; {done >> 20} MiB are kept, run it again to continue" if done else ""
        return DownloadError(
            f"{self.file.name} could not be fetched from {host} ({reason}): "
            f"is there a network?{kept}"
        )


def _check(file: PublicFile, part: Path) -> None:
    size, digest = part.stat().st_size, sha256_of(part)
    if not matches(file, size, digest):
        part.unlink()
        raise DownloadError(
            f"{file.name} is not the published file (expected {expected(file)}; found {size} "
            f"bytes, SHA-256 {digest}); it was removed"
        )
