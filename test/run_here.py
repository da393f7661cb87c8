"""``avs run`` in the process of the test, and the records that it leaves."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from fakes import BrightnessSegmenter

from avs_ros.cli import main as entry
from avs_ros.cli import run as run_verb


def run(*arguments: object) -> tuple[int, str, str]:
    """``avs run`` in this process, with the brightness model: status, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_verb, "create_segmenter", lambda *_, **__: BrightnessSegmenter())
        with redirect_stdout(out), redirect_stderr(err):
            status = entry.main(["run", *map(str, arguments)])
    return status, out.getvalue(), err.getvalue()


def records(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert lines[0].pop("metadata")["model"] and not any("metadata" in line for line in lines)
    return lines
