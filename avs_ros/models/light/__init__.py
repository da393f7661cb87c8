"""The bundled light model: C3N in small, with what chooses the sounding class beside it."""

from avs_ros.models.light.network import LightC3N, LightOutput

__all__ = ["LightC3N", "LightOutput"]
