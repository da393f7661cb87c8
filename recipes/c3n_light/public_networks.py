"""Public networks of the data folder in this project's layouts, to start from or to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avs_ros.errors import CheckpointError, optional
from avs_ros.models.audio.yamnet import Yamnet
from avs_ros.models.labels import audioset
from avs_ros.models.light.detector import Detector
from recipes.c3n_light.baselines import open_litert

YOLOX_FILE, YAMNET_FILE = "yolox_nano.onnx", "yamnet_audio_classifier_with_metadata.tflite"
COCO_CLASSES = 80
# Logit of the six AudioSet classes that YAMNet does not know.
UNKNOWN = -9.0


def yolox_nano(file: Path) -> Detector:
    """YOLOX-nano (Apache-2.0), its mask branch as it was drawn.

    The published graph's convolutions come in the order in which this layout runs them.  Raises
    MissingDependencyError without onnx, CheckpointError for another file.
    """
    onnx = optional("onnx", "reading YOLOX-nano")
    if not file.is_file():
        raise CheckpointError(f"{file} is missing: check the data folder")
    graph = onnx.load(str(file)).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = [node.input[1:3] for node in graph.node if node.op_type == "Conv"]
    network = Detector(COCO_CLASSES).eval()
    own = _in_order(network)
    if len(own) != len(found):
        raise CheckpointError(f"{file} is not YOLOX-nano: {len(found)} convolutions")
    for layer, (weight, bias) in zip(own, found, strict=True):
        _fill(layer, stored[weight], stored[bias], file)
    return network


def yamnet(file: Path, names: Path) -> Yamnet:
    """YAMNet (Apache-2.0), its 8-bit numbers made floating-point again.

    ``names``: its 521 labels, a line each.  Raises MissingDependencyError without ai-edge-litert
    and CheckpointError for another file.
    """
    reader = open_litert(file, "reading YAMNet")
    weights: list[Any] = []
    biases: list[Any] = []
    last: Any = None
    for about in reader.get_tensor_details():
        shape, scales = about["shape"], about["quantization_parameters"]["scales"]
        if "network/" not in about["name"] or len(scales) == 0:
            continue
        if about["dtype"] == np.int8 and len(shape) == 4 and len(scales) > 1:
            # Depthwise kernels hold their channels last, the others first.
            channels = 3 if shape[0] == 1 and len(scales) == shape[3] else 0
            axes = tuple(-1 if axis == channels else 1 for axis in range(4))
            values = reader.get_tensor(about["index"]) * scales.reshape(axes)
            weights.append(values.transpose((3, 0, 1, 2) if channels == 3 else (0, 3, 1, 2)))
        elif about["dtype"] == np.int32 and len(shape) == 1 and shape[0] > 1:
            biases.append(reader.get_tensor(about["index"]) * scales)
        elif about["dtype"] == np.int8 and len(shape) == 2 and shape[1] == Yamnet.feature_width:
            last = reader.get_tensor(about["index"]) * scales.reshape(-1, 1)
    network = Yamnet().eval()
    if last is None or len(weights) != len(network.layers) or len(biases) != len(weights) + 1:
        raise CheckpointError(f"{file} is not YAMNet: {len(weights)} convolutions")
    for layer, weight, bias in zip(network.layers, weights, biases, strict=False):
        _fill(layer.convolution, weight, bias, file)  # type: ignore[arg-type]
    known = names.read_text(encoding="utf-8").split("\n")
    place = {name: index for index, name in enumerate(audioset().names)}
    with torch.no_grad():
        network.classifier.weight.zero_()
        network.classifier.bias.fill_(UNKNOWN)
        for row, name in enumerate(known[: len(last)]):
            if name.strip() in place:
                network.classifier.weight[place[name.strip()]] = torch.from_numpy(last[row])
                network.classifier.bias[place[name.strip()]] = float(biases[-1][row])
    return network


def _in_order(network: Detector) -> list[nn.Conv2d]:
    """Convolutions as they run, without the mask branch."""
    ran: list[nn.Conv2d] = []
    masks = {id(head.filters) for head in network.heads}
    masks |= {id(module) for module in network.mask_branch.modules()}
    hooks = [
        module.register_forward_hook(lambda layer, *_: ran.append(layer))
        for module in network.modules()
        if isinstance(module, nn.Conv2d) and id(module) not in masks
    ]
    with torch.no_grad():
        network(torch.zeros(1, 3, 64, 64))
    for hook in hooks:
        hook.remove()
    return ran


def _fill(layer: nn.Conv2d, weight: Any, bias: Any, file: Path) -> None:
    if tuple(layer.weight.shape) != tuple(weight.shape):
        raise CheckpointError(f"{file} has another layout: {weight.shape} where "
                              f"{tuple(layer.weight.shape)} was expected")  # fmt: skip
    with torch.no_grad():
        layer.weight.copy_(_tensor(weight))
        assert layer.bias is not None
        layer.bias.copy_(_tensor(bias))


def _tensor(values: Any) -> Tensor:
    return torch.from_numpy(np.array(values, np.float32))
