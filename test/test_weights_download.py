"""Downloads: resumed, checked, whole or not there; every failure in one clear message."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer

from avs_ros.errors import DownloadError
from avs_ros.weights.sources import PublicFile, download

DATA = bytes(range(256)) * 4096
HASH = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(DATA) as running:
        yield running


def public(server: FileServer, size: int | None = None, sha256: str | None = None) -> PublicFile:
    return PublicFile("weights.bin", server.url, size, sha256)


def test_a_file_arrives_whole_with_progress(server: FileServer, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    file = public(server, len(DATA), HASH)
    path = download(file, tmp_path / "new" / "folder", lambda d, t: seen.append((d, t)))
    assert path.read_bytes() == DATA
    assert [p.name for p in path.parent.iterdir()] == ["weights.bin"]
    assert seen[0] == (0, len(DATA)) and seen[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_file_that_is_there_is_not_asked_for(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"mine")
    assert download(public(server), tmp_path).read_bytes() == b"mine"
    assert server.requests == []


def test_a_broken_connection_is_resumed_within_one_call(
    server: FileServer, tmp_path: Path
) -> None:
    server.break_after = 400_000
    assert download(public(server, sha256=HASH), tmp_path).read_bytes() == DATA
    assert server.requests == ["", "bytes=400000-", "bytes=800000-"]


def test_what_arrived_is_kept_and_continued_by_the_next_call(
    server: FileServer, tmp_path: Path
) -> None:
    server.break_after = 200_000
    with pytest.raises(DownloadError, match="run it again to continue"):
        download(public(server), tmp_path)
    kept = (tmp_path / "weights.bin.part").stat().st_size
    assert 200_000 <= kept < len(DATA)
    assert not (tmp_path / "weights.bin").exists()

    server.break_after = None
    server.requests.clear()
    assert download(public(server, sha256=HASH), tmp_path).read_bytes() == DATA
    assert server.requests == [f"bytes={kept}-"]
    assert [p.name for p in tmp_path.iterdir()] == ["weights.bin"]


def test_a_file_that_changed_on_the_server_starts_over(server: FileServer, tmp_path: Path) -> None:
    server.break_after = 100_000
    with pytest.raises(DownloadError):
        download(public(server), tmp_path)
    server.break_after = None
    server.data, server.etag = DATA[::-1], '"two"'
    assert download(public(server), tmp_path).read_bytes() == DATA[::-1]


@pytest.mark.parametrize("change", [{"ranges": False}, {"etag": ""}, {"etag": 'W/"weak"'}])
def test_a_server_that_cannot_resume_starts_over(
    server: FileServer, tmp_path: Path, change: dict[str, object]
) -> None:
    for name, value in change.items():
        setattr(server, name, value)
    server.break_after = 100_000
    with pytest.raises(DownloadError):
        download(public(server), tmp_path)
    server.break_after = None
    assert download(public(server, sha256=HASH), tmp_path).read_bytes() == DATA


def test_a_complete_part_needs_no_transfer(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "weights.bin.part").write_bytes(DATA)
    (tmp_path / "weights.bin.part.version").write_text(server.etag)
    assert download(public(server, sha256=HASH), tmp_path).read_bytes() == DATA
    assert server.requests == [f"bytes={len(DATA)}-"]


def test_a_part_longer_than_the_file_starts_over(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "weights.bin.part").write_bytes(DATA + b"more")
    (tmp_path / "weights.bin.part.version").write_text(server.etag)
    assert download(public(server, sha256=HASH), tmp_path).read_bytes() == DATA


def test_a_wrong_hash_is_told_and_nothing_is_left(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as caught:
        download(public(server, sha256="0" * 64), tmp_path)
    assert HASH in str(caught.value) and "0" * 64 in str(caught.value)
    assert [p.name for p in tmp_path.iterdir() if p.suffix in (".bin", ".part")] == []


def test_the_beginning_of_a_hash_is_checked_too(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="not the published file"):
        download(public(server, sha256="12345678"), tmp_path)
    assert download(public(server, sha256=HASH[:8]), tmp_path).exists()


def test_a_wrong_size_is_told_before_the_transfer(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="should be 5 bytes"):
        download(public(server, size=5), tmp_path)


def test_a_web_page_and_an_error_are_no_weights(server: FileServer, tmp_path: Path) -> None:
    server.content_type = "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match="web page"):
        download(public(server), tmp_path)
    server.status = 404
    with pytest.raises(DownloadError, match="404"):
        download(public(server), tmp_path)
    assert list(tmp_path.glob("*.bin*")) == []


def test_no_network_is_one_message(tmp_path: Path) -> None:
    with FileServer(b"") as closed:
        url = closed.url
    with pytest.raises(DownloadError, match="is there a network") as caught:
        download(PublicFile("weights.bin", url), tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_two_downloads_of_one_file_do_not_mix(server: FileServer, tmp_path: Path) -> None:
    with (tmp_path / "weights.bin.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match="another process"):
            download(public(server), tmp_path)
    assert download(public(server, sha256=HASH), tmp_path).read_bytes() == DATA


def test_a_folder_that_cannot_be_written_is_named(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DownloadError, match="cannot be written"):
        download(public(server), tmp_path / "file" / "below")


def test_a_file_for_browsers_only_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="by a program"):
        download(PublicFile("BEATs.pt", None), tmp_path)
