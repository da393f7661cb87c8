"""C3N with Swin-B held against outputs of the published code: plain, streaming, exported."""

from __future__ import annotations

from pathlib import Path

import pytest
from c3n_reference import Published

from avs_ros.inference.engines import build_runner
from avs_ros.inference.model_steps import c3n_program
from avs_ros.models.c3n import C3NOutput
from avs_ros.models.stream_memory import StreamMemory

pytestmark = pytest.mark.xdist_group("c3n_parity")


@pytest.fixture(scope="module")
def beats() -> Published:
    return Published("c3n_swin_beats", "swin_base_patch4_window7_224", 768)


@pytest.fixture(scope="module")
def output(beats: Published) -> C3NOutput:
    return beats.clip()


def test_labels_and_class_scores(beats: Published, output: C3NOutput) -> None:
    beats.check_labels(output)


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_stage(beats: Published, output: C3NOutput, stage: int) -> None:
    beats.check_stage(output, stage)


def test_logits(beats: Published, output: C3NOutput) -> None:
    beats.check_logits(output.logits)


def test_streaming_form(beats: Published) -> None:
    step = c3n_program(beats.net)
    beats.check_steps(lambda *x: step.run_eagerly(x), StreamMemory(step.inputs["past"][1:]))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_exported_forms(beats: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both engines that run on every CPU, from one exported file."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")
    monkeypatch.setenv("AVS_CACHE", str(tmp_path))
    program = c3n_program(beats.net, "c3n_swin_beats")
    for engine in ("onnxruntime", "openvino"):
        runner = build_runner(program, engine, "cpu")
        beats.check_steps(runner, StreamMemory(program.inputs["past"][1:]))
        runner.close()
