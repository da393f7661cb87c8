"""``avs export``: a model's step as an ONNX file, or as a TensorRT engine built beforehand."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from avs_ros.errors import MissingDependencyError, ParameterError
from avs_ros.inference.engines import ENGINES, choose_device
from avs_ros.inference.engines.prepared import require_agreement
from avs_ros.inference.registry import step_program

if TYPE_CHECKING:
    from avs_ros.inference.engines.program import StepProgram


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "The file is one static graph (batch 1) of a live stream's step, the class\n"
        "activation's backward pass included.  In, all float32:\n"
        "  frame [1,3,S,S]         RGB, resized to S x S, normalised\n"
        "  audio_feature [1,A]     audio network's feature of the second of sound\n"
        "  audio_logits [1,527]    its AudioSet scores, before any sigmoid\n"
        "  past [T-1,4,2C+1]       `state` of the frames 1, 2, ... seconds earlier\n"
        "  shares [T]              1/n for each of the n frames that are there (the new one is\n"
        "                          last), 0 for the others\n"
        "Out: logits [1,1,H,W] (mask where above 0), label [1] int64, visual_logits [1,K], and\n"
        "state [4,2C+1], to be kept.  The light model has one more input, heard [1,F], and gives\n"
        "masks [1,F,h,w], gate [1,F], beside [1,F], label and state.  AVSC takes the frame alone\n"
        "and gives class_logits [1,N,K+1] (the last is no object) and mask_logits [1,N,h,w]."
    )
    parser.add_argument(
        "--model", default="c3n_light", help="name or checkpoint file (%(default)s)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="file to write (default: MODEL.onnx or MODEL.plan)"
    )
    parser.add_argument(
        "--engine", choices=("onnx", "tensorrt"), default="onnx", help="kind (%(default)s)"
    )
    parser.add_argument(
        "--build-only", action="store_true",
        help="tensorrt: build into the cache, where the node finds it, and write no file",
    )
    parser.add_argument("--device", default="auto", help="tensorrt: the GPU (%(default)s)")
    parser.add_argument(
        "--opset", type=int, choices=(16, 17), default=17,
        help="onnx: operators' version; 16 for TensorRT before 8.6 (JetPack 5) (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--random-weights", action="store_true", help="untrained, to measure speed"
    )


def run(args: argparse.Namespace) -> int:
    """Export, check, and say what was written."""
    if args.build_only and args.engine != "tensorrt":
        raise ParameterError("--build-only goes with --engine tensorrt")
    options = {"random_weights": True} if args.random_weights else {}
    program = step_program(args.model, **options)
    suffix = ".onnx" if args.engine == "onnx" else ".plan"
    path = args.output or Path(f"{program.name}{suffix}")
    if args.engine == "onnx":
        from avs_ros.inference.export import export_onnx

        export_onnx(program, path, opset=args.opset)
        checked = _check(program, path)
    else:
        from avs_ros.inference.engines.tensorrt import build_plan

        plan = build_plan(program, choose_device(args.device))
        checked = "it is checked when it is loaded"
        if args.build_only:
            path = plan
        else:
            path.write_bytes(plan.read_bytes())
    print(f"{path} ({path.stat().st_size / 2**20:.1f} MiB): {checked}")
    for name, shape in program.inputs.items():
        print(f"  in   {name} {list(shape)}")
    for name in program.outputs:
        print(f"  out  {name}")
    return 0


def _check(program: StepProgram, path: Path) -> str:
    """Run the file in ONNX Runtime against PyTorch, where ONNX Runtime is installed."""
    from avs_ros.inference.engines.portable import OnnxRuntimeRunner

    try:
        runner = OnnxRuntimeRunner(program, "cpu", path=path)
    except MissingDependencyError as error:
        return f"not checked ({error})"
    worst = require_agreement(program, runner, ENGINES["onnxruntime"].tolerance)
    return f"within {worst:.1g} of PyTorch in ONNX Runtime"
