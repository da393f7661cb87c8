"""Weights in the form in which others publish them."""

from __future__ import annotations

import c3n_reference as reference
import numpy as np
import torch
from generated_weights import generated_like

from avs_ros.models.audio.beats import BEATs, BEATsConfig
from avs_ros.models.c3n.backbone import build_backbone
from avs_ros.models.labels import audioset
from avs_ros.models.weight_file import WeightFile

# What a public fine-tuned checkpoint says in `cfg`, with sizes small enough for a test.
CFG = {
    "encoder_layers": 2,
    "encoder_embed_dim": 32,
    "encoder_ffn_embed_dim": 64,
    "encoder_attention_heads": 2,
    "embed_dim": 16,
    "conv_pos": 8,
    "conv_pos_groups": 4,
    "num_buckets": 16,
    "max_distance": 20,
    "input_patch_size": 16,
    "activation_fn": "gelu",
    "layer_norm_first": False,
    "deep_norm": True,
    "conv_bias": False,
    "relative_position_embedding": True,
    "gru_rel_pos": True,
    "finetuned_model": True,
    "predictor_class": 527,
    "layer_wise_gradient_decay_ratio": 0.6,
}
BIAS = "encoder.layers.{}.self_attn.relative_attention_bias.weight"
OWN_TO_PUBLISHED = (
    ("net.patch_embed.", "patch_embed1."),
    ("net.stages.0.blocks.", "block1."),
    ("net.stages.1.downsample.", "patch_embed2."),
    ("net.stages.1.blocks.", "block2."),
    ("net.stages.2.downsample.", "patch_embed3."),
    ("net.stages.2.blocks.", "block3."),
    ("net.stages.3.downsample.", "patch_embed4."),
    ("net.stages.3.blocks.", "block4."),
    *((f"net.stages.{i}.norm.", f"norm{i + 1}.") for i in range(4)),
    ("net.head.", "head."),
)


def public_content(order: np.ndarray | None = None) -> dict[str, object]:
    """A checkpoint laid out as the public ones: cfg, model, and label_dict in ``order``."""
    small = BEATs(BEATsConfig.from_checkpoint(CFG, "test"))
    state = generated_like(small.state_dict())
    # The position bias is far larger than other weights, so that an error in it would show.
    noise = generated_like({BIAS.format(0): torch.empty(16, 2)}, gain=np.sqrt(2))
    state[BIAS.format(0)] = noise[BIAS.format(0)]
    state[BIAS.format(1)] = noise[BIAS.format(0)]
    order = np.arange(527) if order is None else order
    label_dict = {index: audioset().ids[cls] for index, cls in enumerate(order)}
    return {"cfg": CFG, "model": state, "label_dict": label_dict}


def loaded(content: dict[str, object]) -> BEATs:
    network = BEATs(BEATsConfig(encoder_layers=1, encoder_ffn_embed_dim=8))
    network.load_weight_file(WeightFile(content, {}, "BEATs.pt"))
    return network.eval()


def published_backbone(backbone: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A PVT backbone's tensors under the names of its original release."""
    tensors = {}
    for name, tensor in backbone.state_dict().items():
        for own, published in OWN_TO_PUBLISHED:
            if name.startswith(own):
                name = published + name[len(own) :]
                break
        tensors[name.replace("mlp.dwconv.", "mlp.dwconv.dwconv.")] = tensor
    return tensors


def published(visual: str = "pvt_v2_b0", audio_width: int = 128) -> dict[str, torch.Tensor]:
    backbone = build_backbone(visual)
    tensors = reference.random_state_dict(
        reference.fusion_shapes(backbone.widths, audio_width), seed=1
    )
    for name, tensor in published_backbone(backbone).items():
        tensors["encoder_backbone." + name] = tensor
    return tensors
