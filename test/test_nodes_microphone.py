"""The microphone: devices through PortAudio, stamps, the three families, unplug and replug."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from audio_families import PUBLISHED_TYPE, need
from node_graph import NodeGraph
from ros_packages import get_message

from avs_ros.conversions.audio import read_audio, read_audio_info
from avs_ros.errors import MediaError, MissingDependencyError, ParameterError
from avs_ros.media.microphone import MicrophoneRequest
from avs_ros.nodes import microphone_node
from avs_ros.nodes.microphone_node import MicrophoneNode
from avs_ros.streaming import Sound
from avs_ros.streaming.pcm import AudioFormat

RATE = 16000
NANOSECONDS = 1_000_000_000


class Tone:
    """A 440 Hz source in real time that can be pulled out and plugged in again."""

    def __init__(self) -> None:
        self.plugged = True
        self.opened = 0
        self.overflow = False

    def open(
        self, request: MicrophoneRequest, on_sound: Callable[..., None], now_ns: Callable[[], int]
    ) -> ToneMicrophone:
        if not self.plugged:
            raise MediaError("no input device 'tone' (there are: none)")
        self.opened += 1
        return ToneMicrophone(self, request, on_sound, now_ns)


class ToneMicrophone:
    """One opened stream of a ``Tone``."""

    def __init__(self, tone: Tone, request: MicrophoneRequest, on_sound: Any, now_ns: Any) -> None:
        self.name, self.channels = "tone", request.channels
        self.rate_hz = request.rate_hz or 48000
        self._tone, self._now_ns, self._on_sound = tone, now_ns, on_sound
        self.overflows = 0
        self._count = round(self.rate_hz * request.block_s)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        phase = 0
        while not self._stop.wait(self._count / self.rate_hz) and self._tone.plugged:
            n = np.arange(phase, phase + self._count)
            phase += self._count
            one = np.rint(8000 * np.sin(2 * np.pi * 440 * n / self.rate_hz)).astype(np.int16)
            length_ns = self._count * NANOSECONDS // self.rate_hz
            self.overflows += self._tone.overflow
            self._on_sound(Sound(
                self._now_ns() - length_ns, np.repeat(one[:, None], self.channels, axis=1),
                self.rate_hz))

    @property
    def active(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


class Bench:
    """A microphone node, once it is started, and what listens to it."""

    def __init__(self, graph: NodeGraph, *arguments: str, source: Any = None) -> None:
        self.graph, self.tone = graph, Tone()
        self.arguments = ["--ros-args", *arguments] if arguments else []
        self.source = source or self.tone.open
        self.microphone: Any = None

    def start(self) -> None:
        self.microphone = self.graph.add(
            MicrophoneNode, cli=self.arguments, open_microphone=self.source)

    def listen(self, kind: str, topic: str = "audio") -> list[Any]:
        return self.graph.listen(kind, topic, reliable=False)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        return self.graph.wait(condition, what)


@pytest.fixture
def bench(graph: NodeGraph) -> Callable[..., Bench]:
    return lambda *arguments, **options: Bench(graph, *arguments, **options)


@pytest.mark.parametrize(("family", "kind"), [
    ("AudioDataStamped", "audio_common_msgs/msg/AudioDataStamped"),
    ("AudioStamped", "audio_common_msgs/msg/AudioStamped"),
    ("RawAudio", "foxglove_msgs/msg/RawAudio"),
    ("AudioData", "audio_common_msgs/msg/AudioData"),
])
def test_every_family_carries_the_sound(
    bench: Callable[..., Bench], family: str, kind: str
) -> None:
    need(family)
    one = bench("-p", f"audio_type:={family}", "-p", "channels:=2", "-p", "block:=0.05",
                "-p", "frame_id:=left_ear", "-r", "audio:=ears/sound")
    heard = one.listen(kind, "ears/sound")
    bare = family in ("AudioDataStamped", "AudioData")
    infos = one.listen("audio_common_msgs/msg/AudioInfo", "ears/audio_info") if bare else []
    one.start()
    one.until(lambda: len(heard) >= 6, "sound")
    assumed = AudioFormat("S16LE", 2, RATE)
    if bare:
        info = one.until(lambda: infos, "the format")[0]
        assumed = read_audio_info(info)
        assert (assumed.rate, assumed.channels, assumed.sample_format) == (RATE, 2, "S16LE")
    now = one.microphone.get_clock().now().nanoseconds
    chunks = [read_audio(message, assumed, now) for message in heard[:6]]
    assert {chunk.rate_hz for chunk in chunks} == {RATE}
    assert {chunk.samples.shape for chunk in chunks} == {(800, 2)}
    wave = np.concatenate([chunk.samples[:, 1] for chunk in chunks]).astype(float)
    spectrum = np.abs(np.fft.rfft(wave))
    assert np.argmax(spectrum) * RATE / len(wave) == pytest.approx(440, abs=8)
    if family != "AudioData":
        stamps = np.array([chunk.stamp_ns for chunk in chunks])
        assert (np.diff(stamps) > 0).all() and 0 < now - stamps[-1] < 10 * NANOSECONDS
    if family in ("AudioDataStamped", "AudioStamped"):
        assert heard[0].header.frame_id == "left_ear"


def test_unplug_and_replug(
    bench: Callable[..., Bench], capfd: pytest.CaptureFixture[str]
) -> None:
    one = bench("-p", "retry_period:=0.1")
    heard = one.listen(PUBLISHED_TYPE)
    pages = one.listen("diagnostic_msgs/msg/DiagnosticArray", "/diagnostics")
    one.tone.plugged = False
    one.start()

    def page() -> Any:
        return pages[-1].status[0] if pages else None

    assert "no input device" in one.until(
        lambda: page() and page().level == b"\x02" and page().message, "the page of no device")
    one.tone.plugged = True
    one.until(lambda: heard, "sound")
    one.until(lambda: page().level == b"\x00", "the page of a working device")
    values = {pair.key: pair.value for pair in page().values}
    assert float(values["audio_level_dbfs"]) == pytest.approx(-15.3, abs=0.5)
    assert values["device"] == "tone" and int(values["blocks"]) > 0
    one.tone.plugged = False
    one.until(lambda: page().level == b"\x02", "the page of a lost device")
    count = len(heard)
    one.tone.plugged = True
    one.until(lambda: len(heard) > count + 3, "sound again")
    assert one.tone.opened == 2
    log = capfd.readouterr().err
    assert "'tone' is gone" in log and log.count("recording 'tone'") == 2


def test_a_device_that_falls_silent_is_opened_again(bench: Callable[..., Bench]) -> None:
    class Silent:
        name, rate_hz, channels, overflows = "silent", RATE, 1, 0
        active = True
        closed = 0

        def close(self) -> None:
            type(self).closed += 1

    one = bench("-p", "retry_period:=0.1", source=lambda request, on_sound, now_ns: Silent())
    one.start()
    one.until(lambda: Silent.closed >= 2, "the second attempt")


def test_lost_samples_are_told(
    bench: Callable[..., Bench], capfd: pytest.CaptureFixture[str]
) -> None:
    one = bench()
    heard = one.listen(PUBLISHED_TYPE)
    one.tone.overflow = True
    one.start()
    one.until(lambda: len(heard) > 3, "sound")
    assert capfd.readouterr().err.count("lost samples") == 1


def test_without_a_clock_nothing_is_published(bench: Callable[..., Bench]) -> None:
    one = bench("-p", "use_sim_time:=true")
    heard = one.listen(PUBLISHED_TYPE)
    pages = one.listen("diagnostic_msgs/msg/DiagnosticArray", "/diagnostics")
    one.start()
    told = one.until(
        lambda: [page.status[0] for page in pages if page.status[0].level == b"\x01"],
        "the page of no time")[0]
    assert "no time yet" in told.message
    clock_type = get_message("rosgraph_msgs/msg/Clock")
    clock = one.graph.publisher(clock_type, "/clock", 1)
    assert not heard
    ticks = iter(range(10**6))

    def tick() -> list[Any]:
        message = clock_type()
        message.clock.sec, message.clock.nanosec = 5000, next(ticks) * 1000
        clock.publish(message)
        return heard

    one.until(tick, "sound on simulated time")
    assert heard[0].timestamp.sec in (4999, 5000)


def test_bad_parameters_are_refused(bench: Callable[..., Bench]) -> None:
    one = bench("-p", "audio_type:=Cassette")
    with pytest.raises(ParameterError, match="audio_type"):
        one.start()


def test_a_missing_library_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise MissingDependencyError("PortAudio", "the microphone", "install libportaudio2")

    monkeypatch.setattr(microphone_node, "load_sounddevice", missing)
    assert microphone_node.main(["microphone_node"]) == 2
    err = capsys.readouterr().err
    assert "libportaudio2" in err and err.count("\n") == 1
