"""Inputs by rule, the clip that the published code saw, and published names and shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from generated_weights import REFERENCE, generated_from_list
from torch import Tensor
from torch.overrides import TorchFunctionMode

from avs_ros.models.c3n import C3N, C3NOutput
from avs_ros.models.stream_memory import StreamMemory

# The first of the two clips of five frames.
CLIP = slice(0, 5)
# The published Swin carries its index tables as tensors; they are no weights.
_TABLE = "relative_position_index"
_DRAWS = (Tensor.uniform_, Tensor.normal_, Tensor.erfinv_)


class NothingDrawn(TorchFunctionMode):
    """While active, networks are made without random weights, which take seconds to draw.

    For those whose weights are all loaded afterwards.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """A tensor that would be filled stays as it is."""
        return args[0] if func in _DRAWS else func(*args, **(kwargs or {}))


class Published:
    """Stored outputs of the published C3N, and a C3N with the weights it had.

    ``name``: of the file.  ``weights``: the published state dict.
    """

    def __init__(self, name: str, visual: str, audio_width: int) -> None:
        self.stored = np.load(REFERENCE / f"{name}.npz")
        keys = [str(key) for key in self.stored["state_dict_keys"]]
        self.weights = generated_from_list(key for key in keys if _TABLE not in key)
        self.inputs = (frames(), audio_features(audio_width), audio_logits())
        with NothingDrawn():
            self.net = C3N(visual, audio_width, similarity()).eval()
        tables = {key.split("|")[0]: torch.zeros(49, 49) for key in keys if _TABLE in key}
        named = {"module." + name: t for name, t in {**self.weights, **tables}.items()}
        self.net.load_official_state_dict(named)

    def clip(self, clip: slice = CLIP) -> C3NOutput:
        """Everything our C3N makes of the first clip (or another)."""
        with torch.no_grad():
            return self.net.forward_detailed(*(x[clip] for x in self.inputs))

    def check_labels(self, output: C3NOutput) -> None:
        """Labels are equal, class scores up to float32 noise."""
        assert output.labels.tolist() == self.stored["labels"][CLIP].tolist()
        close(output.visual_logits, self.stored["v_cls"][CLIP], 3e-5, "v_cls")

    def check_stage(self, output: C3NOutput, stage: int) -> None:
        """Every intermediate result of a stage (1..4) is the published one."""
        weights = self.stored[f"cam_w{stage}"]
        largest = float(np.abs(weights).max())
        close(output.weights[stage - 1], weights[CLIP], 2e-5 * largest, "cam_w")
        for name, maps, tolerance in (
            ("stage{}_backbone", output.features, 5e-5),
            ("stage{}_ccam", output.gated, 2e-5),
            ("aspp{}", output.pyramid, 2e-5),
            ("tpavi{}", output.fused, 1e-4),
            ("path{}", output.paths, 2e-4),
        ):
            check_map(self.stored, name.format(stage), maps[stage - 1], tolerance)

    def check_logits(self, logits: Tensor | np.ndarray, frames: slice = CLIP) -> None:
        """Mask logits of ``frames`` are the published ones."""
        close(logits, self.stored["logits"][frames], 2e-4, "logits")

    def check_steps(self, run: Callable[..., Sequence[np.ndarray]], memory: StreamMemory) -> None:
        """One frame a second through a step: each label, and the mask when the clip is whole."""
        arrays = [x[CLIP].numpy() for x in self.inputs]
        for i, one in enumerate(zip(*arrays, strict=True)):
            stamp_ns = 10**18 + i * 10**9
            step = [x[None] for x in one]
            logits, label, _, state = run(*step, *memory.recall(stamp_ns))
            memory.remember(stamp_ns, np.array(state))
            assert label.tolist() == [self.stored["labels"][i]]
        self.check_logits(logits, slice(CLIP.stop - 1, CLIP.stop))


def close(found: Tensor | np.ndarray, expected: np.ndarray, tolerance: float, name: str) -> None:
    """Equal up to ``tolerance``, absolute."""
    found = np.asarray(found.detach() if isinstance(found, Tensor) else found)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance, err_msg=name)


def check_map(stored: Mapping[str, np.ndarray], name: str, found: Tensor, tol: float) -> None:
    """A map of the first clip against what is stored of it: a slice, means and spread."""
    step = found.shape[2] // 7
    for suffix, value in (
        ("slice", found[:, :8, ::step, ::step]),
        ("chan_mean", found.mean((2, 3))),
        ("mean", found.mean((1, 2, 3))),
        ("std", found.flatten(1).std(1, correction=0)),
    ):
        close(value, stored[f"{name}_{suffix}"][CLIP], tol, name)


