"""Tensor names of the published code and of ImageNet releases -> names of the classes here.

Facts only: which published tensor belongs to which module.  Suffix 1 is the highest resolution.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from avs_ros.errors import CheckpointError

_Rules = tuple[tuple[str, str], ...]

# (pattern, replacement); \1 is the published stage number 1..4, "<n>" the one here, 0..3.
_NETWORK: _Rules = (
    (r"^conv(\d)\.conv\.", r"aspp.<\1>.pooled."),
    (r"^conv(\d)\.atrous_block1\.", r"aspp.<\1>.point."),
    (r"^conv(\d)\.atrous_block6\.", r"aspp.<\1>.dilated.0."),
    (r"^conv(\d)\.atrous_block12\.", r"aspp.<\1>.dilated.1."),
    (r"^conv(\d)\.atrous_block18\.", r"aspp.<\1>.dilated.2."),
    (r"^conv(\d)\.conv_1x1_output\.", r"aspp.<\1>.project."),
    (r"^tpavi_(\d)\.align_channel\.", r"tpavi.<\1>.align."),
    (r"^tpavi_(\d)\.norm_layer\.", r"tpavi.<\1>.norm."),
    (r"^tpavi_(\d)\.(g|theta|phi)\.", r"tpavi.<\1>.\2."),
    (r"^tpavi_(\d)\.W_z\.0\.", r"tpavi.<\1>.project."),
    (r"^tpavi_(\d)\.W_z\.1\.", r"tpavi.<\1>.project_norm."),
    (r"^path(\d)\.resConfUnit1\.", r"decoder.paths.<\1>.lateral_unit."),
    (r"^path(\d)\.resConfUnit2\.", r"decoder.paths.<\1>.output_unit."),
    (r"^output_conv\.0\.", r"decoder.head.reduce."),
    (r"^output_conv\.2\.", r"decoder.head.refine."),
    (r"^output_conv\.4\.", r"decoder.head.score."),
)
_PVT: _Rules = (
    (r"^patch_embed1\.", r"net.patch_embed."),
    (r"^patch_embed(\d)\.", r"net.stages.<\1>.downsample."),
    (r"^block(\d)\.(\d+)\.mlp\.dwconv\.dwconv\.", r"net.stages.<\1>.blocks.\2.mlp.dwconv."),
    (r"^block(\d)\.", r"net.stages.<\1>.blocks."),
    (r"^norm(\d)\.", r"net.stages.<\1>.norm."),
    (r"^head\.", r"net.head."),
)
# Swin merges patches at the end of a layer, timm at the start of the next one; ">\1<" adds one.
_SWIN: _Rules = (
    (r"^patch_embed\.", r"net.patch_embed."),
    (r"^layers\.(\d)\.downsample\.", r"net.layers.>\1<.downsample."),
    (r"^layers\.", r"net.layers."),
    (r"^norm(\d)\.", r"norms.\1."),
    (r"^head\.", r"net.head.fc."),
)
# Tables that Swin computes from its window size; published files carry them as tensors.
SWIN_TABLES = ("relative_position_index", "attn_mask")


def official_names(state_dict: Mapping[str, Tensor], visual: str) -> dict[str, Tensor]:
    """A published state dict under the names used here, without Swin's computed tables."""
    return {
        official_name(name.replace("module.", ""), visual): tensor
        for name, tensor in state_dict.items()
        if not name.endswith(SWIN_TABLES)
    }


def official_name(name: str, visual: str) -> str:
    """A published tensor name -> ours; an unknown name comes back unchanged.

    ``visual`` decides how the part after ``encoder_backbone.`` is read.
    """
    prefix = "encoder_backbone."
    if name.startswith(prefix):
        return "backbone." + renamed(name[len(prefix) :], backbone_rules(visual))
    return renamed(name, _NETWORK)


def backbone_rules(visual: str) -> _Rules:
    """Renaming rules for the original release of a backbone."""
    if visual.startswith("pvt_v2"):
        return _PVT
    if visual.startswith("swin"):
        return _SWIN
    raise CheckpointError(f"there is no published C3N with the backbone {visual}")


def renamed(name: str, rules: _Rules) -> str:
    """Apply the first rule that matches."""
    for pattern, replacement in rules:
        new, count = re.subn(pattern, replacement, name)
        if count:
            new = re.sub(r"<(\d)>", lambda m: str(int(m[1]) - 1), new)
            return re.sub(r">(\d)<", lambda m: str(int(m[1]) + 1), new)
    return name
