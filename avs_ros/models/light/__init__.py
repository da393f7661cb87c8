"""The bundled light model: C3N in small, with what chooses the sounding class beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avs_ros.models.light.network import LightC3N, LightOutput

__all__ = ["LightC3N", "LightOutput"]


def __getattr__(name: str) -> Any:
    """The network on first use: ``sound_context`` beside it needs no PyTorch."""
    if name in __all__:
        from avs_ros.models.light import network

        return getattr(network, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
