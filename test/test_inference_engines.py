"""Every engine gives eager PyTorch's numbers, or is not used."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import c3n_networks as networks
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from avs_ros.errors import EngineError
from avs_ros.inference.engines import ENGINES, build_runner, choose_device
from avs_ros.inference.engines.cuda_graph import to_half
from avs_ros.inference.engines.prepared import cache_folder, difference, forget_old
from avs_ros.inference.engines.program import StepProgram
from avs_ros.inference.engines.tensorrt import graph_for
from avs_ros.inference.engines.torch_eager import pack_linears, packing_works
from avs_ros.inference.export import OLD_OPSET, OPSET, export_onnx, exported
from avs_ros.inference.model_steps import c3n_program
from avs_ros.models.c3n import C3N

pytestmark = pytest.mark.xdist_group("engines")
GRAPH_ENGINES = ("onnxruntime", "openvino")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVS_CACHE", str(folder))
        yield folder


def small(visual: str = "pvt_v2_b0", seed: int = 0, frames_per_clip: int = 3):
    net = C3N(visual, 24, networks.small_similarity(30), channels=16, image_size=64)
    return c3n_program(networks.lively(net, seed), visual, frames_per_clip)


class Toy(torch.nn.Module):
    """A step with every input and output that engines care about, and hardly any work."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.nn.Parameter(torch.randn(4, 3, 3, 3, generator=generator))

    def forward(self, frame, audio_feature, past, shares):
        maps = F.conv2d(frame, self.weight, padding=1)
        state = maps.mean((2, 3)) * audio_feature
        seen = (torch.cat([past, state]) * shares[:, None]).sum(0)
        logits = (maps * seen[:, None, None]).sum(1, keepdim=True)
        return logits, seen.argmax()[None], state


def toy(seed: int = 0, past: int = 2) -> StepProgram:
    return StepProgram(
        "toy",
        Toy(seed).eval(),
        {
            "frame": (1, 3, 16, 16),
            "audio_feature": (1, 4),
            "past": (past, 4),
            "shares": (past + 1,),
        },
        ("logits", "label", "state"),
    )


@pytest.fixture(scope="module")
def program():
    return toy()


@pytest.mark.parametrize("engine", GRAPH_ENGINES)
@pytest.mark.parametrize("visual", ["pvt_v2_b0", "mobilenetv2_100"])
def test_exported_engines_agree_with_eager(engine, visual):
    pytest.importorskip(engine)
    program = small(visual)
    runner = build_runner(program, engine, "cpu")
    assert (runner.engine, runner.device) == (engine, "cpu")
    inputs = [np.array(x) for x in program.example]
    inputs[0] = np.random.RandomState(9).standard_normal(inputs[0].shape).astype(np.float32)
    for expected, found in zip(program.run_eagerly(inputs), runner(*inputs), strict=True):
        assert expected.dtype == found.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    runner.close()


