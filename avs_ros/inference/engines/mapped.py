"""Pages of a mapped weight file that an engine has read and copied: let them go.

An engine that maps its weights and packs them anew touches each page once, but the pages count
as the process's memory for as long as the mapping lives, which may be for ever.  They are clean
copies of a file: dropped, they cost nothing, and whoever reads them again gets them again.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

_EVERY_S = 0.05


def drop_pages(path: Path) -> int:
    """Drop this process's resident pages of ``path``, mapped read-only; bytes of the mappings.

    0 off Linux, and where nothing of it is mapped.
    """
    if not sys.platform.startswith("linux") or not hasattr(mmap, "MADV_DONTNEED"):
        return 0
    name, dropped = str(path.resolve()), 0
    advise = ctypes.CDLL(None, use_errno=True).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    for line in lines:
        fields = line.split(None, 5)
        # Never one that may be written to: its pages could differ from the file.
        if len(fields) < 6 or fields[5] != name or "w" in fields[1]:
            continue
        first, last = (int(part, 16) for part in fields[0].split("-"))
        if advise(first, last - first, mmap.MADV_DONTNEED) == 0:
            dropped += last - first
    return dropped


@contextlib.contextmanager
def passing_through(path: Path) -> Iterator[None]:
    """While an engine loads from ``path``, keep only the pages that it is reading now."""
    done = threading.Event()

    def run() -> None:
        while not done.wait(_EVERY_S):
            drop_pages(path)

    thread = threading.Thread(target=run, name="avs-pages", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        drop_pages(path)
