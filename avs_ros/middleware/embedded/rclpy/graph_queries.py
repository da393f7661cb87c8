"""The questions a node can ask about the graph."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .. import wire_names
from ..discovery import Endpoint, Graph, NodeName
from .dds_qos import from_dds
from .exceptions import RCLError
from .names import expand_topic_name, validate_full_topic_name
from .topic_endpoint_info import TopicEndpointInfo, TopicEndpointTypeEnum
from .type_hash import TypeHash

if TYPE_CHECKING:
    from .context import Context

NamesAndTypes = list[tuple[str, list[str]]]

_NODE_UNKNOWN = "_NODE_NAME_UNKNOWN_"
_BARE_DDS = "_CREATED_BY_BARE_DDS_APP_"
_WAIT_STEP_S = 0.25


class NodeNameNonExistentError(RCLError):
    """There is no node of that name."""


def _collect(pairs: Iterable[tuple[str, str]]) -> NamesAndTypes:
    found: dict[str, set[str]] = defaultdict(set)
    for name, type_name in pairs:
        found[name].add(type_name)
    return [(name, sorted(types)) for name, types in sorted(found.items())]


def _topics(endpoints: Iterable[Endpoint], no_demangle: bool) -> NamesAndTypes:
    pairs = []
    for one in endpoints:
        if no_demangle:
            pairs.append((one.topic, one.type_name))
            continue
        name = wire_names.ros_topic(one.topic)
        if name is not None:
            pairs.append((name, wire_names.ros_type(one.type_name)))
    return _collect(pairs)


def _services(endpoints: Iterable[Endpoint], servers: bool | None) -> NamesAndTypes:
    pairs = []
    for one in endpoints:
        service = wire_names.ros_service(one.topic)
        if service is None:
            continue
        name, is_request = service
        # A server reads requests; a client writes them.
        if servers is None or (is_request and servers != one.is_writer):
            pairs.append((name, wire_names.ros_service_type(one.type_name)))
    return _collect(pairs)


class GraphQueriesMixin:
    """Nodes, topics, services and endpoints in the domain, as far as discovered."""

    _context: Context

    def get_name(self) -> str:
        """Give the node's name."""
        raise NotImplementedError

    def get_namespace(self) -> str:
        """Give the node's namespace."""
        raise NotImplementedError

    def resolve_topic_name(self, topic: str, *, only_expand: bool = False) -> str:
        """Give the absolute name of a topic."""
        raise NotImplementedError

    @property
    def _graph(self) -> Graph:
        return self._context.graph

    def _full_name(self, name: str, is_service: bool = False) -> str:
        full = expand_topic_name(name, self.get_name(), self.get_namespace())
        validate_full_topic_name(full, is_service=is_service)
        return full

    def get_topic_names_and_types(self, no_demangle: bool = False) -> NamesAndTypes:
        """Give every topic with its types; ``no_demangle``: as DDS sees them."""
        return _topics(self._graph.endpoints(), no_demangle)

    def get_service_names_and_types(self) -> NamesAndTypes:
        """Give every service with its types."""
        return _services(self._graph.endpoints(), None)

    def _endpoints_of(self, node_name: str, node_namespace: str) -> list[Endpoint]:
        gids = self._graph.gids_of(NodeName(node_namespace, node_name))
        if gids is None:
            raise NodeNameNonExistentError(
                f"cannot find node '{node_name}' in namespace '{node_namespace}'"
            )
        return [one for one in self._graph.endpoints() if one.gid in gids]

    def get_publisher_names_and_types_by_node(
        self, node_name: str, node_namespace: str, no_demangle: bool = False
    ) -> NamesAndTypes:
        """Give what a node publishes; raises ``NodeNameNonExistentError``."""
        endpoints = self._endpoints_of(node_name, node_namespace)
        return _topics((one for one in endpoints if one.is_writer), no_demangle)

    def get_subscriber_names_and_types_by_node(
        self, node_name: str, node_namespace: str, no_demangle: bool = False
    ) -> NamesAndTypes:
        """Give what a node subscribes to; raises ``NodeNameNonExistentError``."""
        endpoints = self._endpoints_of(node_name, node_namespace)
        return _topics((one for one in endpoints if not one.is_writer), no_demangle)

    def get_service_names_and_types_by_node(
        self, node_name: str, node_namespace: str
    ) -> NamesAndTypes:
        """Give the services a node offers; raises ``NodeNameNonExistentError``."""
        return _services(self._endpoints_of(node_name, node_namespace), True)

    def get_client_names_and_types_by_node(
        self, node_name: str, node_namespace: str
    ) -> NamesAndTypes:
        """Give the services a node asks; raises ``NodeNameNonExistentError``."""
        return _services(self._endpoints_of(node_name, node_namespace), False)

    def get_node_names(self) -> list[str]:
        """Give the name of every node."""
        return [name.name for name, _ in self._graph.nodes()]

    def get_node_names_and_namespaces(self) -> list[tuple[str, str]]:
        """Give name and namespace of every node."""
        return [(name.name, name.namespace) for name, _ in self._graph.nodes()]

    def get_node_names_and_namespaces_with_enclaves(self) -> list[tuple[str, str, str]]:
        """Give name, namespace and enclave of every node."""
        return [(name.name, name.namespace, enclave) for name, enclave in self._graph.nodes()]

    def get_fully_qualified_node_names(self) -> list[str]:
        """Give the absolute name of every node."""
        return [
            f"{namespace.rstrip('/')}/{name}"
            for name, namespace in self.get_node_names_and_namespaces()
        ]

    def wait_for_node(self, fully_qualified_node_name: str, timeout: float) -> bool:
        """Wait until there is a node of that absolute name; ``False`` after ``timeout`` s."""
        graph = self._graph
        deadline = time.monotonic() + timeout
        with graph.changed:
            while self._context.ok():
                if fully_qualified_node_name in self.get_fully_qualified_node_names():
                    return True
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                graph.changed.wait(min(left, _WAIT_STEP_S))
        return False

    def _count(self, dds_topic: str, writers: bool) -> int:
        return sum(
            one.topic == dds_topic and one.is_writer == writers
            for one in self._graph.endpoints()
        )

    def count_publishers(self, topic_name: str) -> int:
        """Give the number of publishers of a topic (relative and private names are expanded)."""
        return self._count(wire_names.topic_name(self._full_name(topic_name)), True)

    def count_subscribers(self, topic_name: str) -> int:
        """Give the number of subscriptions of a topic."""
        return self._count(wire_names.topic_name(self._full_name(topic_name)), False)

    def count_clients(self, service_name: str) -> int:
        """Give the number of clients of a service."""
        return self._count(wire_names.request_name(self._full_name(service_name, True)), True)

    def count_services(self, service_name: str) -> int:
        """Give the number of servers of a service."""
        return self._count(wire_names.request_name(self._full_name(service_name, True)), False)

    def get_publishers_info_by_topic(
        self, topic_name: str, no_mangle: bool = False
    ) -> list[TopicEndpointInfo]:
        """Describe every publisher of a topic; ``no_mangle``: its DDS name is given."""
        return self._infos(topic_name, no_mangle, lambda one: one.is_writer)

    def get_subscriptions_info_by_topic(
        self, topic_name: str, no_mangle: bool = False
    ) -> list[TopicEndpointInfo]:
        """Describe every subscription of a topic; ``no_mangle``: its DDS name is given."""
        return self._infos(topic_name, no_mangle, lambda one: not one.is_writer)

    def _infos(
        self, topic_name: str, no_mangle: bool, wanted: Callable[[Endpoint], bool]
    ) -> list[TopicEndpointInfo]:
        dds_topic = topic_name
        if not no_mangle:
            dds_topic = wire_names.topic_name(self.resolve_topic_name(topic_name))
        return [
            self._info(one)
            for one in self._graph.endpoints()
            if one.topic == dds_topic and wanted(one)
        ]

    def _info(self, one: Endpoint) -> TopicEndpointInfo:
        node = self._graph.node_of(one.gid)
        if node is None:
            unknown = _NODE_UNKNOWN if "typehash" in one.user_data else _BARE_DDS
            node = NodeName(unknown.replace("NAME", "NAMESPACE"), unknown)
        kinds = TopicEndpointTypeEnum
        return TopicEndpointInfo(
            node_name=node.name,
            node_namespace=node.namespace,
            topic_type=wire_names.ros_type(one.type_name),
            topic_type_hash=TypeHash.parse(one.user_data.get("typehash", "")),
            endpoint_type=kinds.PUBLISHER if one.is_writer else kinds.SUBSCRIPTION,
            endpoint_gid=list(one.gid),
            qos_profile=from_dds(one.qos),
        )
