"""Watching each operator of a network, and which layer it is in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode


class LayerMode(TorchDispatchMode):
    """A dispatch mode that knows the layer that runs: ``where``, its name in the network."""

    where: str = ""

    def __post_init__(self) -> None:
        """Get ready to be entered."""
        TorchDispatchMode.__init__(self)

    @contextmanager
    def following(self, network: nn.Module) -> Iterator[None]:
        """Keep ``where`` up to date while ``network`` runs."""
        hooks: list[Any] = []
        for name, part in network.named_modules():
            hooks.append(part.register_forward_pre_hook(self._set(name)))
            hooks.append(part.register_forward_hook(self._set(name.rpartition(".")[0])))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _set(self, name: str) -> Any:
        def hook(*_: Any) -> None:
            self.where = name

        return hook
