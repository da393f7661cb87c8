"""The graph: which nodes, readers and writers there are, ours and other processes'.

Nodes are announced as ROS 2 does, on the topic ``ros_discovery_info``; readers and writers come
from DDS's own discovery.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cyclonedds.core import DDSException, DDSStatus, Policy, Qos

from . import cdr, dds, wire_names
from .dds_entities import DdsEntities, Endpoint
from .interfaces import get_message
from .participant import Participant

_log = logging.getLogger(__name__)

DISCOVERY_TOPIC = "ros_discovery_info"
_BATCH = 64


class NodeName(NamedTuple):
    """A node's namespace (absolute) and name."""

    namespace: str
    name: str


@dataclass
class _LocalNode:
    name: NodeName
    readers: list[bytes] = field(default_factory=list)
    writers: list[bytes] = field(default_factory=list)


def discovery_qos(is_writer: bool, type_hash: str) -> Qos:
    """Give the QoS of ``ros_discovery_info``: reliable, the newest sample kept for latecomers."""
    policies: list[Any] = [
        Policy.Reliability.Reliable(2**63 - 1),
        Policy.Durability.TransientLocal,
        Policy.DataRepresentation(use_cdrv0_representation=True),
        Policy.Userdata(wire_names.user_data(typehash=type_hash)),
    ]
    if is_writer:
        policies += [
            Policy.History.KeepLast(1),
            Policy.DurabilityService(0, Policy.History.KeepLast(1), -1, -1, -1),
            Policy.WriterDataLifecycle(autodispose=False),
        ]
    else:
        # One sample per process, all on one keyless topic: keeping the last would lose some.
        policies += [Policy.History.KeepAll, Policy.IgnoreLocal.Participant]
    return Qos(*policies)


class Graph:
    """Announces this process's nodes and knows everyone else's."""

    def __init__(self, participant: Participant, enclave: str = "/") -> None:
        self._participant = participant
        self._enclave = enclave
        self._lock = threading.RLock()
        self.changed = threading.Condition(self._lock)
        self._local: dict[int, _LocalNode] = {}
        self._next_key = 0
        self._remote: dict[bytes, list[_LocalNode]] = {}
        self._info = get_message("rmw_dds_common/msg/ParticipantEntitiesInfo")
        type_hash = self._info.store.type_hash(self._info.schema.name)
        self._writer = participant.create_writer(
            DISCOVERY_TOPIC, self._info, discovery_qos(True, type_hash)
        )
        self._reader = participant.create_reader(
            DISCOVERY_TOPIC, self._info, discovery_qos(False, type_hash)
        )
        participant.watcher.watch(
            self._reader, DDSStatus.DataAvailable, lambda _: self._take_nodes()
        )
        self._entities = DdsEntities(
            participant, self._lock, self.changed.notify_all,
            lambda gid: self._remote.pop(gid, None),
        )

    # --- announcing ------------------------------------------------------------------------------

    def add_node(self, name: NodeName) -> int:
        """Announce a node; the key that is returned names it in the other calls."""
        with self._lock:
            self._next_key += 1
            self._local[self._next_key] = _LocalNode(name)
            self._announce()
            return self._next_key

    def remove_node(self, key: int) -> None:
        """Take a node back; its endpoints are no longer announced as its own."""
        with self._lock:
            if self._local.pop(key, None) is not None:
                self._announce()

    def add_endpoints(self, key: int, readers: list[bytes], writers: list[bytes]) -> None:
        """Announce endpoints (their 16-byte ids) as belonging to a node."""
        with self._lock:
            node = self._local.get(key)
            if node is not None:
                node.readers += readers
                node.writers += writers
                self._announce()

    def remove_endpoints(self, key: int, gids: list[bytes]) -> None:
        """Take endpoints back."""
        with self._lock:
            node = self._local.get(key)
            if node is not None:
                node.readers = [gid for gid in node.readers if gid not in gids]
                node.writers = [gid for gid in node.writers if gid not in gids]
                self._announce()

    def _announce(self) -> None:
        if self._participant.closed:
            return
        gid_class = self._info.nested["rmw_dds_common/msg/NodeEntitiesInfo"].nested[
            "rmw_dds_common/msg/Gid"
        ]
        node_class = self._info.nested["rmw_dds_common/msg/NodeEntitiesInfo"]

        def gid(octets: bytes) -> Any:
            return gid_class(data=list(octets))

        message = self._info(
            gid=gid(self._participant.gid),
            node_entities_info_seq=[
                node_class(
                    node_namespace=node.name.namespace,
                    node_name=node.name.name,
                    reader_gid_seq=[gid(octets) for octets in node.readers],
                    writer_gid_seq=[gid(octets) for octets in node.writers],
                )
                for node in self._local.values()
            ],
        )
        try:
            dds.write(self._writer, cdr.serialize(message))
        except DDSException as error:
            _log.warning("announcing the nodes of this process failed: %s", error)
        self.changed.notify_all()

    def close(self) -> None:
        """Tell the others that this process's nodes are gone."""
        with self._lock:
            self._local.clear()
            self._announce()

    # --- learning --------------------------------------------------------------------------------

    def _take_nodes(self) -> None:
        for taken in dds.take(self._reader, _BATCH):
            if not taken.valid:
                continue
            try:
                message: Any = cdr.deserialize(taken.data, self._info)
            except cdr.CdrError as error:
                # Humble's ids are 24 bytes long; nodes of such processes stay nameless.
                _log.debug("node announcement of another kind: %s", error)
                continue
            nodes = [
                _LocalNode(
                    NodeName(node.node_namespace, node.node_name),
                    [bytes(gid.data) for gid in node.reader_gid_seq],
                    [bytes(gid.data) for gid in node.writer_gid_seq],
                )
                for node in message.node_entities_info_seq
            ]
            with self._lock:
                self._remote[bytes(message.gid.data)] = nodes
                self.changed.notify_all()

    # --- answering -------------------------------------------------------------------------------

    def endpoints(self) -> list[Endpoint]:
        """Give every reader and writer that is known now."""
        return self._entities.endpoints()

    def nodes(self) -> list[tuple[NodeName, str]]:
        """Give every node with its enclave."""
        with self._lock:
            found = [(node.name, self._enclave) for node in self._local.values()]
            for gid, nodes in self._remote.items():
                enclave = self._entities.enclave(gid)
                found += [(node.name, enclave) for node in nodes]
            return found

    def node_of(self, gid: bytes) -> NodeName | None:
        """Give the node a reader or writer belongs to, if its process has said so."""
        with self._lock:
            for node in self._all_nodes():
                if gid in node.readers or gid in node.writers:
                    return node.name
        return None

    def gids_of(self, name: NodeName) -> set[bytes] | None:
        """Give the endpoints of a node, or ``None`` if there is no such node."""
        with self._lock:
            found = [node for node in self._all_nodes() if node.name == name]
        if not found:
            return None
        return {gid for node in found for gid in (*node.readers, *node.writers)}

    def _all_nodes(self) -> Iterator[_LocalNode]:
        yield from self._local.values()
        for nodes in self._remote.values():
            yield from nodes


__all__ = ["DISCOVERY_TOPIC", "Endpoint", "Graph", "NodeName", "discovery_qos"]
