"""Which callbacks may run at the same time."""

from __future__ import annotations

import weakref
from threading import Lock
from typing import Any


class CallbackGroup:
    """Base: the executor asks it before and tells it after each callback."""

    def __init__(self) -> None:
        self.entities: set[weakref.ref[Any]] = set()

    def add_entity(self, entity: Any) -> None:
        """Make ``entity`` (subscription, timer, ...) a member."""
        self.entities = {reference for reference in self.entities if reference() is not None}
        self.entities.add(weakref.ref(entity))

    def has_entity(self, entity: Any) -> bool:
        """Whether ``entity`` is a member."""
        return weakref.ref(entity) in self.entities

    def can_execute(self, entity: Any) -> bool:
        """Whether a callback of ``entity`` may start now."""
        raise NotImplementedError

    def beginning_execution(self, entity: Any) -> bool:
        """Ask to start; ``True`` must be followed by ``ending_execution``."""
        raise NotImplementedError

    def ending_execution(self, entity: Any) -> None:
        """Say that the callback is over."""
        raise NotImplementedError


class ReentrantCallbackGroup(CallbackGroup):
    """All callbacks may run side by side."""

    def can_execute(self, entity: Any) -> bool:
        """Give ``True``."""
        return True

    def beginning_execution(self, entity: Any) -> bool:
        """Give ``True``."""
        return True

    def ending_execution(self, entity: Any) -> None:
        """Do nothing."""


class MutuallyExclusiveCallbackGroup(CallbackGroup):
    """One callback at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._active_entity: Any = None
        self._lock = Lock()

    def can_execute(self, entity: Any) -> bool:
        """Whether none of the group runs."""
        with self._lock:
            return self._active_entity is None

    def beginning_execution(self, entity: Any) -> bool:
        """Take the group if it is free."""
        with self._lock:
            if self._active_entity is None:
                self._active_entity = entity
                return True
        return False

    def ending_execution(self, entity: Any) -> None:
        """Free the group."""
        with self._lock:
            if self._active_entity is entity:
                self._active_entity = None
