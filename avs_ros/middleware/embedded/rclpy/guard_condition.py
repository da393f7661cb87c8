"""A callback that any thread can ask an executor to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .callback_groups import CallbackGroup
from .context import Context
from .waitable import Entity


class GuardCondition(Entity):
    """Runs its callback once after any number of ``trigger`` calls."""

    def __init__(
        self,
        callback: Callable[[], Any] | None,
        callback_group: CallbackGroup | None,
        context: Context | None = None,
    ) -> None:
        super().__init__(callback_group)
        self.callback = callback
        self._context = context
        self._triggered = False

    def trigger(self) -> None:
        """Ask for a run of the callback."""
        self._check_alive()
        self._triggered = True
        self._wake()

    def _is_ready(self) -> bool:
        return self._triggered

    def _take(self) -> Callable[[], Any] | None:
        self._triggered = False
        return self.callback

    def destroy(self) -> None:
        """End it; ``trigger`` raises ``InvalidHandle`` afterwards."""
        self._destroyed = True
