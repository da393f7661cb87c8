"""What executors wait for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .exceptions import InvalidHandle

if TYPE_CHECKING:
    from .callback_groups import CallbackGroup
    from .endpoint import EndpointHandle


def _nobody() -> None:
    """Wake no executor: the entity belongs to no node (any more)."""


class Entity:
    """Base of subscriptions, timers, clients, services, guards and events.

    News arrives in other threads: they set a flag and call ``_wake``; the executor then sees
    ``_is_ready`` and runs what ``_take`` returns, under the callback group's rule.
    """

    def __init__(self, callback_group: CallbackGroup | None) -> None:
        self.callback_group: Any = callback_group
        self._executor_event = False
        self._wake: Callable[[], None] = _nobody
        self._destroyed = False

    def _is_ready(self) -> bool:
        raise NotImplementedError

    def _take(self) -> Callable[[], Any] | None:
        raise NotImplementedError

    def _handles(self) -> list[EndpointHandle]:
        return []

    def _check_alive(self) -> None:
        if self._destroyed:
            raise InvalidHandle(f"cannot use a {type(self).__name__} that was destroyed")

    @property
    def handle(self) -> Entity:
        """The entity itself: there is no C object below it."""
        return self
