"""DDS domains of this process: which network they use, and who still needs them.

The same environment variables as in ROS 2 decide: ``ROS_DOMAIN_ID``, ``ROS_LOCALHOST_ONLY``,
``ROS_AUTOMATIC_DISCOVERY_RANGE``, ``ROS_STATIC_PEERS``, and ``CYCLONEDDS_URI``, which wins over
everything said here.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr

from cyclonedds.core import DDSException
from cyclonedds.domain import Domain

from avs_ros.errors import MiddlewareError

from . import dds

MAX_DOMAIN_ID = 232
"""The highest domain whose ports fit below 65536."""

_RECEIVE_BUFFER = "10MB"
"""A 1280x720 rgb8 picture is 2.7 MB and arrives in one burst; the kernel may grant less."""

_ENOUGH_BUFFER = 4 * 1024 * 1024
"""From here on nothing was lost on loopback at 1280x720 and 30 Hz, even on a busy machine."""

_LOOPBACK_MESSAGE = "65500B"
_LOOPBACK_FRAGMENT = "64000B"
"""Largest UDP datagram, and the piece of a sample that fits in: smaller gains nothing here."""

_MAX_PROCESSES = 100
"""Processes on one machine that find each other without multicast."""


def default_domain_id(environment: Mapping[str, str] = os.environ) -> int:
    """Give ``ROS_DOMAIN_ID`` (default 0); raises ``MiddlewareError`` if it is no domain."""
    text = environment.get("ROS_DOMAIN_ID", "") or "0"
    return check_domain_id(text)


def check_domain_id(value: str | int) -> int:
    """Give the domain id as a number; raises ``MiddlewareError`` outside 0..232."""
    try:
        domain_id = int(value)
    except ValueError:
        domain_id = -1
    if not 0 <= domain_id <= MAX_DOMAIN_ID:
        raise MiddlewareError(
            f"ROS_DOMAIN_ID is {value!r}; it must be a number from 0 to {MAX_DOMAIN_ID}"
        )
    return domain_id


def has_multicast() -> bool:
    """Whether an interface other than loopback is up and can multicast (Linux; else true)."""
    root = Path("/sys/class/net")
    if not root.is_dir():
        return True
    up, loopback, multicast = 0x1, 0x8, 0x1000
    for _, name in socket.if_nameindex():
        try:
            flags = int((root / name / "flags").read_text(), 16)
        except (OSError, ValueError):
            continue
        if flags & up and flags & multicast and not flags & loopback:
            return True
    return False


def configuration(environment: Mapping[str, str] = os.environ) -> str:
    """Give Cyclone DDS's configuration (XML) for this environment; empty: leave it to the user.

    Localhost: discovery by unicast among the processes of this machine, as ROS 2 does it, which
    also works in containers without multicast.
    """
    if environment.get("CYCLONEDDS_URI"):
        return ""
    reach = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper() or "SUBNET"
    if environment.get("ROS_LOCALHOST_ONLY", "0") == "1" or (
        reach == "SUBNET" and not has_multicast()
    ):
        reach = "LOCALHOST"
    general, discovery = "", ""
    peers = [peer for peer in environment.get("ROS_STATIC_PEERS", "").split(";") if peer]
    if reach in ("LOCALHOST", "OFF"):
        general = "<AllowMulticast>false</AllowMulticast>"
    if reach == "LOCALHOST":
        general += f"<MaxMessageSize>{_LOOPBACK_MESSAGE}</MaxMessageSize>"
        general += f"<FragmentSize>{_LOOPBACK_FRAGMENT}</FragmentSize>"
        if not peers:
            # Cyclone DDS 11 takes no notice of who announces itself over an interface that is not
            # chosen, and rmw_cyclonedds announces itself to localhost.
            general += '<Interfaces><NetworkInterface address="127.0.0.1"/></Interfaces>'
        peers.append("localhost")
    if reach == "OFF":
        # A domain tag nobody else has: no other process takes part.
        discovery = (
            "<ParticipantIndex>none</ParticipantIndex>"
            f"<Tag>ros_discovery_off_{os.getpid()}</Tag>"
        )
    elif peers or reach == "LOCALHOST":
        entries = "".join(f"<Peer address={quoteattr(peer)}/>" for peer in peers)
        discovery = (
            "<ParticipantIndex>auto</ParticipantIndex>"
            f"<MaxAutoParticipantIndex>{_MAX_PROCESSES}</MaxAutoParticipantIndex>"
            f"<Peers>{entries}</Peers>"
        )
    return (
        '<CycloneDDS><Domain id="any">'
        f"<General>{general}</General><Discovery>{discovery}</Discovery>"
        f'<Internal><SocketReceiveBufferSize max="{_RECEIVE_BUFFER}"/></Internal>'
        "</Domain></CycloneDDS>"
    )


def receive_buffer_note(limit: Path = Path("/proc/sys/net/core/rmem_max")) -> str:
    """Say what to do if the kernel's receive buffers are too small for pictures; else empty.

    Best-effort pictures of a few MB are lost in bursts then; reliable ones are repaired.
    """
    try:
        granted = int(limit.read_text())
    except (OSError, ValueError):
        return ""
    if granted >= _ENOUGH_BUFFER:
        return ""
    return (
        f"the kernel grants receive buffers of {granted} bytes only, so large best-effort "
        f"pictures may be lost: sysctl -w net.core.rmem_max={_ENOUGH_BUFFER}, or use reliable QoS"
    )


_lock = threading.Lock()
_domains: dict[int, tuple[Domain | None, int]] = {}


def acquire(domain_id: int) -> None:
    """Make sure the domain exists with our configuration; ``release`` it as often."""
    with _lock:
        domain, users = _domains.get(domain_id, (None, 0))
        if users == 0:
            config = configuration()
            try:
                domain = Domain(domain_id, config) if config else None
            except DDSException as error:
                if error.code != DDSException.DDS_RETCODE_PRECONDITION_NOT_MET:
                    raise MiddlewareError(
                        f"DDS domain {domain_id} cannot start: {error}"
                    ) from error
                domain = None  # someone else in this process made it: use it as it is
        _domains[domain_id] = (domain, users + 1)


def release(domain_id: int) -> None:
    """Say that one user is done; the last one ends the domain and its threads."""
    with _lock:
        domain, users = _domains[domain_id]
        if users > 1:
            _domains[domain_id] = (domain, users - 1)
            return
        del _domains[domain_id]
    if domain is not None:
        dds.delete(domain)
