"""A publisher that is silent unless its node is active."""

from __future__ import annotations

from typing import Any

from ..publisher import Publisher
from .managed_entity import SimpleManagedEntity


class LifecyclePublisher(SimpleManagedEntity, Publisher):
    """``Publisher`` of a managed node: what is published while not active is dropped."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what ``Publisher`` takes."""
        SimpleManagedEntity.__init__(self)
        Publisher.__init__(self, *args, **kwargs)

    @SimpleManagedEntity.when_enabled
    def publish(self, msg: Any) -> None:
        """Publish, or drop ``msg`` while the node is not active."""
        Publisher.publish(self, msg)
