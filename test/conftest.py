"""Fixtures that every room's tests share."""

from __future__ import annotations

import gc
import os
import random
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from dds_domain import claim_domain

if TYPE_CHECKING:
    from node_graph import NodeGraph


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
    # Before anything loads rclpy.  The older variable would win over it, and be warned of.
    os.environ.pop("ROS_LOCALHOST_ONLY", None)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    # A shell starts what runs in its background with SIGINT ignored, and the processes that tests
    # start would inherit it: those that are to end by it would be waited for in vain.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What the imports left lives to the end: no search for garbage needs to go through it.

    Each ROS graph that a test closes looks for garbage, which otherwise takes longer than the
    closing.
    """
    gc.collect()
    gc.freeze()


# A reason for a skip that speaks of ROS 2: its name, its client library, a message package.
_FOR_WANT_OF_ROS = re.compile(r"\bROS\b|rclpy|rosidl|_msgs\b")


def _refuse_skip(report: pytest.CollectReport | pytest.TestReport) -> None:
    """Where AVS_REQUIRE_ROS is set, a test that ROS 2 is missing for fails."""
    if not (report.skipped and os.environ.get("AVS_REQUIRE_ROS") not in (None, "", "0")):
        return
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    if _FOR_WANT_OF_ROS.search(reason):
        report.outcome = "failed"
        report.longrepr = f"AVS_REQUIRE_ROS is set, but: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """See :func:`_refuse_skip`; tests that skip themselves."""
    report: pytest.TestReport = yield  # type: ignore[misc]
    _refuse_skip(report)
    return report  # type: ignore[return-value]


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """See :func:`_refuse_skip`; files that skip as a whole."""
    report: pytest.CollectReport = yield  # type: ignore[misc]
    _refuse_skip(report)
    return report  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def _same_rng() -> None:
    """Whatever draws without a seed of its own draws the same at each run, in any order."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global state is what is meant
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(0)


@pytest.fixture
def graph() -> Iterator[NodeGraph]:
    """A ROS graph of the test's own; skips where ROS 2 is absent."""
    from node_graph import NodeGraph

    graph = NodeGraph()
    yield graph
    graph.close()


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache (``AVS_CACHE``) for tests that need the bundled model exported, once for all.

    They are of the xdist_group "exports".
    """
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data that is not part of the project; skips where it is absent."""
    root = Path(os.environ.get("AVS_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (root / "reference").is_dir():
        pytest.skip("reference data is not here (set AVS_SHARED to its folder)")
    return root
