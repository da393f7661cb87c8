"""Which network DDS uses, as ROS 2's environment variables say."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from avs_ros.errors import MiddlewareError
from avs_ros.middleware.embedded import domain
from avs_ros.middleware.embedded.participant import Participant


def _values(environment: dict[str, str]) -> dict[str, str]:
    root = ElementTree.fromstring(domain.configuration(environment))
    return {element.tag: element.text or "" for element in root.iter()}


def test_the_users_own_configuration_wins() -> None:
    assert domain.configuration({"CYCLONEDDS_URI": "file:///x.xml"}) == ""


def test_localhost_needs_no_multicast() -> None:
    for environment in ({"ROS_LOCALHOST_ONLY": "1"},
                        {"ROS_AUTOMATIC_DISCOVERY_RANGE": "localhost"}):
        values = _values(environment)
        assert values["AllowMulticast"] == "false"
        root = ElementTree.fromstring(domain.configuration(environment))
        assert [peer.get("address") for peer in root.iter("Peer")] == ["localhost"]


def test_no_multicast_on_the_machine_means_localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "has_multicast", lambda: False)
    assert _values({})["AllowMulticast"] == "false"
    monkeypatch.setattr(domain, "has_multicast", lambda: True)
    assert "AllowMulticast" not in _values({})


def test_buffers_are_raised_everywhere() -> None:
    for environment in ({}, {"ROS_LOCALHOST_ONLY": "1"}):
        root = ElementTree.fromstring(domain.configuration(environment))
        (buffer,) = root.iter("SocketReceiveBufferSize")
        # Only a maximum: a minimum that the kernel does not grant would keep DDS from starting.
        assert buffer.get("max") == "10MB" and buffer.get("min") is None


def test_small_kernel_buffers_are_told_with_the_remedy(tmp_path: Path) -> None:
    limit = tmp_path / "rmem_max"
    limit.write_text("212992\n")
    assert "sysctl -w net.core.rmem_max=4194304" in domain.receive_buffer_note(limit)
    limit.write_text("4194304\n")
    assert domain.receive_buffer_note(limit) == ""
    assert domain.receive_buffer_note(tmp_path / "nothing") == ""


def test_discovery_switched_off_and_static_peers() -> None:
    values = _values({"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"})
    assert values["Tag"].startswith("ros_discovery_off_")
    root = ElementTree.fromstring(domain.configuration({"ROS_STATIC_PEERS": "10.0.0.2;robot"}))
    assert [peer.get("address") for peer in root.iter("Peer")] == ["10.0.0.2", "robot"]


@pytest.mark.parametrize("value", ["-1", "233", "two", "1.5"])
def test_domain_ids_out_of_range(value: str) -> None:
    with pytest.raises(MiddlewareError, match="0 to 232"):
        domain.default_domain_id({"ROS_DOMAIN_ID": value})


def test_domain_ids() -> None:
    assert domain.default_domain_id({}) == 0
    assert domain.default_domain_id({"ROS_DOMAIN_ID": "42"}) == 42


@pytest.mark.parametrize("environment", [
    {}, {"ROS_LOCALHOST_ONLY": "1"}, {"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"},
    {"ROS_STATIC_PEERS": "127.0.0.1"},
])
def test_dds_accepts_every_configuration(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = domain.configuration(environment)
    monkeypatch.setattr(domain, "configuration", lambda: config)
    Participant(domain.default_domain_id()).close()


def test_participants_share_a_domain_and_the_last_one_ends_it() -> None:
    number = domain.default_domain_id()
    first, second = Participant(number), Participant(number)
    first.close()
    assert number in domain._domains
    second.close()
    assert number not in domain._domains


def test_a_broken_configuration_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYCLONEDDS_URI", "<CycloneDDS><Nonsense/></CycloneDDS>")
    with pytest.raises(MiddlewareError, match="CYCLONEDDS_URI"):
        Participant(domain.default_domain_id())
    assert domain.default_domain_id() not in domain._domains


def test_localhost_listens_where_ros_2_announces_itself() -> None:
    # rmw_cyclonedds sends its announcements to 127.0.0.1; they must not count as unwanted.
    alone = domain.configuration({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"})
    assert '<NetworkInterface address="127.0.0.1"/>' in alone
    with_peer = domain.configuration(
        {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_STATIC_PEERS": "192.0.2.7"})
    assert "NetworkInterface" not in with_peer
