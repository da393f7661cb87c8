"""Weights and inputs by rule, and C3N written out once more from published tensor names.

The rule (a tensor's values follow from its name) and the inputs are those of the reference
outputs; the functional C3N is independent of the package: it works on the published state dict
with timm's own classifier, hooks and plain tensor operations.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import timm
import torch
import torch.nn.functional as F
from torch import Tensor


def tensor_by_rule(name: str, shape: Sequence[int], gain: float = 1.0) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    n = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF).standard_normal(shape)
    if name.endswith("running_var"):
        values = 1 + 0.1 * np.abs(n)
    elif name.endswith("running_mean"):
        values = 0.1 * n
    elif name.endswith("bias"):
        values = 0.05 * n
    elif len(shape) == 1:
        values = 1 + 0.1 * n
    else:
        values = n * gain / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def state_dict_by_rule(keys: Sequence[str]) -> dict[str, Tensor]:
    """``keys``: "name|(d0, d1, ...)" as the reference files list them."""
    tensors = {}
    for key in keys:
        name, shape = str(key).split("|")
        sizes = [int(s) for s in shape.strip("()").split(",") if s.strip()]
        tensors[name] = tensor_by_rule(name, sizes)
    return tensors


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


def swin_taps(
    weights: Mapping[str, Tensor], images: Tensor
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Class logits, stage outputs (channels last, gradients kept) and normed stage outputs.

    From timm's own Swin-B forward, with the published C3N's weights (no prefix).
    """
    net = timm.create_model("swin_base_patch4_window7_224", pretrained=False).eval()
    named = {}
    for name, tensor in weights.items():
        if ".downsample." in name:
            old = int(name.split(".")[1])
            name = name.replace(f"layers.{old}.", f"layers.{old + 1}.")
        if name.startswith(("norm0.", "norm1.", "norm2.")):
            continue
        named[name.replace("norm3.", "norm.").replace("head.", "head.fc.")] = tensor
    net.load_state_dict(named, strict=True)
    taken: list[Tensor] = []

    def keep(_layer: object, _inputs: object, out: Tensor) -> None:
        out.retain_grad()
        taken.append(out)

    hooks = [layer.register_forward_hook(keep) for layer in net.layers]
    logits = net(images)
    for hook in hooks:
        hook.remove()
    features = [
        F.layer_norm(a, a.shape[-1:], weights[f"norm{i}.weight"], weights[f"norm{i}.bias"])
        for i, a in enumerate(taken)
    ]
    return logits, taken, [f.permute(0, 3, 1, 2) for f in features]


def consensus_labels(visual: Tensor, audio: Tensor, matrix: np.ndarray) -> list[int]:
    labels = []
    for v, a in zip(visual, audio, strict=True):
        pv = v.detach().softmax(0).numpy() ** 0.1
        pa = a.softmax(0).numpy() ** 0.1
        labels.append(int(np.argmax(pv[:, None] * matrix * pa[None, :]) // matrix.shape[1]))
    return labels


def fuse(
    w: Mapping[str, Tensor],
    features: Sequence[Tensor],
    channel_weights: Sequence[Tensor],
    audio: Tensor,
    clip: int,
) -> Tensor:
    """CCAM, ASPP, TPAVI (full affinity), decoder and head from published tensors -> logits."""

    def conv(name: str, x: Tensor, **options: int) -> Tensor:
        return F.conv2d(x, w[name + ".weight"], w[name + ".bias"], **options)

    fused = []
    for i, (x, cw) in enumerate(zip(features, channel_weights, strict=True), start=1):
        norm = cw.pow(2).sum(1, keepdim=True).sqrt().clamp_min(1e-12)
        x = x * torch.sigmoid(cw / norm)[:, :, None, None]
        x = x * torch.sigmoid(x.mean(1, keepdim=True))
        h, wd = x.shape[2:]
        pooled = conv(f"conv{i}.conv", F.adaptive_avg_pool2d(x, 1))
        views = [F.interpolate(pooled, size=(h, wd), mode="bilinear")]
        views.append(conv(f"conv{i}.atrous_block1", x))
        for r in (6, 12, 18):
            views.append(conv(f"conv{i}.atrous_block{r}", x, padding=r, dilation=r))
        x = conv(f"conv{i}.conv_1x1_output", torch.cat(views, 1))
        fused.append(_non_local(w, f"tpavi_{i}", x, audio, clip))

    def unit(name: str, x: Tensor) -> Tensor:
        x = x.clone()
        x.relu_()  # in place: the skip is rectified too
        hidden = conv(name + ".conv1", x, padding=1).relu_()
        return conv(name + ".conv2", hidden, padding=1) + x

    out = fused[3]
    for i in (4, 3, 2, 1):
        if i < 4:
            out = out + unit(f"path{i}.resConfUnit1", fused[i - 1])
        out = unit(f"path{i}.resConfUnit2", out)
        out = F.interpolate(out, scale_factor=2, mode="bilinear", align_corners=True)
    out = conv("output_conv.0", out, padding=1)
    out = F.interpolate(out, scale_factor=2, mode="bilinear", align_corners=False)
    return conv("output_conv.4", conv("output_conv.2", out, padding=1).relu())


def _non_local(w: Mapping[str, Tensor], name: str, x: Tensor, audio: Tensor, t: int) -> Tensor:
    n, c, h, wd = x.shape
    pixels = x.reshape(n // t, t, c, h * wd).permute(0, 1, 3, 2).reshape(n // t, t * h * wd, c)
    sound = F.linear(audio, w[f"{name}.align_channel.weight"], w[f"{name}.align_channel.bias"])
    sound = sound.reshape(n // t, t, 1, c).expand(-1, -1, h * wd, -1).reshape(pixels.shape)

    def point(part: str, y: Tensor) -> Tensor:
        return F.linear(y, w[f"{name}.{part}.weight"][:, :, 0, 0, 0], w[f"{name}.{part}.bias"])

    affinity = point("theta", pixels) @ point("phi", sound).transpose(1, 2) / (t * h * wd)
    y = point("W_z.0", affinity @ point("g", pixels))
    mean, var = w[f"{name}.W_z.1.running_mean"], w[f"{name}.W_z.1.running_var"]
    y = (y - mean) / torch.sqrt(var + 1e-5) * w[f"{name}.W_z.1.weight"] + w[f"{name}.W_z.1.bias"]
    z = F.layer_norm(
        pixels + y, (c,), w[f"{name}.norm_layer.weight"], w[f"{name}.norm_layer.bias"]
    )
    return z.reshape(n, h, wd, c).permute(0, 3, 1, 2)
