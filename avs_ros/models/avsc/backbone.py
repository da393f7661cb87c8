"""The visual backbone of the segmenter: C3N's backbones, their four stages and nothing else."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from avs_ros.models.c3n.backbone import STAGES, Backbone, build_backbone
from avs_ros.models.checkpoints import load_backbone
from avs_ros.models.light.folding import fold_batch_norm
from avs_ros.models.weight_file import load_state_dict_strictly

PUBLIC_ROWS = 1000
# What timm's networks have after their last stage.
_HEAD_PARTS = ("conv_head", "bn2", "classifier", "head")


def build_stages(name: str, image_size: int, *, folded: bool = False) -> Backbone:
    """A backbone with random weights and without a head.

    ``folded``: batch norm is part of the convolutions, as in the light model's file.  Raises
    ModelError as ``build_backbone``.
    """
    backbone = build_backbone(name, PUBLIC_ROWS, image_size)
    if folded:
        fold_batch_norm(backbone)
    _drop_head(backbone)
    return backbone


def load_public(
    backbone: Backbone, path: str | Path, name: str, image_size: int, *, folded: bool = False
) -> None:
    """Load a classifier's public ImageNet weights into what :func:`build_stages` has made.

    Raises CheckpointError naming what does not fit.
    """
    whole = build_backbone(name, PUBLIC_ROWS, image_size)
    load_backbone(whole, path)
    if folded:
        fold_batch_norm(whole)
    _drop_head(whole)
    load_state_dict_strictly(backbone, whole.state_dict(), str(path))


def stage_features(backbone: Backbone, frames: Tensor) -> tuple[Tensor, ...]:
    """Normalised frames ``[B, 3, S, S]`` -> four normed stages ``[B, C_i, S/2^(i+2), ...]``."""
    features: list[Tensor] = []
    carry = frames
    for index in range(STAGES):
        activation = backbone.stage(index, carry)
        feature = backbone.normed(index, activation)
        features.append(feature)
        carry = feature if backbone.chains_normed else activation
    return tuple(features)


def _drop_head(backbone: Backbone) -> None:
    for part in _HEAD_PARTS:
        if hasattr(backbone.net, part):
            setattr(backbone.net, part, nn.Identity())
