"""C3N checkpoints: ours, the published code's, and ImageNet weights for the backbones.

A checkpoint written here is one safetensors file: the network's tensors, the label similarity
(``c3im.similarity``), and metadata, each value as JSON text: ``format``, ``c3n`` (how to build
the network), ``audio`` (name of the audio network), ``labels`` (visual vocabulary), and whatever
else the writer adds (``preprocessing``, ``provenance``, ``licence``, ...).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from avs_ros.errors import CheckpointError
from avs_ros.models.c3n.backbone import BACKBONES, Backbone, SwinTransformer
from avs_ros.models.c3n.c3im import Matrix
from avs_ros.models.c3n.network import C3N
from avs_ros.models.c3n.official import SWIN_TABLES, backbone_rules, official_names, renamed
from avs_ros.models.labels import imagenet
from avs_ros.models.weight_file import load_state_dict_strictly, read_weight_file

FORMAT = "avs_ros/1"
_SIMILARITY = "c3im.similarity"
_AUDIO_ENCODER = "audio_encoder."
# Width of the fusion's audio input -> the audio network the published variants use.
AUDIO_BY_WIDTH = {128: "vggish", 2048: "panns", 768: "beats", 384: "efficientat_mn04"}
# Blocks per stage tell the PVT variants apart, B0 and B1 excepted (see below).
_PVT_DEPTHS: dict[tuple[int, ...], int] = {
    (2, 2, 2, 2): 0,
    (3, 4, 6, 3): 2,
    (3, 4, 18, 3): 3,
    (3, 8, 27, 3): 4,
    (3, 6, 40, 3): 5,
}


@dataclass(frozen=True)
class LoadedNetwork:
    """A C3N with what is needed to use it.

    ``network``: in evaluation mode, on the CPU.  ``audio``: name of its audio network.
    ``labels``: visual vocabulary, one name per row of the similarity.  ``metadata``: the file's
    own words, decoded; empty for the published code's files.  ``audio_encoder``: the audio
    network's tensors, where the file holds them.
    """

    network: C3N
    audio: str
    labels: Sequence[str]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    audio_encoder: Mapping[str, Tensor] = field(default_factory=dict)


def save_checkpoint(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]
) -> None:
    """Write a safetensors file, whole or not at all; ``metadata`` is stored as JSON text."""
    header = {key: json.dumps(value) for key, value in {"format": FORMAT, **metadata}.items()}
    plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    partial = Path(f"{path}.part")
    try:
        save_file(plain, str(partial), metadata=header)
        _sort_metadata(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Floating tensors in float16, as weight files hold them."""
    return {k: t.detach().half() if t.is_floating_point() else t for k, t in tensors.items()}


