"""What can be said of GPUs without one: capture, half precision, TensorRT's table."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import c3n_networks as networks
import numpy as np
import pytest
import torch
from torch import nn

from avs_ros.benchmarks.networks import bundle
from avs_ros.benchmarks.subject import Subject
from avs_ros.inference.bundle import Bundle
from avs_ros.inference.engines.cuda_graph import input_dtypes, replayed, to_half
from avs_ros.inference.engines.prepared import Array
from avs_ros.inference.engines.program import StepProgram
from avs_ros.inference.engines.tensorrt import in_scope, single_scopes
from avs_ros.inference.export import OLD_OPSET, OPSET, export_onnx
from avs_ros.inference.light import BUNDLED as FILE
from avs_ros.inference.model_steps import c3n_program, light_bundle, visual_program
from avs_ros.models.avsc import AVSC, AVSCConfig
from avs_ros.models.c3n import C3N

TOOLS = Path(__file__).resolve().parents[1] / "tools"
sys.path.insert(0, str(TOOLS))
import capture_rules  # noqa: E402
import gpu_steps  # noqa: E402
import half_range  # noqa: E402
import tensorrt_support  # noqa: E402

pytestmark = pytest.mark.xdist_group("tools_gpu")
BUNDLED = ("c3n_light", "avsc_light")
LARGE = ("c3n_pvt_panns", "c3n_swin_beats")


@pytest.fixture(scope="module")
def bundled() -> dict[str, Bundle]:
    return {name: bundle(Subject(name), name) for name in BUNDLED}


def visual(steps: Bundle) -> StepProgram:
    program = steps.visual
    assert isinstance(program, StepProgram)
    return program


@pytest.fixture(scope="module")
def programs(bundled: dict[str, Bundle]) -> dict[str, StepProgram]:
    """The bundled models, and the paper's network on its smallest transformer."""
    net = C3N("pvt_v2_b0", 24, networks.small_similarity(30), channels=16, image_size=64)
    small = c3n_program(networks.lively(net), "c3n_small", 3)
    return {name: visual(steps) for name, steps in bundled.items()} | {"c3n_small": small}


ALL = (*BUNDLED, "c3n_small")


@pytest.fixture(scope="module")
def inputs(
    bundled: dict[str, Bundle], programs: dict[str, StepProgram]
) -> dict[str, list[tuple[Array, ...]]]:
    """The fixed inputs of each program, and real images and sounds for those with weights."""
    found = {name: [program.example] for name, program in programs.items()}
    for name, steps in bundled.items():
        found[name] += gpu_steps.scene_inputs(steps, 2)
    return found


