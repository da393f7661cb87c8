"""AVS_REQUIRE_ROS: where it is set, no test may be skipped for want of ROS 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = {
    "test_inside.py": """
import pytest
def test_ros():
    pytest.importorskip("nonexistent", reason="ROS 2 is not installed here")
def test_other():
    pytest.skip("no such camera")
def test_fine():
    pass
""",
    "test_whole_file.py": """
import pytest
pytest.importorskip("nonexistent_msgs.msg")
def test_never():
    pass
""",
}


@pytest.mark.parametrize(("value", "status", "told"), [
    ("", 0, "1 passed, 3 skipped"), ("0", 0, "1 passed, 3 skipped"),
    ("1", 1, "1 failed, 1 passed, 1 skipped, 1 error"),
])
def test_a_test_that_is_skipped_for_want_of_ros_fails_where_it_is_required(
    value: str, status: int, told: str, tmp_path: Path
) -> None:
    for name, text in TESTS.items():
        (tmp_path / name).write_text(text)
    here = Path(__file__).resolve().parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-q",
         "--continue-on-collection-errors", "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "AVS_REQUIRE_ROS": value, "PYTHONPATH": str(here)})
    assert (done.returncode, told in done.stdout) == (status, True), done.stdout + done.stderr
