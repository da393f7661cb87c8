"""The six services by which other nodes read and change a node's parameters."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from ..interfaces import get_message, get_service
from .parameter import Parameter
from .parameter_exceptions import ParameterNotDeclaredException, ParameterUninitializedException
from .parameter_setting import make_result
from .qos import qos_profile_parameters

if TYPE_CHECKING:
    from .node import Node

# Requests and responses are made at run time, so there is no static type for them.
Message = Any


class ParameterService:
    """``~/get_parameters``, ``set_parameters`` and so on, kept by the node they belong to."""

    def __init__(self, node: Node) -> None:
        self._node_weak_ref = weakref.ref(node)
        for service, callback in (
            ("DescribeParameters", self._describe),
            ("GetParameters", self._get),
            ("GetParameterTypes", self._get_types),
            ("ListParameters", self._list),
            ("SetParameters", self._set),
            ("SetParametersAtomically", self._set_atomically),
        ):
            node.create_service(
                get_service(f"rcl_interfaces/srv/{service}"),
                f"{node.get_name()}/{_snake_case(service)}",
                callback,
                qos_profile=qos_profile_parameters,
            )

    @property
    def _node(self) -> Node:
        node = self._node_weak_ref()
        if node is None:
            raise ReferenceError("Expected valid node weak reference")
        return node

    def _describe(self, request: Message, response: Message) -> Message:
        # One unknown name empties the whole answer; that is how ROS 2 says "not found".
        try:
            response.descriptors = self._node.describe_parameters(list(request.names))
        except ParameterNotDeclaredException:
            response.descriptors = []
        return response

    def _get(self, request: Message, response: Message) -> Message:
        try:
            response.values = [
                parameter.get_parameter_value()
                for parameter in self._node.get_parameters(list(request.names))
            ]
        except (ParameterNotDeclaredException, ParameterUninitializedException):
            response.values = []
        return response

    def _get_types(self, request: Message, response: Message) -> Message:
        try:
            types = self._node.get_parameter_types(list(request.names))
            response.types = bytes(int(one) for one in types)
        except ParameterNotDeclaredException:
            response.types = b""
        return response

    def _list(self, request: Message, response: Message) -> Message:
        try:
            response.result = self._node.list_parameters(
                list(request.prefixes), int(request.depth)
            )
        except (TypeError, ValueError):
            response.result = get_message("rcl_interfaces/msg/ListParametersResult")()
        return response

    def _set(self, request: Message, response: Message) -> Message:
        response.results = [self._try([one]) for one in request.parameters]
        return response

    def _set_atomically(self, request: Message, response: Message) -> Message:
        response.result = self._try(list(request.parameters))
        return response

    def _try(self, messages: list[Message]) -> Message:
        try:
            parameters = [Parameter.from_parameter_msg(one) for one in messages]
            return self._node.set_parameters_atomically(parameters)
        except (ParameterNotDeclaredException, RuntimeError) as error:
            return make_result(str(error))


def _snake_case(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")
