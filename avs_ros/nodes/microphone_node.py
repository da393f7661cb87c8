"""A microphone as an audio topic, in any of the three message families."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from avs_ros.conversions.messages import ERROR, OK, WARN, Status
from avs_ros.errors import MissingDependencyError
from avs_ros.media.microphone import (
    MicrophoneRequest,
    OpenMicrophone,
    PortAudioMicrophone,
    list_input_devices,
    load_sounddevice,
    open_port_audio,
)
from avs_ros.nodes.declared_parameters import BaseNode
from avs_ros.nodes.diagnostics import publish_diagnostics
from avs_ros.nodes.entry_point import run_node
from avs_ros.nodes.sound_publisher import SoundPublisher
from avs_ros.sound import dbfs
from avs_ros.streaming.inputs import Sound

_QUEUED_BLOCKS = 200
# A device that is silent this long (s, and in blocks) is gone, whatever its driver says.
_SILENCE_S = 1.0
_SILENCE_BLOCKS = 10
# audio_capture's habit: who joins late learns the format after this long at most (s).
_INFO_PERIOD_S = 5.0


class MicrophoneNode(BaseNode):
    """Publishes what a microphone hears on ``audio``; opens it again when it was gone.

    One thread opens the device, publishes its blocks and notices when it falls silent; the
    device's own thread only hands blocks over.
    """

    TABLE = "microphone_node"

    def __init__(
        self,
        node_name: str = "",
        *,
        open_microphone: OpenMicrophone = open_port_audio,
        **options: Any,
    ) -> None:
        """Declare parameters and start to record.

        ``open_microphone``: where the sound comes from; ``options`` go to ``rclpy.node.Node``.
        Raises :class:`ParameterError` for a start value out of range, :class:`MessageTypeError`
        when ``audio_type`` is not installed.
        """
        self._open_microphone = open_microphone
        super().__init__(node_name, **options)
        self._thread = threading.Thread(target=self._run, name="microphone", daemon=True)
        self._thread.start()

    def _set_up(self) -> None:
        settings = self._settings
        self._request = MicrophoneRequest(
            settings["device"], settings["rate"], settings["channels"], settings["block"]
        )
        self._blocks: queue.Queue[Sound] = queue.Queue(_QUEUED_BLOCKS)
        self._stopping = threading.Event()
        self._microphone: PortAudioMicrophone | None = None
        self._problem = "the device is not open yet"
        self._counters = {"blocks": 0, "overflows": 0, "blocks_dropped": 0, "reopened": 0}
        self._level_dbfs = float("-inf")
        self._audio = SoundPublisher(self, settings["audio_type"], _INFO_PERIOD_S)
        publish_diagnostics(self, self._status)

    def _take(self, sound: Sound) -> None:
        """Called by the device's thread: it must not wait for anybody."""
        try:
            self._blocks.put_nowait(sound)
        except queue.Full:
            self._counters["blocks_dropped"] += 1

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                microphone = self._open_microphone(self._request, self._take, self.now_ns)
            except Exception as error:  # a driver's own too
                self._problem = str(error)
                self.get_logger().warning(
                    f"{error}; trying again every {self._settings['retry_period']:g} s",
                    throttle_duration_sec=30.0,
                )
                self._stopping.wait(self._settings["retry_period"])
                continue
            self._microphone = microphone
            self.get_logger().info(
                f"recording '{microphone.name}': {microphone.rate_hz} Hz, "
                f"{microphone.channels} channel(s), published as {self._audio.type}"
            )
            self._audio.describe(microphone.rate_hz, microphone.channels)
            try:
                self._publish_blocks(microphone)
            finally:
                self._microphone = None
                self._audio.fall_silent()
                microphone.close()
            if not self._stopping.is_set():
                self._problem = f"'{microphone.name}' is gone"
                self._counters["reopened"] += 1
                self.get_logger().error(f"{self._problem}; waiting for it to come back")
                while not self._blocks.empty():
                    self._blocks.get_nowait()

    def _publish_blocks(self, microphone: PortAudioMicrophone) -> None:
        """Publish until the device is gone or the node stops."""
        patience = max(_SILENCE_S, _SILENCE_BLOCKS * self._request.block_s)
        last, overflows = time.monotonic(), 0
        while not self._stopping.is_set():
            try:
                sound = self._blocks.get(timeout=0.1)
            except queue.Empty:
                if not microphone.active or time.monotonic() - last > patience:
                    return
                continue
            last = time.monotonic()
            if (lost := microphone.overflows - overflows) > 0:
                overflows += lost
                self._counters["overflows"] += lost
                self.get_logger().warning(
                    "the sound card lost samples: this machine is too busy",
                    throttle_duration_sec=10.0,
                )
            self._publish(sound)

    def _publish(self, sound: Sound) -> None:
        if sound.stamp_ns <= 0:
            # With use_sim_time, time is 0 until /clock speaks.
            self._problem = "there is no time yet (use_sim_time without /clock)"
            return
        self._problem = ""
        self._counters["blocks"] += 1
        power = float(np.mean(np.square(sound.samples, dtype=np.float64)))
        self._level_dbfs = dbfs(max(power, 1e-2) / 32768.0**2)
        self._audio.publish(sound, sound.stamp_ns, self._settings["frame_id"])

    def _status(self) -> list[Status]:
        microphone = self._microphone
        if microphone is None:
            level, message = ERROR, self._problem
        elif self._problem:
            level, message = WARN, self._problem
        else:
            level, message = OK, "recording"
        values = {
            "device": microphone.name if microphone else self._request.device or "default",
            "rate": str(microphone.rate_hz if microphone else self._request.rate_hz),
            "channels": str(self._request.channels),
            "audio_level_dbfs": f"{self._level_dbfs:.1f}",
            **{name: str(count) for name, count in self._counters.items()},
        }
        name = f"{self.get_name()}: microphone"
        return [Status(name, level, message, values, hardware_id=values["device"])]

    def destroy_node(self) -> None:
        """Stop recording, then take the node off the graph."""
        self._stopping.set()
        self._thread.join()
        super().destroy_node()


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; ``--list-devices`` prints the input devices and ends."""
    argv = list(sys.argv if args is None else args)
    try:
        if "--list-devices" in argv:
            sys.stdout.write(list_input_devices() + "\n")
            return 0
        load_sounddevice()
    except MissingDependencyError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return run_node(MicrophoneNode, args)


if __name__ == "__main__":
    sys.exit(main())