def read_kind(path: str | Path, kind: str, what: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Metadata and tensors (floating ones as float32) of a file that says it is of ``kind``.

    Raises CheckpointError when it is missing, damaged or another kind of file than ``what``.
    """
    file = read_weight_file(path)
    if file.metadata.get("kind") != kind:
        raise CheckpointError(f"{path} is not {what} file; `avs info` lists the models")
    tensors = file.state_dict()
    floats = {k: t.float() if t.is_floating_point() else t for k, t in tensors.items()}
    return dict(file.metadata), floats


def _sort_metadata(path: Path) -> None:
    """The library writes them in an order of chance; the same content is to be the same bytes."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= length:
            file.seek(8)
            file.write(text.ljust(length))


def save_c3n(
    path: str | Path,
    network: C3N,
    audio: str,
    labels: Sequence[str],
    metadata: Mapping[str, Any] | None = None,
    audio_encoder: nn.Module | None = None,
) -> None:
    """Write a C3N so that :func:`load_c3n` can build it again.

    ``audio``: name of its audio network; ``audio_encoder``: that network, to be stored along.
    """
    tensors = {**network.state_dict(), _SIMILARITY: network.c3im.similarity}
    if audio_encoder is not None:
        own = audio_encoder.state_dict()
        tensors |= {_AUDIO_ENCODER + name: tensor for name, tensor in own.items()}
    about = {"c3n": network.config(), "audio": audio, "labels": list(labels)}
    save_checkpoint(path, tensors, {**about, **(metadata or {})})


def load_c3n(
    path: str | Path,
    similarity: Matrix | None = None,
    default_similarity: Callable[[], Matrix] | None = None,
) -> LoadedNetwork:
    """Build the C3N that a file holds: one of ours, or the published code's state dict.

    Published files (bare, with or without ``module.``) say neither backbone nor audio network;
    both are read off the tensors' names and shapes.  ``similarity`` [K, 527] goes before the
    file's own; ``default_similarity`` makes one for files without.  Raises CheckpointError for
    anything else.
    """
    file = read_weight_file(path)
    tensors = file.state_dict()
    if similarity is None:
        similarity = tensors.get(_SIMILARITY)
    if similarity is None and default_similarity is not None:
        similarity = default_similarity()
    if similarity is None:
        raise CheckpointError(
            f"{file.source} comes without a label similarity: give one [1000, 527] "
            "(`avs labels build` makes it)"
        )
    if isinstance(file.metadata.get("c3n"), dict):
        return _load_own(file.source, tensors, file.metadata, similarity)
    if not any(name.startswith("encoder_backbone.") for name in tensors):
        raise CheckpointError(
            f"{file.source} is not a C3N checkpoint: neither ours (no c3n entry in its metadata) "
            "nor the published code's (no tensor encoder_backbone.*)"
        )
    return _load_published(file.source, tensors, similarity)


def recognise_visual(tensors: Mapping[str, Tensor], source: str) -> str:
    """Backbone name from a published state dict's tensor names (``encoder_backbone.*``)."""
    if "encoder_backbone.layers.2.blocks.17.norm1.weight" in tensors:
        return "swin_base_patch4_window7_224"
    blocks = set(re.findall(r"encoder_backbone\.block([1-4])\.(\d+)\.", " ".join(tensors)))
    depths = [sum(stage == number for stage, _ in blocks) for number in "1234"]
    number = _PVT_DEPTHS.get(tuple(depths))
    width = tensors.get("encoder_backbone.norm4.weight", torch.empty(0)).shape[0]
    if number is None or width not in (256, 512):
        raise CheckpointError(
            f"{source}: no known backbone has {depths} blocks per stage and {width} channels; "
            f"known: {', '.join(BACKBONES)}"
        )
    if number == 0 and width == 512:  # B1 has B0's depths and B2's widths
        number = 1
    return f"pvt_v2_b{number}"


def recognise_audio(tensors: Mapping[str, Tensor], source: str) -> tuple[str, int]:
    """(audio network, its width) from the width of ``tpavi_1.align_channel``."""
    name = "tpavi_1.align_channel.weight"
    if name not in tensors or tensors[name].ndim != 2:
        raise CheckpointError(f"{source}: {name} [channels, audio width] is missing")
    width = tensors[name].shape[1]
    if width not in AUDIO_BY_WIDTH:
        known = ", ".join(f"{w} ({audio})" for w, audio in AUDIO_BY_WIDTH.items())
        raise CheckpointError(f"{source}: {name} is {width} wide; known widths: {known}")
    return AUDIO_BY_WIDTH[width], width


def load_network(network: C3N, path: str | Path) -> None:
    """Copy a checkpoint's weights, ours or published, into a C3N of the same form.

    The network keeps its own similarity.  Raises CheckpointError naming what does not fit.
    """
    file = read_weight_file(path)
    tensors = {
        name: tensor
        for name, tensor in file.state_dict().items()
        if name != _SIMILARITY and not name.startswith(_AUDIO_ENCODER)
    }
    if any(name.startswith("encoder_backbone.") for name in tensors):
        tensors = official_names(tensors, network.visual)
    load_state_dict_strictly(network, tensors, file.source)


def load_backbone(backbone: Backbone, path: str | Path) -> None:
    """Load a classifier's ImageNet weights, in the original release's naming or timm's.

    A head with more rows than the file keeps its own further rows.  Swin's final norm becomes
    norm 4 (the published C3N drops it and starts norm 4 as the identity; call
    ``backbone.norms[3].reset_parameters()`` for that); norms 1-3 are not in such files and keep
    their values.  Raises CheckpointError naming what does not fit.
    """
    file = read_weight_file(path)
    tensors = _in_own_names(file.state_dict(), backbone)
    own = backbone.state_dict()
    if isinstance(backbone, SwinTransformer):
        for name, tensor in own.items():
            if name.startswith("norms."):
                tensors.setdefault(name, tensor)
    heads = [n for n in tensors if n in own and n.startswith(("net.head.", "net.classifier."))]
    for name in heads:
        rows = tensors[name].shape[0]
        if rows < own[name].shape[0] and tensors[name].shape[1:] == own[name].shape[1:]:
            tensors[name] = torch.cat([tensors[name], own[name][rows:].to(tensors[name])])
    load_state_dict_strictly(backbone, tensors, file.source)


def _in_own_names(tensors: Mapping[str, Tensor], backbone: Backbone) -> dict[str, Tensor]:
    swin = isinstance(backbone, SwinTransformer)
    mobile = not swin and not backbone.chains_normed
    timm_naming = mobile or any(n.startswith(("stages.", "head.fc.")) for n in tensors)
    rules = () if timm_naming else backbone_rules("swin" if swin else "pvt_v2")

    def own(name: str) -> str:
        if swin and name.startswith("norm."):
            return name.replace("norm.", "norms.3.", 1)
        return "net." + name if timm_naming else renamed(name, rules)

    return {own(name): t for name, t in tensors.items() if not name.endswith(SWIN_TABLES)}


def _load_own(
    source: str, tensors: dict[str, Tensor], metadata: Mapping[str, Any], similarity: Matrix
) -> LoadedNetwork:
    tensors.pop(_SIMILARITY, None)
    heard = [name for name in tensors if name.startswith(_AUDIO_ENCODER)]
    audio_encoder = {name[len(_AUDIO_ENCODER) :]: tensors.pop(name) for name in heard}
    try:
        network = C3N(similarity=similarity, **metadata["c3n"])
    except TypeError as error:
        raise CheckpointError(f"{source}: its c3n metadata is not understood: {error}") from error
    audio = str(metadata.get("audio", ""))
    labels = [str(name) for name in metadata.get("labels", ())]
    if len(labels) != network.c3im.num_classes:
        raise CheckpointError(
            f"{source} names {len(labels)} labels for {network.c3im.num_classes} visual classes"
        )
    load_state_dict_strictly(network, tensors, source)
    return LoadedNetwork(network.eval(), audio, labels, metadata, audio_encoder)


def _load_published(source: str, tensors: dict[str, Tensor], similarity: Matrix) -> LoadedNetwork:
    visual = recognise_visual(tensors, source)
    audio, width = recognise_audio(tensors, source)
    network = C3N(visual=visual, audio_width=width, similarity=similarity)
    load_state_dict_strictly(network, official_names(tensors, visual), source)
    return LoadedNetwork(network.eval(), audio, imagenet().short_names)