def similarity() -> np.ndarray:
    return (np.random.RandomState(7).rand(1000, 527) * 2 - 1).astype(np.float32)


def frames() -> Tensor:
    coarse = np.random.RandomState(11).standard_normal((10, 3, 14, 14))
    fine = np.random.RandomState(111).standard_normal((10, 3, 224, 224))
    large = np.repeat(np.repeat(coarse, 16, axis=2), 16, axis=3)
    return torch.from_numpy((1.2 * large + 0.4 * fine).astype(np.float32))


def audio_features(width: int) -> Tensor:
    values = np.maximum(np.random.RandomState(12).standard_normal((10, width)), 0)
    return torch.from_numpy(values.astype(np.float32))


def audio_logits() -> Tensor:
    return torch.from_numpy(
        (np.random.RandomState(13).standard_normal((10, 527)) * 3).astype(np.float32)
    )


def random_state_dict(shapes: Mapping[str, Sequence[int]], seed: int = 0) -> dict[str, Tensor]:
    """Well-scaled random weights, quickly."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        n = torch.randn(tuple(shape), generator=generator)
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(0)
        elif name.endswith("running_var"):
            tensors[name] = 1 + 0.1 * n.abs()
        elif name.endswith(("bias", "running_mean")):
            tensors[name] = 0.1 * n
        elif len(shape) == 1:
            tensors[name] = 1 + 0.1 * n
        else:
            tensors[name] = n / float(np.sqrt(np.prod(shape[1:])))
    return tensors


def fusion_shapes(widths: Sequence[int], audio_width: int) -> dict[str, tuple[int, ...]]:
    """Published names and shapes of everything after the backbone."""
    shapes: dict[str, tuple[int, ...]] = {}

    def layer(name: str, *weight: int) -> None:
        shapes[name + ".weight"] = weight
        shapes[name + ".bias"] = weight[:1]

    for i, width in enumerate(widths, start=1):
        layer(f"conv{i}.conv", 256, width, 1, 1)
        layer(f"conv{i}.atrous_block1", 256, width, 1, 1)
        for rate in (6, 12, 18):
            layer(f"conv{i}.atrous_block{rate}", 256, width, 3, 3)
        layer(f"conv{i}.conv_1x1_output", 256, 1280, 1, 1)
        for unit in (1, 2):
            for conv in (1, 2):
                layer(f"path{i}.resConfUnit{unit}.conv{conv}", 256, 256, 3, 3)
        layer(f"tpavi_{i}.align_channel", 256, audio_width)
        layer(f"tpavi_{i}.norm_layer", 256)
        for part in ("g", "theta", "phi"):
            layer(f"tpavi_{i}.{part}", 128, 256, 1, 1, 1)
        layer(f"tpavi_{i}.W_z.0", 256, 128, 1, 1, 1)
        layer(f"tpavi_{i}.W_z.1", 256)
        shapes[f"tpavi_{i}.W_z.1.running_mean"] = (256,)
        shapes[f"tpavi_{i}.W_z.1.running_var"] = (256,)
        shapes[f"tpavi_{i}.W_z.1.num_batches_tracked"] = ()
    layer("output_conv.0", 128, 256, 3, 3)
    layer("output_conv.2", 32, 128, 3, 3)
    layer("output_conv.4", 1, 32, 1, 1)
    return shapes


def swin_base_shapes() -> dict[str, tuple[int, ...]]:
    """Published names and shapes of C3N's Swin-B, without the prefix."""
    shapes: dict[str, tuple[int, ...]] = {}

    def layer(name: str, *weight: int, bias: bool = True) -> None:
        shapes[name + ".weight"] = weight
        if bias:
            shapes[name + ".bias"] = weight[:1]

    layer("patch_embed.proj", 128, 3, 4, 4)
    layer("patch_embed.norm", 128)
    for i, (depth, heads) in enumerate(zip((2, 2, 18, 2), (4, 8, 16, 32), strict=True)):
        c = 128 * 2**i
        for j in range(depth):
            block = f"layers.{i}.blocks.{j}"
            layer(block + ".norm1", c)
            shapes[block + ".attn.relative_position_bias_table"] = (169, heads)
            layer(block + ".attn.qkv", 3 * c, c)
            layer(block + ".attn.proj", c, c)
            layer(block + ".norm2", c)
            layer(block + ".mlp.fc1", 4 * c, c)
            layer(block + ".mlp.fc2", c, 4 * c)
        if i < 3:
            layer(f"layers.{i}.downsample.norm", 4 * c)
            layer(f"layers.{i}.downsample.reduction", 2 * c, 4 * c, bias=False)
        layer(f"norm{i}", c)
    layer("head", 1000, 1024)
    return shapes
