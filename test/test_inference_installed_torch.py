"""A torch that is too old is one message, from Python and when a node is configured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from avs_ros.errors import EngineError, MissingDependencyError
from avs_ros.inference import create_segmenter, require_torch


@pytest.mark.parametrize("version", ["2.1.0", "2.10.0+cpu", "2.1.0a0+41361538.nv23.06", "3.0"])
def test_new_enough(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(torch, "__version__", version)
    require_torch()


@pytest.mark.parametrize("version", ["1.8.1", "1.13.1+cu117", "2.0.1"])
def test_too_old(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(torch, "__version__", version)
    with pytest.raises(EngineError, match="newer"):
        create_segmenter("c3n_light")


def test_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match="pip install torch"):
        require_torch()


def test_an_old_one_is_told_without_being_imported(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "torch" / "version.py").write_text("__version__ = '1.8.1'\ndebug = False\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + (
        "from avs_ros.inference import require_torch; require_torch()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "torch 1.8.1 is installed" in done.stderr and "imported" not in done.stderr


def test_configure_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    from node_graph import NodeGraph

    from avs_ros.nodes.segmentation_node import SegmentationNode

    monkeypatch.setattr(torch, "__version__", "1.8.1")
    graph = NodeGraph()
    try:
        log = graph.listen("rcl_interfaces/msg/Log", "/rosout", 200, latched=True)
        graph.add(SegmentationNode)
        line = graph.wait(
            lambda: next((one for one in log if "cannot configure" in one.msg), None), "the log")
        assert "torch 1.8.1 is installed" in line.msg and "2.1 or newer" in line.msg
        assert graph.state("/segmentation_node") == "unconfigured"
    finally:
        graph.close()
