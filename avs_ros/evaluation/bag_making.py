"""Data sets and videos -> rosbag2: camera, microphone, calibration and the truth as topics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from avs_ros.conversions.audio import AUDIO_TYPES, make_audio, make_audio_info, to_int16
from avs_ros.conversions.camera import make_camera_info
from avs_ros.conversions.detections import make_detections
from avs_ros.conversions.image_writing import make_image, rgb_to_compressed
from avs_ros.conversions.messages import make_header
from avs_ros.errors import DatasetError, ImageFormatError
from avs_ros.evaluation.avsbench import AVSBenchClip
from avs_ros.evaluation.boxes import Box, BoxNote, box_of
from avs_ros.evaluation.clip_arrays import read_clip
from avs_ros.evaluation.run_files import make_folder
from avs_ros.evaluation.truth import Truth
from avs_ros.media.bag_types import BAG
from avs_ros.media.bag_writer import BagWriter
from avs_ros.media.leaps import FilmLine
from avs_ros.media.source import Frame, Sound, Source
from avs_ros.segmentation import Bytes, Instance, Segmentation
from avs_ros.sound import SAMPLE_RATE

IMAGE, COMPRESSED, AUDIO = "/image", "/image/compressed", "/audio"
CAMERA_INFO, AUDIO_INFO = "/camera_info", "/audio_info"
TRUE_MASK, TRUE_DETECTIONS = "/ground_truth/mask", "/ground_truth/detections"
CAMERA_FRAME, SOUND_FRAME = "camera_optical_frame", "microphone"
# A round time that is neither 0 (an unset stamp) nor any real recording's.
START_NS = 1_000_000_000_000_000_000
SECOND_NS = 1_000_000_000
CHUNK = 512
FIELD_OF_VIEW = 1.0472


class SceneWriter(BagWriter):
    """Writes one recording; whole after :meth:`close`."""

    def __init__(
        self, path: Path, *, audio_type: str = "AudioDataStamped", compressed: bool = False,
        storage: str = "mcap",
    ) -> None:
        """``audio_type``: a name in ``conversions.AUDIO_TYPES``; ``compressed``: JPEG images.

        ``path`` and ``storage``: see :class:`~avs_ros.media.bag_writer.BagWriter`.
        """
        super().__init__(path, storage)
        self._audio_type = audio_type
        self._compressed = compressed
        image = "CompressedImage" if compressed else "Image"
        self._image = COMPRESSED if compressed else IMAGE
        self.declare(self._image, f"sensor_msgs/msg/{image}")
        self.declare(CAMERA_INFO, "sensor_msgs/msg/CameraInfo")
        self.declare(AUDIO, AUDIO_TYPES[audio_type])
        if audio_type in ("AudioDataStamped", "AudioData"):  # they do not say what they hold
            self.declare(AUDIO_INFO, "audio_common_msgs/msg/AudioInfo", latched=True)

    def image(self, stamp_ns: int, rgb: Bytes) -> None:
        """uint8 ``[H, W, 3]`` RGB and the calibration of an ideal camera."""
        header = make_header(BAG, stamp_ns, CAMERA_FRAME)
        height, width = rgb.shape[:2]
        make = rgb_to_compressed if self._compressed else make_image
        self.write(self._image, make(BAG, header, rgb), stamp_ns)
        info = make_camera_info(BAG, header, width, height, FIELD_OF_VIEW)
        self.write(CAMERA_INFO, info, stamp_ns)

    def sound(self, stamp_ns: int, samples: Any, rate: int) -> int:
        """Samples ``[n]`` or ``[n, channels]`` whose first one is at ``stamp_ns``.

        Returns the number of messages.
        """
        channels = 1 if samples.ndim == 1 else samples.shape[1]
        if self.counts.get(AUDIO_INFO) == 0:
            self.write(AUDIO_INFO, make_audio_info(BAG, rate, channels), stamp_ns)
        for start in range(0, len(samples), CHUNK):
            at_ns = stamp_ns + round(start * SECOND_NS / rate)
            part = samples[start : start + CHUNK]
            message = make_audio(BAG, self._audio_type, at_ns, part, rate, SOUND_FRAME)
            # Recorded when its last sample had been heard, as a real bag has it.
            self.write(AUDIO, message, at_ns + round(len(part) * SECOND_NS / rate))
        return math.ceil(len(samples) / CHUNK)

    def truth(self, stamp_ns: int, mask: Bytes, labels: Sequence[str] = ()) -> None:
        """uint8 ``[h, w]``, above 0 = sounding, and the names of the sounding object."""
        self.declare(TRUE_MASK, "sensor_msgs/msg/Image")
        header = make_header(BAG, stamp_ns, CAMERA_FRAME)
        shown = np.where(mask > 0, np.uint8(255), np.uint8(0))
        self.write(TRUE_MASK, make_image(BAG, header, shown), stamp_ns)
        height, width = mask.shape
        around = box_of(mask) or (0.0, 0.0, float(width), float(height))
        self.boxes(stamp_ns, (width, height), [(name, around) for name in labels])

    def boxes(
        self, stamp_ns: int, size: tuple[int, int], found: Sequence[tuple[str, Box]]
    ) -> None:
        """Name and box (px) of everything that sounds in the image ``size`` (width, height)."""
        self.declare(TRUE_DETECTIONS, "vision_msgs/msg/Detection2DArray")
        width, height = size
        instances = tuple(
            Instance(index, name, 1.0, box, 0) for index, (name, box) in enumerate(found, 1)
        )
        answer = Segmentation(
            stamp_ns, width, height, bool(found), 1.0, "", "", 0.0, instances, None, 0.0,
            np.zeros((1, 1), np.float32), np.zeros((1, 1), np.uint8),
        )  # fmt: skip
        header = make_header(BAG, stamp_ns, CAMERA_FRAME)
        self.write(TRUE_DETECTIONS, make_detections(BAG, header, answer), stamp_ns)


def _write_clip(clip: AVSBenchClip, path: Path, size: int, form: Mapping[str, Any]) -> None:
    """Frame t ends second t, as its sound is paired."""
    arrays = read_clip(clip, size)
    with SceneWriter(path, **form) as writer:
        for t, second in enumerate(arrays.seconds):
            writer.sound(START_NS + t * SECOND_NS, to_int16(second), SAMPLE_RATE)
            stamp_ns = START_NS + (t + 1) * SECOND_NS
            writer.image(stamp_ns, arrays.frames[t])
            if arrays.annotated[t]:
                mask = arrays.masks[t]
                labels = [clip.category] if clip.category and mask.any() else []
                writer.truth(stamp_ns, mask, labels)


def convert_clips(
    clips: Iterable[AVSBenchClip], folder: Path, *, size: int = 224, **form: Any
) -> Iterator[Path]:
    """Every clip into ``folder``; yields each bag once it is whole, skips those that are there."""
    for clip in clips:
        place = folder / (clip.subset.replace("/", "_") + "_" + clip.split)
        path = _target(place, clip.name, form)
        if not path.exists():
            _write_clip(clip, path, size, form)
        yield path


def convert_annotated(
    videos: Path, notes: Mapping[str, Sequence[BoxNote]], folder: Path, **form: Any
) -> Iterator[Path | None]:
    """Every annotated clip of the folder ``videos`` into ``folder``.

    Yields each bag once it is whole, None for a clip without a video file; skips bags that are
    there.
    """
    from avs_ros.media.opening import open_recording

    if not videos.is_dir():
        raise DatasetError(f"{videos} is not a folder with the annotated clips")
    files = {path.stem: path for path in sorted(videos.iterdir()) if path.is_file()}
    for name, found in notes.items():
        path = _target(folder, name, form)
        if name in files and not path.exists():
            with closing(open_recording(files[name])) as source:
                convert_recording(source, path, found, **form)
        yield path if name in files else None


def _target(folder: Path, name: str, form: Mapping[str, Any]) -> Path:
    """The bag ``name`` in ``folder``, which is made; a sqlite3 bag is a folder."""
    return make_folder(folder) / (name + ("" if form.get("storage") == "sqlite3" else ".mcap"))


def convert_recording(
    source: Source, path: Path, notes: Sequence[BoxNote] = (),
    truths: Mapping[int, Truth] | None = None, **form: Any,
) -> dict[str, int]:
    """A video file or another bag -> a bag with this package's topic names.

    ``notes``: boxes for ``/ground_truth/detections``, each at the image that is nearest to it;
    ``truths``: stamp -> what is true there.  Where stamps jump back (a recording played in a
    loop), time goes on.  Returns how many ``frames``, ``sounds`` (messages of either), ``masks``
    and ``boxes`` were written, and how many frames were ``refused``: they cannot be decoded.
    """
    counts = dict.fromkeys(("frames", "sounds", "masks", "boxes", "refused"), 0)
    line = FilmLine(ahead_ns=None)
    sizes: dict[int, tuple[int, int]] = {}
    with SceneWriter(path, **form) as writer:
        for event in source.events():
            if isinstance(event, Frame):
                try:
                    rgb = event.decode()
                except ImageFormatError:
                    counts["refused"] += 1
                    continue
                stamp_ns = line.place("image", event.stamp_ns, event.stamp_ns)
                writer.image(stamp_ns, rgb)
                sizes[stamp_ns] = (rgb.shape[1], rgb.shape[0])
                counts["frames"] += 1
            elif isinstance(event, Sound):
                stamp_ns = line.place("sound", event.stamp_ns, event.end_ns)
                counts["sounds"] += writer.sound(stamp_ns, to_int16(event.samples), event.rate_hz)
        for stamp_ns, near in _placed(notes, list(sizes)).items():
            width, height = sizes[stamp_ns]
            boxes = [
                (note.label, (x0 * width, y0 * height, x1 * width, y1 * height))
                for note in near for x0, y0, x1, y1 in note.boxes
            ]  # fmt: skip
            writer.boxes(stamp_ns, (width, height), boxes)
            counts["boxes"] += len(boxes)
        for stamp_ns, truth in (truths or {}).items():
            if truth.mask is not None:
                writer.truth(stamp_ns, truth.mask, truth.labels)
                counts["masks"] += 1
            elif stamp_ns in sizes:
                names = [*truth.labels, *[""] * (len(truth.boxes) - len(truth.labels))]
                found = list(zip(names, truth.boxes))
                writer.boxes(stamp_ns, sizes[stamp_ns], found)
                counts["boxes"] += len(found)
    return counts


def _placed(notes: Sequence[BoxNote], stamps: Sequence[int]) -> dict[int, list[BoxNote]]:
    """Image's stamp -> what is known of it."""
    out: dict[int, list[BoxNote]] = {}
    for note in notes:
        first, last = min(stamps), max(stamps)
        wanted = (first + last) / 2 if note.time_s is None else first + note.time_s * SECOND_NS
        if not first - SECOND_NS <= wanted <= last + SECOND_NS:
            raise DatasetError(
                f"boxes of {note.label!r} are at {note.time_s:g} s, but the images last "
                f"{(last - first) / SECOND_NS:.1f} s"
            )
        out.setdefault(min(stamps, key=lambda stamp: abs(stamp - wanted)), []).append(note)
    return dict(sorted(out.items()))
