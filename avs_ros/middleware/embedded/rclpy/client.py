"""Asking services."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

from cyclonedds.core import DDSStatus

from .. import cdr, dds
from .callback_groups import CallbackGroup
from .context import Context
from .endpoint import EndpointHandle
from .exceptions import needs_ros
from .logging import get_logger
from .qos import QoSProfile
from .service import REQUEST_ID, read_request_id
from .task import Future
from .waitable import Entity

_PATIENCE_S = 0.25
"""Longest sleep between two looks for a server; matches wake it at once."""

_sequence = itertools.count(1)


class Client(Entity):
    """Sends requests to a service; made by ``Node.create_client``."""

    def __init__(
        self,
        context: Context,
        request_writer: EndpointHandle,
        reply_reader: EndpointHandle,
        srv_type: Any,
        srv_name: str,
        qos_profile: QoSProfile,
        callback_group: CallbackGroup,
    ) -> None:
        super().__init__(callback_group)
        self.context = context
        self.srv_type = srv_type
        self.srv_name = srv_name
        self._resolved_name = srv_name
        self.qos_profile = qos_profile
        self._writer = request_writer
        self._reader = reply_reader
        self._number = dds.instance_handle(request_writer.entity)
        self._lock = threading.Lock()
        self._pending_requests: dict[int, Future] = {}
        self._data_waits = False
        self._matched = threading.Condition()
        reply_reader.add_listener(DDSStatus.DataAvailable, self._on_data)
        reply_reader.add_listener(DDSStatus.SubscriptionMatched, self._on_match)
        request_writer.add_listener(DDSStatus.PublicationMatched, self._on_match)

    def _on_data(self) -> None:
        self._data_waits = True
        self._wake()

    def _on_match(self) -> None:
        with self._matched:
            self._matched.notify_all()

    def _is_ready(self) -> bool:
        return self._data_waits

    def _take(self) -> Callable[[], Any] | None:
        while True:
            self._data_waits = False
            taken = self._reader.take()
            if taken is None:
                return None
            self._data_waits = True
            try:
                number, sequence = read_request_id(taken.data)
                if number != self._number:
                    continue  # every client of a service sees every reply
                response = cdr.deserialize(taken.data, self.srv_type.Response, REQUEST_ID.size)
            except cdr.CdrError as error:
                get_logger(self._reader.logger_name).error(
                    f"malformed reply of '{self._resolved_name}' left out: {error}"
                )
                continue
            with self._lock:
                future = self._pending_requests.get(sequence)
            if future is not None:
                found = future
                return lambda: found.set_result(response)

    def call(self, request: Any, timeout_sec: float | None = None) -> Any:
        """Ask and wait for the answer; ``None`` after ``timeout_sec``.

        Not for callbacks: the executor must be free to receive the answer.
        """
        event = threading.Event()
        future = self.call_async(request)
        future.add_done_callback(lambda _: event.set())
        if not event.wait(timeout_sec):
            self.remove_pending_request(future)
        return future.result()

    def call_async(self, request: Any) -> Future:
        """Ask; the future gets the answer.  Raises ``TypeError`` for what is no request."""
        if not isinstance(request, self.srv_type.Request):
            raise TypeError(
                f"service '{self._resolved_name}' takes {self.srv_type.Request}, "
                f"got {type(request)}"
            )
        sequence = next(_sequence)
        data = cdr.serialize(request, REQUEST_ID.pack(self._number, sequence))
        future = Future()
        with self._lock:
            self._pending_requests[sequence] = future
        future.add_done_callback(self.remove_pending_request)
        try:
            self._writer.write(data)
        except Exception:
            self.remove_pending_request(future)
            raise
        return future

    def get_pending_request(self, sequence_number: int) -> Future:
        """Give the future of a request; raises ``KeyError`` if there is none."""
        with self._lock:
            return self._pending_requests[sequence_number]

    def remove_pending_request(self, future: Future) -> None:
        """Forget a request: its future stays as it is when an answer comes."""
        with self._lock:
            for sequence, pending in self._pending_requests.items():
                if pending is future:
                    del self._pending_requests[sequence]
                    return

    def service_is_ready(self) -> bool:
        """Whether a server is there that hears us and that we hear."""
        self._writer.check()
        servers = self._writer.peer_marks("serviceid")
        if servers:
            return bool(servers & self._reader.peer_marks("serviceid"))
        return self._writer.matched_count > 0 and self._reader.matched_count > 0

    def wait_for_service(self, timeout_sec: float | None = None) -> bool:
        """Wait until ``service_is_ready``; ``False`` after ``timeout_sec`` or at shutdown."""
        deadline = None if timeout_sec is None else time.monotonic() + timeout_sec
        with self._matched:
            while self.context.ok():
                if self.service_is_ready():
                    return True
                left = _PATIENCE_S if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    return False
                self._matched.wait(min(left, _PATIENCE_S))
        return False

    @property
    def service_name(self) -> str:
        """The service's absolute name after remapping."""
        return self._resolved_name

    def configure_introspection(self, *arguments: Any) -> None:
        """Refuse: service introspection needs ROS 2."""
        raise needs_ros("Service introspection")

    def _handles(self) -> list[EndpointHandle]:
        return [self._writer, self._reader]

    def destroy(self) -> None:
        """End it; use ``Node.destroy_client``."""
        self._destroyed = True
        self._data_waits = False
        self._writer.destroy()
        self._reader.destroy()
