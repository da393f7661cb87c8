"""The VOC-21 network's numbers, read out of its quantised file and made floating-point again."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avs_ros.errors import CheckpointError
from avs_ros.models.light.category_segmenter import DeepLabV3
from avs_ros.models.light.folding import fold_batch_norm
from recipes.c3n_light.baselines import open_litert

_HEADS = {
    "aspp0": "aspp",
    "image_pooling": "image_pooling",
    "concat_projection": "project",
    "logits/semantic": "classify",
}
_QUANTISED = "/weights_quant/"
# TensorFlow counts MobileNetV2's 17 blocks through; timm counts within groups of one width.
_GROUPS = (1, 2, 3, 4, 3, 3, 1)


def voc_network(file: Path) -> DeepLabV3:
    """The network of the data folder's ``baselines.VOC_FILE``, folded, in evaluation mode.

    Raises MissingDependencyError without ai-edge-litert and CheckpointError for another file.
    """
    network = fold_batch_norm(DeepLabV3())
    assert isinstance(network, DeepLabV3)
    found = _tensors(file)
    own = network.state_dict()
    missing = sorted(set(own) - set(found))
    if missing or len(found) != len(own):
        raise CheckpointError(
            f"{file} is not the VOC-21 network of the data folder: "
            f"{len(missing)} tensors are missing, among them {', '.join(missing[:3])}"
        )
    network.load_state_dict(found)
    return network.eval()


def _tensors(file: Path) -> dict[str, Tensor]:
    net = open_litert(file, "the VOC-21 network")
    out: dict[str, Tensor] = {}
    for about in net.get_tensor_details():
        scale, zero = about["quantization"]
        # A fused tensor carries the names of all that became part of it.
        parts = about["name"].split(";")
        weights = [part for part in parts if _QUANTISED in part]
        if weights:
            scope, kind = weights[0].split(_QUANTISED)[0], "weight"
        elif about["dtype"] == np.int32 and len(about["shape"]) == 1 and scale > 0:
            scope, kind = re.sub(r"/(BatchNorm_Fold/bias|biases)$", "", parts[-1]), "bias"
        else:
            continue
        values = (net.get_tensor(about["index"]).astype(np.float64) - zero) * scale
        if kind == "weight":
            depthwise = scope.endswith("/depthwise")
            values = values.transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
        out[f"{_name(scope)}.{kind}"] = torch.from_numpy(values.astype(np.float32).copy())
    return out


def _name(scope: str) -> str:
    """TensorFlow's scope -> the module that holds the convolution here."""
    if scope in _HEADS:
        return _HEADS[scope]
    if scope == "MobilenetV2/Conv":
        return "backbone.conv_stem"
    match = re.fullmatch(r"MobilenetV2/expanded_conv(?:_(\d+))?/(\w+)", scope)
    if not match:
        return scope
    block, part = int(match[1] or 0), match[2]
    group = 0
    while group < len(_GROUPS) - 1 and block >= _GROUPS[group]:
        block -= _GROUPS[group]
        group += 1
    # The first block expands nothing: its depthwise convolution comes first.
    convolution = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}[part]
    if group == 0:
        convolution = {"depthwise": "conv_dw", "project": "conv_pw"}[part]
    return f"backbone.blocks.{group}.{block}.{convolution}"
