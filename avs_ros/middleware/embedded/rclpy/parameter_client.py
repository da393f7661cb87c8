"""Reading and changing the parameters of another node."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..interfaces import get_service
from .callback_groups import CallbackGroup
from .parameter import Parameter, parameter_dict_from_yaml_file
from .qos import QoSProfile, qos_profile_services_default
from .task import Future

if TYPE_CHECKING:
    from .node import Node

# Gets the future when the answer is there.
Done = Callable[[Future], None]
_KINDS = {
    "list_parameters": "ListParameters",
    "get_parameters": "GetParameters",
    "set_parameters": "SetParameters",
    "describe_parameters": "DescribeParameters",
    "get_parameter_types": "GetParameterTypes",
    "set_parameters_atomically": "SetParametersAtomically",
}


class AsyncParameterClient:
    """The parameter services of ``remote_node_name``; each call gives the response's future."""

    def __init__(
        self,
        node: Node,
        remote_node_name: str,
        qos_profile: QoSProfile = qos_profile_services_default,
        callback_group: CallbackGroup | None = None,
    ) -> None:
        """Make the six clients on ``node``."""
        self.remote_node_name = remote_node_name
        self._clients = {
            name: node.create_client(
                get_service(f"rcl_interfaces/srv/{kind}"),
                f"{remote_node_name}/{name}",
                qos_profile=qos_profile,
                callback_group=callback_group,
            )
            for name, kind in _KINDS.items()
        }

    def services_are_ready(self) -> bool:
        """Say whether the other node answers now."""
        return all(client.service_is_ready() for client in self._clients.values())

    def wait_for_services(self, timeout_sec: float | None = None) -> bool:
        """Wait until the other node answers; ``False`` after ``timeout_sec`` seconds in vain."""
        deadline = None if timeout_sec is None else time.monotonic() + timeout_sec
        for client in self._clients.values():
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not client.wait_for_service(timeout_sec=left):
                return False
        return True

    def _ask(self, name: str, callback: Done | None, **fields: Any) -> Future:
        client = self._clients[name]
        future = client.call_async(client.srv_type.Request(**fields))
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def list_parameters(
        self,
        prefixes: Sequence[str] | None = None,
        depth: int | None = None,
        callback: Done | None = None,
    ) -> Future:
        """Ask for names (``rcl_interfaces/srv/ListParameters``)."""
        return self._ask(
            "list_parameters", callback, prefixes=list(prefixes or ()), depth=depth or 0
        )

    def get_parameters(self, names: Sequence[str], callback: Done | None = None) -> Future:
        """Ask for values (``rcl_interfaces/srv/GetParameters``)."""
        return self._ask("get_parameters", callback, names=list(names))

    def describe_parameters(self, names: Sequence[str], callback: Done | None = None) -> Future:
        """Ask for descriptors (``rcl_interfaces/srv/DescribeParameters``)."""
        return self._ask("describe_parameters", callback, names=list(names))

    def get_parameter_types(self, names: Sequence[str], callback: Done | None = None) -> Future:
        """Ask for types (``rcl_interfaces/srv/GetParameterTypes``)."""
        return self._ask("get_parameter_types", callback, names=list(names))

    def set_parameters(self, parameters: Sequence[Any], callback: Done | None = None) -> Future:
        """Set each ``Parameter`` (or its message) by itself."""
        return self._ask("set_parameters", callback, parameters=_messages(parameters))

    def set_parameters_atomically(
        self, parameters: Sequence[Any], callback: Done | None = None
    ) -> Future:
        """Set all of them or none."""
        return self._ask("set_parameters_atomically", callback, parameters=_messages(parameters))

    def delete_parameters(self, names: Sequence[str], callback: Done | None = None) -> Future:
        """Take the values away, which undeclares dynamically typed parameters."""
        nothing = [Parameter(name, Parameter.Type.NOT_SET) for name in names]
        return self.set_parameters(nothing, callback)

    def load_parameter_file(
        self, parameter_file: str, use_wildcard: bool = False, callback: Done | None = None
    ) -> Future:
        """Set what a file holds for this node; raises ``RuntimeError`` when that is nothing."""
        loaded = parameter_dict_from_yaml_file(
            parameter_file, use_wildcard, target_nodes=[self.remote_node_name]
        )
        return self.set_parameters(list(loaded.values()), callback)


def _messages(parameters: Sequence[Any]) -> list[Any]:
    return [
        one.to_parameter_msg() if isinstance(one, Parameter) else one for one in parameters
    ]