def test_packed_linear_layers_change_no_number():
    program = small()
    inputs = [np.array(x) for x in program.example]
    plain = program.run_eagerly(inputs)
    count = pack_linears(program.module)
    assert count == 0 or packing_works()
    for expected, found in zip(plain, program.run_eagerly(inputs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    if packing_works():
        layers = [m for m in program.module.modules() if hasattr(m, "packed")]
        assert len(layers) == count > 10
        x = torch.randn(1, 3, layers[-1].in_features, generator=torch.Generator().manual_seed(0))
        y = layers[-1](x).detach()
        expected = y @ layers[-1].weight
        torch.testing.assert_close(layers[-1].packed.vjp(y), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(copy.deepcopy(layers[-1])(x), y, rtol=1e-4, atol=1e-4)
        with torch.no_grad():
            assert layers[-1].packed.can(x)
            layers[-1].weight.mul_(2)  # trained further: the packed copy is out of date
            assert not layers[-1].packed.can(x)
        assert not layers[0].packed.can(x)  # autograd records the plain layer


def test_a_clip_of_one_frame_has_no_empty_input():
    shapes = small(frames_per_clip=1).inputs
    assert shapes["past"] == (1, 4, 33) and shapes["shares"] == (2,)


def test_an_engine_with_other_numbers_is_refused():
    pytest.importorskip("onnxruntime")
    right, wrong = toy(seed=1), toy(seed=2)
    export_onnx(wrong, exported(right))  # as a damaged or outdated file would
    with pytest.raises(EngineError, match=r"onnxruntime on cpu differs from eager .* in '\w+'"):
        build_runner(right, "onnxruntime", "cpu")


def test_auto_takes_a_checked_engine_and_remembers_which(program, cache):
    first = build_runner(program, "auto", "cpu")
    notes = list((cache / "engines").glob("*_fastest_*.txt"))
    assert [note.read_text() for note in notes] == [first.engine]
    assert first.engine in ENGINES
    first.close()
    notes[0].write_text("torch")
    assert build_runner(program, "auto", "cpu").engine == "torch"
    notes[0].write_text("an engine of yesterday")
    assert build_runner(program, "auto", "cpu").engine in ENGINES


def test_export_is_static_and_says_what_it_is(program, tmp_path):
    onnx = pytest.importorskip("onnx")
    path = export_onnx(program, tmp_path / "new" / "step.onnx")
    model = onnx.load(str(path))
    onnx.checker.check_model(model)
    assert model.opset_import[0].version == OPSET
    shapes = {
        value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in model.graph.input
    }
    assert shapes == dict(program.inputs)
    assert [value.name for value in model.graph.output] == list(program.outputs)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata == {"step": program.name, "fingerprint": program.fingerprint}
    assert list(path.parent.iterdir()) == [path]


def test_tensorrt_gets_operators_that_it_reads():
    onnx = pytest.importorskip("onnx")
    program = small()
    for version, opset in (("8.5.2.2", OLD_OPSET), ("8.6.1", OPSET), ("10.3.0", OPSET)):
        model = onnx.load(str(graph_for(program, version)), load_external_data=False)
        assert model.opset_import[0].version == opset
        kinds = {node.op_type for node in model.graph.node}
        assert ("LayerNormalization" in kinds) == (opset == OPSET)


def test_the_page_on_gpus_names_every_engine():
    page = (Path(__file__).resolve().parents[1] / "docs/robot/gpu.md").read_text("utf-8")
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for name, engine in ENGINES.items():
        wanted = ", ".join({"cpu": "CPU", "cuda": "CUDA"}[kind] for kind in engine.devices)
        assert f"| {wanted} |" in rows[name]


def test_fingerprint_follows_weights_and_shapes():
    assert toy().fingerprint == toy().fingerprint
    assert toy(seed=5).fingerprint != toy().fingerprint
    assert toy(past=4).fingerprint != toy().fingerprint


def test_example_has_a_past(program):
    past = dict(zip(program.inputs, program.example, strict=True))["past"]
    assert past.shape == (2, 4) and (np.abs(past).sum(1) > 0).all()


def test_half_precision_keeps_label_and_mask():
    """What the CUDA graph runs, on the CPU: float16 with single-precision islands."""
    program = small("mobilenetv2_100", seed=4)
    expected = program.expected
    half = to_half(small("mobilenetv2_100", seed=4).module)
    assert torch.equal(half.c3im.similarity, program.module.c3im.similarity)
    with torch.no_grad():
        found = half(*(torch.from_numpy(x).half() for x in program.example))
    assert found[1].tolist() == expected[1].tolist()
    scale = np.abs(expected[0]).max()
    assert np.abs(found[0].float().numpy() - expected[0]).max() < 3e-2 * max(scale, 1.0)


def test_difference_names_what_is_wrong(program):
    class Silent:
        engine, device = "silent", "cpu"

        def __call__(self, *inputs):
            logits, label, state = program.run_eagerly(inputs)
            return logits, label, np.full_like(state, np.nan)

        def close(self):
            pass

    assert difference(program, Silent()) == (float("inf"), "state")


def test_engines_and_devices_that_cannot_be(program, monkeypatch):
    with pytest.raises(EngineError, match="unknown engine 'warp'; known: auto, torch"):
        build_runner(program, "warp", "cpu")
    with pytest.raises(EngineError, match="cuda-graph runs on cuda, not on cpu"):
        build_runner(program, "cuda-graph", "cpu")
    with pytest.raises(EngineError, match="unknown device 'gpu'"):
        choose_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == "cpu"
    with pytest.raises(EngineError, match="PyTorch sees 0 GPUs"):
        choose_device("cuda:0")


def test_cache_folder_can_always_be_written(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("AVS_CACHE", str(blocked))
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    folder = cache_folder()
    (folder / "probe").write_text("x")


def test_old_files_of_a_model_go_with_what_is_beside_them(tmp_path):
    for number in range(6):
        for name in (f"m_{number:016x}_opset17", f"m_audio_{number:016x}_opset17"):
            for ending in (".onnx", ".onnx.data", "_check.npz"):
                (tmp_path / f"{name}{ending}").write_bytes(b"")
            os.utime(tmp_path / f"{name}.onnx", (number, number))
    forget_old(tmp_path, "m", "_opset17.onnx")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert len(left) == 3 * (4 + 6)
    assert not any(name.startswith(("m_0000000000000000", "m_0000000000000001")) for name in left)
