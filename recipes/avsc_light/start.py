"""Where ``avsc_light`` starts: from the light C3N."""

from __future__ import annotations

from torch import nn

from avs_ros.errors import CheckpointError
from avs_ros.models.avsc import AVSC, configuration
from avs_ros.models.avsc.config import light_queries
from avs_ros.models.light.checkpoint import LightModel


def start_network(light: LightModel, image_size: int) -> AVSC:
    """The light AVSC with the backbone, hearing and affinity of a light C3N; the rest random."""
    rows, names = len(light.rows), light.metadata["names"]
    config = configuration("avsc_light", names["members"], rows).with_(
        categories=light.categories,
        sound_classes=light.sound_classes,
        sound_class_category=tuple(names["sound_class_category"]),
        query_category=light_queries(light.categories),
        image_size=image_size,
    )
    net = AVSC(config)
    try:
        net.backbone.load_state_dict(light.network.c3n.backbone.state_dict())
        net.audio_encoder.load_state_dict(light.network.audio_encoder.state_dict())
        net.audio_head.affinity.load_state_dict(light.network.affinity.state_dict())
    except RuntimeError as error:
        raise CheckpointError(f"this light C3N cannot start an AVSC: {error}") from error
    return net


def audio_parameters(net: AVSC) -> list[nn.Parameter]:
    """What the second step trains: the audio head; everything else is frozen."""
    net.requires_grad_(False)
    net.audio_head.requires_grad_(True)
    return list(net.audio_head.parameters())
