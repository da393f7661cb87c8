"""ONE table of parameters per node: name, default (and with it the type), range, description.

They stand in ``avs_ros/data/parameters.yaml``.  Descriptors, ``config/avs.yaml`` and the
documents' table all come from there (``python tools/document_tables.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from avs_ros.errors import ParameterError
from avs_ros.gate import CATEGORY_THRESHOLDS, GATE_OPTIONS

Value: TypeAlias = "bool | int | float | str | list[str]"


class Change(Enum):
    """When a parameter may be changed while the node runs."""

    ANY_TIME = "any time"
    UNCONFIGURED = "before configure"
    NEVER = "at start only"


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter; ``minimum`` and ``maximum`` are inclusive, ``choices`` exhaustive."""

    name: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    change: Change = Change.ANY_TIME

    @property
    def type_name(self) -> str:
        """The ROS name of the type: bool, integer, double, string or string array."""
        names = {bool: "bool", int: "integer", float: "double", str: "string"}
        return names.get(type(self.default), "string array")

    @property
    def constraint(self) -> str:
        """Range or choices in words, "" for none."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.minimum is None or self.maximum is None:
            return ""
        return f"{self.minimum:g} to {self.maximum:g}"

    def check(self, value: object) -> None:
        """Raise :class:`ParameterError` when ``value`` has the wrong type or is out of range."""
        expected = type(self.default)
        if not isinstance(value, expected) or isinstance(value, bool) != (expected is bool):
            raise ParameterError(
                f"parameter {self.name} is {value!r}: expected a {self.type_name}"
            )
        if self.choices and value not in self.choices:
            raise ParameterError(
                f"parameter {self.name} is {value!r}: expected {self.constraint}"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise ParameterError(f"parameter {self.name} is {value}: expected a finite number")
        low, high = self.minimum, self.maximum
        if low is not None and high is not None and not low <= float(value) <= high:  # type: ignore[arg-type]
            raise ParameterError(f"parameter {self.name} is {value}: expected {self.constraint}")


Table: TypeAlias = "tuple[ParameterSpec, ...]"
_FILE = Path(__file__).parents[1] / "data" / "parameters.yaml"


def _gate() -> Table:
    """The gate's options; a negative number stands for the model's own value."""
    numbers = tuple(
        ParameterSpec(
            option.name, -1.0, f"{option.description}; -1 takes the model's own.", -1.0,
            option.maximum,
        )
        if option.default is None
        else ParameterSpec(
            option.name, option.default, f"{option.description}.", option.minimum, option.maximum
        )
        for option in GATE_OPTIONS
    )
    meaning = f"{CATEGORY_THRESHOLDS}; an empty text is ignored."
    return (*numbers, ParameterSpec("category_thresholds", [""], meaning))


def _table(rows: Mapping[str, Any]) -> Table:
    """One node's rows of the file; ``gate`` stands for the gate's options."""
    table: list[ParameterSpec] = []
    for name, row in rows.items():
        if name == "gate":
            table += _gate()
            continue
        low, high = row.get("range", (None, None))
        table.append(
            ParameterSpec(
                name, row["default"], row["description"], low, high,
                tuple(row.get("choices", ())), Change(row.get("change", Change.ANY_TIME.value)),
            )
        )
    return tuple(table)

<<<<<<< HEAD
PLAYER: Table = (
    _P("input", "", "Video file (mp4, mkv, …) or rosbag2 (folder, .mcap, .db3) to play.",
       change=Change.NEVER),
    _P("rate", 1.0, "Speed: 1 is real time.", 0.01, 100.0),
    _P("loop", False, "Start again at the end."),
    _P("loop_jumps_back", False,
       "Stamps jump back at each loop, as `ros2 bag play --loop` does; else time goes on.",
       change=Change.NEVER),
    _P("paused", False, "Hold the playback (set at start to begin on hold)."),
    _P("wait_for_subscribers", 0.0,
       "s to wait at the start until image and sound have a subscriber; 0 does not wait.",
       0.0, 3600.0, change=Change.NEVER),
    _P("exit_when_done", False, "End the process after the last message.", change=Change.NEVER),
    _P("publish_clock", True, "Publish /clock with the playback's time.", change=Change.NEVER),
    _P("clock_rate", 100.0, "Messages per second on /clock (Hz).", 1.0, 1000.0,
       change=Change.NEVER),
    _P("start_stamp", "now",
       "Stamp of the first frame: now, recorded (bags only) or seconds since the epoch.",
       change=Change.NEVER),
    _P("image_type", "Image", "Message type of the images; both publishes both.",
       choices=("Image", "CompressedImage", "both"), change=Change.NEVER),
    _P("audio_type", "auto",
       "Message type of the sound; auto: AudioDataStamped, RawAudio or AudioStamped, the first "
       "that is installed.",
       choices=("auto", *_AUDIO_TYPES), change=Change.NEVER),
    _P("audio_chunk", 0.032, "s of sound per message.", 0.005, 1.0, change=Change.NEVER),
    _P("qos", "reliable", "Quality of service of images and sound.", choices=_QOS,
       change=Change.NEVER),
    _P("frame_id", "camera_optical_frame", "frame_id of the images and camera_info.",
       change=Change.NEVER),
    _P("audio_frame_id", "microphone", "frame_id of the sound.", change=Change.NEVER),
    _P("horizontal_fov", 1.0472, "rad; field of view in camera_info of a video file.",
       0.1, 3.0, change=Change.NEVER),
    _P("image_topic", "", "Bag: topic of the images; empty takes the only or first one.",
       change=Change.NEVER),
    _P("audio_topic", "", "Bag: topic of the sound; empty takes the only or first one.",
       change=Change.NEVER),
    _P("audio_rate", 0, "Bag: Hz of sound messages that do not carry it; 0 goes by AudioInfo, "
       "else 16000.", 0, 384000, change=Change.NEVER),
    _P("audio_channels", 0, "Bag: their channels; 0 goes by AudioInfo, else 1.", 0, 64,
       change=Change.NEVER),
    _P("audio_format", "", "Bag: their sample format; empty goes by AudioInfo, else S16LE.",
       choices=("", *SAMPLE_FORMATS), change=Change.NEVER),
)

ATTENTION: Table = (
    _P("choose", "highest_score",
       "Which of several to look at: the highest score, the largest box, or labels in order.",
       choices=("highest_score", "largest", "label_priority")),
    _P("label_priority", [""], "Labels from most to least wanted, for choose:=label_priority."),
    _P("only_listed_labels", False, "Never look at labels outside label_priority."),
    _P("min_score", 0.3, "Detections below this score are not looked at.", 0.0, 1.0),
    _P("hysteresis", 0.2, "Share by which another must be better before the target changes.",
       0.0, 10.0),
    _P("dwell", 0.5, "s that something must sound, or be better, before it becomes the target.",
       0.0, 30.0),
    _P("hold", 1.0, "s that the target is kept after it fell silent.", 0.0, 60.0),
    _P("smoothing", 0.15, "s; time constant of the ray's low-pass. 0 is none.", 0.0, 10.0),
    _P("use_ids", False, "Stay with the target's `id`, not with what overlaps its box: for models "
       "whose ids stay with things (avsc_light)."),
    _P("use_mask", True, "Aim at the middle of the instance in `label_mask` if it is published.",
       change=Change.NEVER),
    _P("image_rectified", False, "Images are rectified: use P of camera_info, not K and D."),
    _P("qos", "auto", f"Quality of service of the subscriptions; {_AUTO}", choices=_INPUT_QOS,
       change=Change.NEVER),
)

MICROPHONE: Table = (
    _P("device", "", "Name (or part of it) or index of the input device; empty is the default.",
       change=Change.NEVER),
    _P("rate", 16000, "Hz; 0 takes the device's own.", 0, 384000, change=Change.NEVER),
    _P("channels", 1, "Channels to record.", 1, 64, change=Change.NEVER),
    _P("block", 0.032, "s of sound per message.", 0.005, 1.0, change=Change.NEVER),
    _P("audio_type", "auto",
       "Message type of the sound; auto: AudioDataStamped, RawAudio or AudioStamped, the first "
       "that is installed.",
       choices=("auto", *_AUDIO_TYPES), change=Change.NEVER),
    _P("qos", "sensor_data", "Quality of service of the sound.", choices=_QOS,
       change=Change.NEVER),
    _P("frame_id", "microphone", "frame_id of the sound.", change=Change.NEVER),
    _P("retry_period", 1.0, "s between two attempts to open a device that is gone.", 0.1, 60.0,
       change=Change.NEVER),
)

EVALUATOR: Table = (
    _P("output", "evaluation", "Folder for metrics.json and report.html, written at the end.",
       change=Change.NEVER),
    _P("wait", 2.0, "s of stamps that answers and truths of a frame may come apart.", 0.1, 60.0,
       change=Change.NEVER),
    _P("batch_frames", 5, "Frames that share an F threshold (AVSBench: one clip of 5).", 1, 1000,
       change=Change.NEVER),
    _P("use_probability", True, "Subscribe to `probability` too: M_F then rests on it.",
       change=Change.NEVER),
    _P("qos", "auto", f"Quality of service of the subscriptions; {_AUTO}", choices=_INPUT_QOS,
       change=Change.NEVER),
)
=======
>>>>>>> house2

# Node -> its parameters.
TABLES: Mapping[str, Table] = {
    node: _table(rows)
    for node, rows in yaml.safe_load(_FILE.read_text(encoding="utf-8")).items()
}
