"""The private calls into Cyclone DDS: a release that changes them must fail here, loudly."""

from __future__ import annotations

import time
from importlib.metadata import version

import numpy as np
import pytest
from cyclonedds import _clayer
from cyclonedds.core import DDSException, Policy, Qos
from cyclonedds.internal import SampleInfo

from avs_ros.errors import MiddlewareError
from avs_ros.middleware.embedded import cdr, dds, domain
from avs_ros.middleware.embedded.interfaces import get_message
from avs_ros.middleware.embedded.participant import Participant, gid_of

String = get_message("std_msgs/msg/String")
RELIABLE = Qos(
    Policy.Reliability.Reliable(10**9), Policy.History.KeepLast(10),
    Policy.DataRepresentation(use_cdrv0_representation=True),
)


def test_the_release_is_the_one_these_calls_were_written_for() -> None:
    assert version("cyclonedds").startswith("11.0.")


def test_take_gives_bytes_and_sample_info() -> None:
    participant = Participant(domain.default_domain_id())
    try:
        writer = participant.create_writer("rt/raw", String, RELIABLE)
        reader = participant.create_reader("rt/raw", String, RELIABLE)
        payload = bytes(cdr.serialize(String(data="hello")))
        before = time.time_ns()
        dds.write(writer, payload)
        raw = _clayer.ddspy_take(reader._ref, dds.ANY_STATE, 5)
        assert isinstance(raw, list) and len(raw) == 1
        data, info = raw[0]
        assert (type(data), type(info)) == (bytes, SampleInfo)
        assert data == payload
        dds.write(writer, bytearray(payload))
        (taken,) = dds.take(reader, 5)
        assert taken.data == payload and taken.valid
        assert before <= taken.stamp_ns <= time.time_ns()
        assert taken.writer == dds.instance_handle(writer)
        assert dds.take(reader, 5) == []
    finally:
        participant.close()


def test_every_length_survives_the_padding_to_words() -> None:
    participant = Participant(domain.default_domain_id())
    try:
        writer = participant.create_writer("rt/raw", String, RELIABLE)
        reader = participant.create_reader("rt/raw", String, RELIABLE)
        for length in range(9):
            text = "x" * length
            unpadded = cdr.serialize(String(data=text))[: 4 + 4 + length + 1]
            dds.write(writer, unpadded)
            (taken,) = dds.take(reader, 1)
            assert cdr.deserialize(taken.data, String).data == text
    finally:
        participant.close()


def test_write_refuses_what_is_not_the_type() -> None:
    participant = Participant(domain.default_domain_id())
    try:
        writer = participant.create_writer("rt/raw", String, RELIABLE)
        with pytest.raises(DDSException):
            dds.write(writer, b"\x00\x01\x00\x00\xff\xff\xff\x7f")
    finally:
        participant.close()


def test_waiting_names_what_happened_and_can_be_woken() -> None:
    participant = Participant(domain.default_domain_id())
    try:
        writer = participant.create_writer("rt/raw", String, RELIABLE)
        reader = participant.create_reader("rt/raw", String, RELIABLE)
        waitset = dds.WaitSet(participant.entity)
        dds.set_status_mask(reader, dds.READER_STATUSES)
        waitset.attach(reader)
        assert waitset.wait(10**10) == [reader._ref]  # the match
        assert dds.take_status(reader, dds.READER_STATUSES) & dds.DDSStatus.SubscriptionMatched
        assert waitset.wait(0) == []
        dds.write(writer, cdr.serialize(String(data="x")))
        assert waitset.wait(10**10) == [reader._ref]
        assert dds.take_status(reader, dds.READER_STATUSES) == dds.DDSStatus.DataAvailable
        waitset.wake()
        assert waitset.wait(10**10) == []
        waitset.detach(reader)
        dds.write(writer, cdr.serialize(String(data="x")))
        assert waitset.wait(0) == []
        waitset.close()
    finally:
        participant.close()


def test_pictures_pass_without_a_walk_over_their_bytes() -> None:
    image_class = get_message("sensor_msgs/msg/Image")
    participant = Participant(domain.default_domain_id())
    try:
        writer = participant.create_writer("rt/picture", image_class, RELIABLE)
        reader = participant.create_reader("rt/picture", image_class, RELIABLE)
        pixels = np.arange(480 * 640 * 3, dtype=np.uint32).astype(np.uint8)
        dds.write(writer, cdr.serialize(image_class(height=480, width=640, data=pixels)))
        (taken,) = dds.take(reader)
        image = cdr.deserialize(taken.data, image_class)
        view = np.frombuffer(image.data, np.uint8)
        assert np.array_equal(view, pixels)
        assert np.shares_memory(view, np.frombuffer(taken.data, np.uint8))
    finally:
        participant.close()


def test_a_closed_participant_refuses_and_closes_twice() -> None:
    participant = Participant(domain.default_domain_id())
    writer = participant.create_writer("rt/raw", String, RELIABLE)
    assert len(gid_of(writer)) == 16 and gid_of(writer)[:12] == participant.gid[:12]
    participant.close()
    participant.close()
    participant.remove(writer)
    with pytest.raises(MiddlewareError, match="shut down"):
        participant.create_reader("rt/raw", String, RELIABLE)
    with pytest.raises(DDSException):
        dds.write(writer, cdr.serialize(String()))
