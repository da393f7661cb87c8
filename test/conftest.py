"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from dds_domain import claim_domain


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the long modes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="long mode: run with --slow"))


def pytest_configure(config: pytest.Config) -> None:
    """Give each xdist worker its own DDS domain, on loopback, and one computing thread."""
    claim_domain()
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")


@pytest.fixture(autouse=True)
def _same_dice() -> None:
    """Whatever draws without a seed of its own draws the same at each run, in any order."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global state is what is meant
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data that is not part of the project; skips where it is absent."""
    root = Path(os.environ.get("AVS_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (root / "reference").is_dir():
        pytest.skip("reference data is not here (set AVS_SHARED to its folder)")
    return root
