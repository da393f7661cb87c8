"""What a node has: keeping, finding and ending it; timers, guards and rates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..discovery import Graph
from .callback_groups import (
    CallbackGroup,
    MutuallyExclusiveCallbackGroup,
    ReentrantCallbackGroup,
)
from .client import Client
from .clock import Clock, ROSClock
from .constants import S_TO_NS
from .context import Context
from .exceptions import needs_ros
from .guard_condition import GuardCondition
from .logging import RcutilsLogger
from .publisher import Publisher
from .service import Service
from .subscription import Subscription
from .timer import Rate, Timer
from .waitable import Entity


class EntityListsMixin:
    """The entities of one node."""

    _context: Context
    _clock: ROSClock
    _logger: RcutilsLogger
    _graph_key: int

    def _init_entities(self) -> None:
        self._publishers: list[Publisher] = []
        self._subscriptions: list[Subscription] = []
        self._clients: list[Client] = []
        self._services: list[Service] = []
        self._timers: list[Timer] = []
        self._guards: list[GuardCondition] = []
        self._events: list[Entity] = []
        self._default_callback_group = MutuallyExclusiveCallbackGroup()
        self._rate_group = ReentrantCallbackGroup()

    @property
    def _graph(self) -> Graph:
        return self._context.graph

    @property
    def default_callback_group(self) -> CallbackGroup:
        """The group of every callback that names no other (one at a time)."""
        return self._default_callback_group

    def _wake_executor(self) -> None:
        raise NotImplementedError

    @property
    def publishers(self) -> Iterator[Publisher]:
        """The publishers of this node."""
        yield from list(self._publishers)

    @property
    def subscriptions(self) -> Iterator[Subscription]:
        """The subscriptions of this node."""
        yield from list(self._subscriptions)

    @property
    def clients(self) -> Iterator[Client]:
        """The service clients of this node."""
        yield from list(self._clients)

    @property
    def services(self) -> Iterator[Service]:
        """The service servers of this node."""
        yield from list(self._services)

    @property
    def timers(self) -> Iterator[Timer]:
        """The timers of this node."""
        yield from list(self._timers)

    @property
    def guards(self) -> Iterator[GuardCondition]:
        """The guard conditions of this node."""
        yield from list(self._guards)

    def _entities(self) -> list[Entity]:
        return [
            *self._timers, *self._subscriptions, *self._guards, *self._events, *self._clients,
            *self._services,
        ]

    def create_timer(
        self,
        timer_period_sec: float,
        callback: Callable[[], Any] | None,
        callback_group: CallbackGroup | None = None,
        clock: Clock | None = None,
        autostart: bool = True,
    ) -> Timer:
        """Call back every ``timer_period_sec`` seconds of ``clock`` (default: the node's)."""
        timer = Timer(
            callback, callback_group or self.default_callback_group,
            int(float(timer_period_sec) * S_TO_NS), self._clock if clock is None else clock,
            context=self._context, autostart=autostart,
        )
        self._adopt([timer], self._timers)
        return timer

    def create_guard_condition(
        self, callback: Callable[[], Any], callback_group: CallbackGroup | None = None
    ) -> GuardCondition:
        """Call back after ``trigger`` was called from any thread."""
        guard = GuardCondition(
            callback, callback_group or self.default_callback_group, context=self._context
        )
        self._adopt([guard], self._guards)
        return guard

    def create_rate(self, frequency: float, clock: Clock | None = None) -> Rate:
        """Make something to sleep on at ``frequency`` Hz; raises ``ValueError`` unless > 0."""
        if frequency <= 0:
            raise ValueError("frequency must be > 0")
        timer = self.create_timer(1.0 / frequency, None, self._rate_group, clock)
        return Rate(timer, context=self._context)

    def add_waitable(self, waitable: Any) -> None:
        """Refuse: custom waitables need ROS 2."""
        raise needs_ros("A custom waitable")

    def remove_waitable(self, waitable: Any) -> None:
        """Refuse: custom waitables need ROS 2."""
        raise needs_ros("A custom waitable")

    def _adopt(self, entities: Sequence[Entity], home: list[Any]) -> None:
        for entity in entities:
            if not entity.callback_group.has_entity(entity):
                entity.callback_group.add_entity(entity)
            entity._wake = self._wake_executor
            home.append(entity)
        self._wake_executor()

    def destroy_publisher(self, publisher: Publisher) -> bool:
        """End a publisher of this node; ``False`` if it is none."""
        return self._destroy(publisher, self._publishers)

    def destroy_subscription(self, subscription: Subscription) -> bool:
        """End a subscription of this node; ``False`` if it is none."""
        return self._destroy(subscription, self._subscriptions)

    def destroy_client(self, client: Client) -> bool:
        """End a client of this node; ``False`` if it is none."""
        return self._destroy(client, self._clients)

    def destroy_service(self, service: Service) -> bool:
        """End a service of this node; ``False`` if it is none."""
        return self._destroy(service, self._services)

    def destroy_timer(self, timer: Timer) -> bool:
        """End a timer of this node; ``False`` if it is none."""
        return self._destroy(timer, self._timers)

    def destroy_guard_condition(self, guard: GuardCondition) -> bool:
        """End a guard condition of this node; ``False`` if it is none."""
        return self._destroy(guard, self._guards)

    def destroy_rate(self, rate: Rate) -> bool:
        """End a rate of this node; ``False`` if it is none."""
        done = self.destroy_timer(rate._timer)
        rate.destroy()
        return done

    def _destroy(self, entity: Any, home: list[Any]) -> bool:
        if entity not in home:
            return False
        home.remove(entity)
        for handler in getattr(entity, "event_handlers", ()):
            self._events.remove(handler)
        handles = entity._handles()
        entity.destroy()
        if handles and self._context.ok():
            self._graph.remove_endpoints(self._graph_key, [handle.gid for handle in handles])
        self._wake_executor()
        return True

    def _destroy_entities(self) -> None:
        homes: list[list[Any]] = [
            self._timers, self._guards, self._services, self._clients, self._subscriptions,
            self._publishers,
        ]
        for home in homes:
            for entity in list(home):
                self._destroy(entity, home)