@pytest.fixture(scope="module")
def exported(
    programs: dict[str, StepProgram], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The graph of a program, written once for all who read it."""
    folder = tmp_path_factory.mktemp("exported")
    return cache(lambda name: export_onnx(programs[name], folder / f"{name}.onnx"))


def program_of(module: nn.Module, *outputs: str, decision: str = "") -> StepProgram:
    return StepProgram("bad", module.eval(), {"frame": (1, 3, 16, 16)}, outputs or ("out",),
                       decision)  # fmt: skip


class Waits(nn.Module):
    def forward(self, x):
        return (x * float(x.mean().item()),)


class Picks(nn.Module):
    def forward(self, x):
        return (x[x > 0].sum()[None],)


class Fetches(nn.Module):
    def forward(self, x):
        return (x + torch.tensor([1.0, 2.0]).to(x).sum(),)


class StaysBehind(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = torch.ones(16)  # no buffer: `.to` leaves it on the CPU

    def forward(self, x):
        return (x * self.table,)


@pytest.mark.parametrize(
    ("module", "rule"),
    [
        (Waits, "waits for a value"),
        (Picks, "shape that depends on values"),
        (Fetches, "brings data from the host|on cpu"),
        (StaysBehind, "on cpu|convert all Tensors to FakeTensors"),
    ],
)
def test_what_cannot_be_captured_is_found(module: type[nn.Module], rule: str) -> None:
    with pytest.raises(capture_rules.CaptureError, match=rule):
        capture_rules.check_capture(program_of(module()), half=False)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("half", [True, False])
def test_steps_keep_the_rules_of_capture(
    programs: dict[str, StepProgram], name: str, half: bool
) -> None:
    assert sum(capture_rules.check_capture(programs[name], half).values()) > 100


@pytest.mark.parametrize(
    "name", ["avsc_light", "c3n_small", pytest.param("c3n_light", marks=pytest.mark.slow)]
)
def test_steps_compile_as_one_graph(programs: dict[str, StepProgram], name: str) -> None:
    """``cuda-graph-compiled`` asks for it: nothing that TorchDynamo has to leave to Python."""
    torch._dynamo.reset()
    compiled = torch.compile(programs[name].module, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        found = compiled(*(torch.from_numpy(np.array(x)) for x in programs[name].example))
    for expected, value in zip(programs[name].expected, found, strict=True):
        np.testing.assert_allclose(value.numpy(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ALL)
def test_no_number_is_too_large_for_half_precision(
    programs: dict[str, StepProgram], inputs: dict[str, list[tuple[Array, ...]]], name: str
) -> None:
    for one in inputs[name]:
        ranges = half_range.trace_half_range(programs[name], one)
        layer, largest = half_range.widest(ranges)
        assert largest.largest < half_range.LARGEST / 8, (layer, largest)


class Grows(nn.Module):
    def forward(self, x):
        return (x.abs().clamp(min=12).exp().log(),)


def test_a_number_that_is_too_large_is_found() -> None:
    _, largest = half_range.widest(half_range.trace_half_range(program_of(Grows())))
    assert largest.largest > half_range.LARGEST
    assert largest.operator == "aten.exp.default"


@pytest.mark.parametrize("name", ALL)
def test_half_precision_answers_as_single_does(
    programs: dict[str, StepProgram], inputs: dict[str, list[tuple[Array, ...]]], name: str
) -> None:
    """What the CUDA graph holds, computed on the CPU, on real images and sounds."""
    program = programs[name]
    half = to_half(copy.deepcopy(program.module))
    dtypes = input_dtypes(program, half=True)
    for one in inputs[name]:
        with torch.no_grad():
            found = replayed(half, [torch.from_numpy(np.array(x)) for x in one], dtypes)
        for output, expected, value in zip(
            program.outputs, program.run_eagerly(one), found, strict=True
        ):
            scale = max(1.0, float(np.abs(expected).max()))
            np.testing.assert_allclose(
                value.numpy(), expected, rtol=0, atol=2e-2 * scale, err_msg=output
            )


def test_what_decides_by_a_threshold_stays_in_float32(programs: dict[str, StepProgram]) -> None:
    small = AVSC(AVSCConfig(("cat",), image_size=64, channels=16, heads=2, layers=1))
    queries = visual_program(small.eval(), "small")
    assert set(input_dtypes(queries, half=True)) == {torch.float32}
    avsc = to_half(copy.deepcopy(queries.module))
    assert {p.dtype for p in avsc.parameters()} == {torch.float32}
    assert in_scope("/segmenter/pixels/norm.0/Mul", single_scopes(queries))
    light_program = programs["c3n_light"]
    light = to_half(copy.deepcopy(light_program.module))
    assert {p.dtype for p in light.classifier.parameters()} == {torch.float16}
    assert {p.dtype for p in light.instances.parameters()} == {torch.float32}
    taken = dict(zip(light_program.inputs, input_dtypes(light_program, half=True), strict=True))
    assert taken["whole"] == torch.float32 and taken["frame"] == torch.float16
    scopes = single_scopes(light_bundle(FILE, "gates").visual)
    assert in_scope("/c3im/Softmax", scopes) and in_scope("/category_masks/Exp", scopes)
    assert not in_scope("/backbone/stages.3/Conv", scopes) and not in_scope("/Add_1", scopes)


@pytest.mark.parametrize("name", ALL)
def test_tensorrt_reads_every_step(
    programs: dict[str, StepProgram], exported: Callable[[str], Path], name: str, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    new = exported(name)
    for version in ("8.6", "10.3"):
        assert tensorrt_support.check(new, version) == []
    # TensorRT 8.5 has no LayerNormalization: it gets the older operators.
    normed = set() if name in ("avsc_light", "c3n_light") else {"LayerNormalization"}
    assert {f.operator for f in tensorrt_support.check(new, "8.5")} == normed
    old = export_onnx(programs[name], tmp_path / "old.onnx", opset=OLD_OPSET)
    assert tensorrt_support.check(old, "8.5") == []


class Odd(nn.Module):
    def forward(self, x):
        places = (x[0, 0, 0] > 0).nonzero()[:, 0]
        return (x[0, 0, :3, :3].det() + (places + 1).sum(),)


class Counts(nn.Module):
    def forward(self, x):
        best = x.flatten(1).argmax(1)
        return (x.mean() * (best // 16).float(),)


def test_what_tensorrt_cannot_read_is_found(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    odd = export_onnx(program_of(Odd()), tmp_path / "odd.onnx")
    reasons = {f"{f.operator}: {f.reason}" for f in tensorrt_support.check(odd, "8.6")}
    assert "Det: not supported by TensorRT 8.6" in reasons
    assert any("is not static" in reason for reason in reasons)
    counts = export_onnx(program_of(Counts()), tmp_path / "counts.onnx")
    assert "computes on int64" in {f.reason for f in tensorrt_support.check(counts, "10.3")}
    assert tensorrt_support.main([str(odd)]) == 1


def test_exported_graphs_hold_no_arithmetic_of_shapes(exported: Callable[[str], Path]) -> None:
    onnx = pytest.importorskip("onnx")
    for name in ALL:
        model = onnx.load(str(exported(name)))
        kinds = {node.op_type for node in model.graph.node}
        assert not kinds & {"Shape", "Range", "NonZero", "Size", "Loop", "If"}
        assert model.opset_import[0].version == OPSET
        fed = {x.name for x in [*model.graph.input, *model.graph.initializer]}
        for node in model.graph.node:
            assert {name for name in node.input if name} <= fed
            fed |= set(node.output)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_full_size_steps_keep_the_rules(name: str, tmp_path: Path) -> None:
    program = visual(gpu_steps.load(gpu_steps.SUBJECTS[name], name))
    capture_rules.check_capture(program)
    layer, largest = half_range.widest(half_range.trace_half_range(program))
    assert largest.largest < half_range.LARGEST / 8, (layer, largest)
    path = export_onnx(program, tmp_path / "step.onnx", weights_beside=True)
    for version in ("8.6", "10.3"):
        assert tensorrt_support.check(path, version) == []


@pytest.mark.slow
def test_everything_a_robot_installs_has_a_wheel_for_aarch64() -> None:
    """Asks the package index."""
    import aarch64_wheels

    index = [sys.executable, "-m", "pip", "index", "versions", "timm"]
    if subprocess.run(index, capture_output=True, check=False).returncode:
        pytest.skip("no package index can be reached")
    for python in aarch64_wheels.PYTHONS:
        found = aarch64_wheels.resolve(aarch64_wheels.declared(), python)
        assert {"torch", "timm", "soxr", "onnxruntime", "opencv-python-headless"} <= set(found)
        assert {"torch", "torchaudio", "onnxruntime"} <= set(aarch64_wheels.JETSON)
