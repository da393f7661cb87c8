"""The microphone node on PortAudio: which devices there are, one that is pulled out."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from node_graph import TIMEOUT_S, NodeGraph
from ros_packages import require_ros

require_ros()


from avs_ros.conversions.audio import read_audio  # noqa: E402

# -- the real PortAudio, on a sound card that ALSA makes from a pipe --------------------------

RATE = 16000
CARD = """
pcm.avscard {{ type file
  slave.pcm "null"
  file "/dev/null"
  infile "{pipe}"
  format "raw" }}
pcm.!default {{ type plug
  slave.pcm "avscard" }}
"""


@pytest.fixture
def sound_card(tmp_path: Path) -> Iterator[Path]:
    """A home folder whose ALSA has one card, ``avscard``; skips where there is no PortAudio.

    The card gives what goes through a pipe, so it records no faster than a tone is fed to it.
    """
    pytest.importorskip("sounddevice", exc_type=(ImportError, OSError))
    if not sys.platform.startswith("linux") or not Path("/usr/share/alsa/alsa.conf").exists():
        pytest.skip("needs ALSA")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Open at both ends, so that nobody waits for the other side.
    handle = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    stop = threading.Event()
    second = np.rint(8000 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype("<i2")
    parts = second.reshape(20, -1)

    def feed() -> None:
        for part in itertools.cycle(parts):
            if stop.wait(1 / 20):
                return
            with contextlib.suppress(BlockingIOError):  # nobody listens: the pipe is full
                os.write(handle, part.tobytes())

    feeder = threading.Thread(target=feed)
    feeder.start()
    (tmp_path / ".asoundrc").write_text(CARD.format(pipe=pipe))
    yield tmp_path
    stop.set()
    feeder.join()
    os.close(handle)


def run_node(home: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "avs_ros.nodes.microphone_node", *arguments],
        env={**os.environ, "HOME": str(home), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_devices_are_listed(sound_card: Path) -> None:
    out, err = run_node(sound_card, "--list-devices").communicate(timeout=60)
    assert "avscard" in out and "Hz]" in out, err
    (sound_card / ".asoundrc").unlink()
    out, err = run_node(sound_card, "--list-devices").communicate(timeout=60)
    assert "avscard" not in out


def test_port_audio_is_found_again_after_replugging(sound_card: Path, graph: NodeGraph) -> None:
    card, drawer = sound_card / ".asoundrc", sound_card / "drawer"
    shutil.move(card, drawer)
    heard = graph.listen("foxglove_msgs/msg/RawAudio", "audio", reliable=False)
    pages = graph.listen("diagnostic_msgs/msg/DiagnosticArray", "/diagnostics")
    process = run_node(
        sound_card, "--ros-args", "-p", "device:=avsc", "-p", "audio_type:=RawAudio",
        "-p", "block:=0.5", "-p", "retry_period:=0.2")
    try:
        told = graph.wait(lambda: pages and pages[-1].status[0].message, "the page of no device")
        assert "no input device 'avsc'" in told
        shutil.move(drawer, card)
        message = graph.wait(lambda: heard, "sound from PortAudio")[0]
        samples = read_audio(message).samples[:, 0].astype(float)
        spectrum = np.abs(np.fft.rfft(samples))
        assert np.argmax(spectrum) * RATE / len(samples) == pytest.approx(440, abs=4)
    finally:
        process.terminate()
        _, err = process.communicate(timeout=TIMEOUT_S)
    assert "recording 'avscard': 16000 Hz" in err
    assert process.returncode == 0
