"""What a recorder kept of a run over DDS -> frames, sound, answers, drops, latencies."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.conversions.audio import read_audio, read_audio_info
from avs_ros.conversions.detections import read_detections
from avs_ros.conversions.image_reading import read_mask
from avs_ros.conversions.messages import stamp_to_ns
from avs_ros.errors import BagError
from avs_ros.media.bag_types import typestore_for
from avs_ros.segmentation import Bytes
from avs_ros.sound import SAMPLE_RATE, dbfs
from avs_ros.streaming.pcm import AudioFormat, to_mono

WINDOW_S = 1.0
COARSE = 4


@dataclass
class RecordedPrediction:
    """What the node said about one frame.

    ``label`` and ``score`` of the surest detection ("" and 0 for none); ``label_mask`` uint8
    ``[H / 4, W / 4]``, every fourth pixel; ``overlay`` the node's own drawing (JPEG);
    ``latency_ms`` from the frame's arrival at the recorder to the mask's.
    """

    stamp_ns: int
    label: str = ""
    score: float = 0.0
    label_mask: Bytes | None = None
    overlay: bytes = b""
    latency_ms: float | None = None


@dataclass
class RecordedRun:
    """One recording: ``frames`` (stamp, JPEG) in order, ``answers`` by stamp, mono ``sound``.

    ``sound``: float32 ``[n]`` at ``rate_hz`` from ``sound_from_ns`` on, zeros where none came.
    ``diagnostics``: key -> value of the node's last page (three statuses together).
    """

    frames: list[tuple[int, bytes]] = field(default_factory=list)
    answers: dict[int, RecordedPrediction] = field(default_factory=dict)
    sound: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    rate_hz: int = SAMPLE_RATE
    sound_from_ns: int = 0
    diagnostics: dict[str, str] = field(default_factory=dict)

    def level_dbfs(self, stamp_ns: int) -> float:
        """Level of the second of sound that ends at ``stamp_ns``; -inf for silence."""
        end = round((stamp_ns - self.sound_from_ns) * 1e-9 * self.rate_hz)
        piece = self.sound[max(0, end - round(WINDOW_S * self.rate_hz)) : max(0, end)]
        power = float(np.sum(piece.astype(np.float64) ** 2)) / (WINDOW_S * self.rate_hz)
        return dbfs(power)


def read_run(path: Path, node: str, image: str, audio: str) -> RecordedRun:
    """Read a recording of ``node``'s topics, of the images (JPEG) and of the sound.

    Sound that does not tell its format is described on the topic ``<audio>_info``.

    Raises :class:`BagError` when no image, no sound or no answer was recorded.
    """
    from rosbags.rosbag2 import Reader

    run = RecordedRun()
    sounds: list[Any] = []
    audio_format: AudioFormat | None = None
    arrived: dict[int, int] = {}
    with Reader(path) as reader:
        types = typestore_for(path, reader.connections)
        for connection, recorded_ns, raw in reader.messages():
            topic = connection.topic
            message: Any = types.deserialize_cdr(raw, connection.msgtype)
            if topic == image:
                stamp_ns = stamp_to_ns(message.header.stamp)
                run.frames.append((stamp_ns, bytes(message.data)))
                arrived[stamp_ns] = recorded_ns
            elif topic == audio:
                sounds.append(message)
            elif topic == f"{audio}_info":
                audio_format = read_audio_info(message)
            elif topic == "/diagnostics":
                for status in message.status:
                    run.diagnostics.update({pair.key: pair.value for pair in status.values})
            elif topic.startswith(f"{node}/") and hasattr(message, "header"):
                stamp_ns = stamp_to_ns(message.header.stamp)
                _add(run, topic.removeprefix(f"{node}/"), stamp_ns, message, recorded_ns, arrived)
    run.frames.sort(key=lambda frame: frame[0])
    chunks = sorted((read_audio(one, audio_format) for one in sounds), key=lambda c: c.stamp_ns)
    for what, found in (("image", run.frames), ("sound", chunks), ("answer", run.answers)):
        if not found:
            raise BagError(f"{path}: no {what} was recorded")
    run.sound_from_ns, run.rate_hz = chunks[0].stamp_ns, chunks[0].rate_hz

    def place(stamp_ns: int) -> int:
        return round((stamp_ns - run.sound_from_ns) * 1e-9 * run.rate_hz)

    run.sound = np.zeros(place(chunks[-1].end_ns), np.float32)
    for chunk in chunks:
        at, mono = place(chunk.stamp_ns), to_mono(chunk.samples).samples
        run.sound[at : at + len(mono)] = mono[: len(run.sound) - at]
    return run


def _add(
    run: RecordedRun, name: str, stamp_ns: int, message: Any, recorded_ns: int,
    arrived: dict[int, int],
) -> None:
    if name not in ("mask", "label_mask", "detections", "overlay/compressed"):
        return
    answer = run.answers.setdefault(stamp_ns, RecordedPrediction(stamp_ns))
    if name == "mask" and stamp_ns in arrived:
        answer.latency_ms = (recorded_ns - arrived[stamp_ns]) * 1e-6
    elif name == "label_mask":
        answer.label_mask = read_mask(message)[::COARSE, ::COARSE].copy()
    elif name == "overlay/compressed":
        answer.overlay = bytes(message.data)
    elif name == "detections" and (found := read_detections(message)):
        best = max(found, key=lambda detection: detection.score)
        answer.label, answer.score = best.label, best.score
