"""Answering requests."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cyclonedds.core import DDSStatus

from .. import cdr
from .callback_groups import CallbackGroup
from .endpoint import EndpointHandle
from .exceptions import needs_ros
from .logging import get_logger
from .qos import QoSProfile
from .waitable import Entity

REQUEST_ID = struct.Struct("<Qq")
"""What rmw_cyclonedds puts before each sample: client's number, number of the request."""

_READER_PATIENCE_S = 0.1
_POLL_S = 0.01


@dataclass(frozen=True)
class RequestHeader:
    """Who asked, and which of its requests this is; ``writer`` is who sent it, as DDS knows it."""

    client: int
    sequence_number: int
    source_timestamp: int
    writer: int


class Service(Entity):
    """Calls back with each request and sends what the callback returns."""

    def __init__(
        self,
        request_reader: EndpointHandle,
        reply_writer: EndpointHandle,
        srv_type: Any,
        srv_name: str,
        callback: Callable[[Any, Any], Any],
        callback_group: CallbackGroup,
        qos_profile: QoSProfile,
    ) -> None:
        super().__init__(callback_group)
        self._reader = request_reader
        self._writer = reply_writer
        self.srv_type = srv_type
        self.srv_name = srv_name
        self._resolved_name = srv_name
        self.callback = callback
        self.qos_profile = qos_profile
        self._data_waits = False
        request_reader.add_listener(DDSStatus.DataAvailable, self._on_data)

    def _on_data(self) -> None:
        self._data_waits = True
        self._wake()

    def _is_ready(self) -> bool:
        return self._data_waits

    def _take(self) -> Callable[[], Any] | None:
        self._data_waits = False
        taken = self._reader.take()
        if taken is None:
            return None
        self._data_waits = True
        try:
            client, sequence = read_request_id(taken.data)
            request = cdr.deserialize(taken.data, self.srv_type.Request, REQUEST_ID.size)
        except cdr.CdrError as error:
            get_logger(self._reader.logger_name).error(
                f"malformed request to '{self._resolved_name}' left out: {error}"
            )
            return None
        header = RequestHeader(client, sequence, taken.stamp_ns, taken.writer)
        return lambda: self._answer(request, header)

    async def _answer(self, request: Any, header: RequestHeader) -> None:
        response = self.callback(request, self.srv_type.Response())
        if hasattr(response, "__await__"):
            response = await response
        self.send_response(response, header)

    def send_response(self, response: Any, header: RequestHeader) -> None:
        """Send an answer; raises ``TypeError`` for what is no response of this service."""
        if not isinstance(response, self.srv_type.Response):
            raise TypeError(
                f"service '{self._resolved_name}' must return its Response, got {response!r}"
            )
        data = cdr.serialize(response, REQUEST_ID.pack(header.client, header.sequence_number))
        self._await_reader(header)
        self._writer.write(data)

    def _await_reader(self, header: RequestHeader) -> None:
        # A fast client's request can arrive before DDS has matched the reader of its reply.
        asker = self._reader.peer_mark(header.writer, "clientid")
        if asker is None:
            return
        deadline = time.monotonic() + _READER_PATIENCE_S
        while asker not in self._writer.peer_marks("clientid"):
            if time.monotonic() >= deadline:
                return
            time.sleep(_POLL_S)

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
        """End it; use ``Node.destroy_service``."""
        self._destroyed = True
        self._data_waits = False
        self._reader.destroy()
        self._writer.destroy()


def read_request_id(data: bytes) -> tuple[int, int]:
    """Give the client's number and that of the request; raises ``cdr.CdrError`` if too short."""
    if len(data) < cdr.HEADER + REQUEST_ID.size:
        raise cdr.CdrError(f"service sample of {len(data)} bytes has no request id")
    order = REQUEST_ID if data[1] & 1 else struct.Struct(">Qq")
    client, sequence = order.unpack_from(data, cdr.HEADER)
    return client, sequence
