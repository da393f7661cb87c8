"""A film of a recorded run (camera, overlay, sound with what was marked), and a film's moments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.media.decoding import import_av, local_url
from avs_ros.media.recorded_run import RecordedPrediction, RecordedRun
from avs_ros.media.video_writer import VideoWriter
from avs_ros.overlay import GREY, WHITE, Colour, label_colour, put_text, text_width
from avs_ros.segmentation import Bytes

BACKGROUND: Colour = (20, 22, 27)
FAINT: Colour = (58, 63, 73)
WAVE: Colour = (96, 165, 240)
COMING: Colour = (70, 77, 90)
HEAD, STRIP, GAP = 30, 112, 6


class Panels:
    """Draws one frame of the film after the other.

    Left the camera, right the answer that the node had given by that frame (the newest one not
    younger than the image), below the sound of the whole run with what was marked so far.
    """

    def __init__(self, run: RecordedRun) -> None:
        self._run = run
        self._first_ns = run.frames[0][0]
        self.seconds = max(1e-3, (run.frames[-1][0] - self._first_ns) * 1e-9)
        image = decode(run.frames[0][1])
        self._height, self._width = image.shape[:2]
        self.width = 2 * self._width + GAP
        self.height = HEAD + self._height + STRIP
        rows = np.abs(np.arange(STRIP)[:, None] - (STRIP // 2 - 6))
        # [STRIP, width, 1]: where the sound's bars are; their colours; what lies behind them.
        self._bars = (rows <= np.round((STRIP // 2 - 16) * self._envelope(self.width)))[..., None]
        self._colours = np.full((self.width, 3), COMING, np.uint8)
        self._scale = self._seconds_scale()
        self._canvas = np.full((self.height, self.width, 3), BACKGROUND, np.uint8)
        put_text(self._canvas, "camera", 10, 20, 11, WHITE)
        self._right = self._width + GAP
        title = "segmentation_node"
        put_text(self._canvas, title, self._right + 10, 20, 11, WHITE)
        self._note_from = self._right + 10 + text_width(title, 11) + 14
        self._answer: RecordedPrediction | None = None
        self._shown = image
        self._column = 0  # up to which the bars have their colours

    def _envelope(self, columns: int) -> NDArray[np.float64]:
        """Loudest sample of each column of the strip, 0..1, square root for the quiet ones."""
        run = self._run
        lead = round((self._first_ns - run.sound_from_ns) * 1e-9 * run.rate_hz)
        length = round(self.seconds * run.rate_hz)
        track = np.zeros(length, np.float32)
        source = run.sound[max(0, lead) : max(0, lead + length)]
        at = max(0, -lead)
        track[at : at + len(source)] = source[: length - at]
        edges = np.linspace(0, length, columns + 1).astype(int)[:-1]
        loudest = np.maximum.reduceat(np.abs(track), np.minimum(edges, max(length - 1, 0)))
        return np.sqrt(loudest / max(float(loudest.max()), 1e-6))

    def draw(self, stamp_ns: int, image: Bytes) -> Bytes:
        """The film's frame for the camera's image at ``stamp_ns``."""
        answer = self._run.answers.get(stamp_ns)
        if answer is not None:
            self._answer = answer
            if answer.overlay:
                self._shown = decode(answer.overlay)
        out = self._canvas
        out[HEAD : HEAD + self._height, : self._width] = image
        panel = out[HEAD : HEAD + self._height, self._right :]
        panel[:] = self._shown if self._answer is not None else image // 3
        self._draw_note(out, stamp_ns)
        self._draw_strip(out, stamp_ns)
        return out

    def _draw_note(self, out: Bytes, stamp_ns: int) -> None:
        out[:HEAD, self._note_from :] = BACKGROUND
        if self._answer is None:
            note = "waiting for its first answer"
        elif (behind := (stamp_ns - self._answer.stamp_ns) * 1e-6) > 0:
            note = f"newest answer is {behind:.0f} ms old"
        elif self._answer.latency_ms is not None:
            note = f"answered in {self._answer.latency_ms:.0f} ms"
        else:
            return
        put_text(out, note, self._note_from, 20, 10, GREY)

    def _seconds_scale(self) -> Bytes:
        scale = np.full((STRIP, self.width, 3), BACKGROUND, np.uint8)
        for second in range(0, int(self.seconds) + 1, 2):
            x = round(second / self.seconds * self.width)
            cv2.line(scale, (x, STRIP - 20), (x, STRIP - 15), FAINT, 1)
            put_text(scale, f"{second} s", x + 4, STRIP - 6, 9, GREY)
        return scale

    def _draw_strip(self, out: Bytes, stamp_ns: int) -> None:
        """Columns up to now in the colour of what is marked; those that come in grey."""
        since = (stamp_ns - self._first_ns) * 1e-9
        now = min(self.width, round(since / self.seconds * self.width))
        label = self._answer.label if self._answer is not None else ""
        self._colours[self._column : now] = label_colour(label) if label else WAVE
        self._column = now
        strip = out[HEAD + self._height :]
        strip[:] = np.where(self._bars, self._colours, self._scale)
        x = min(self.width - 1, now)
        cv2.line(strip, (x, 4), (x, STRIP - 24), WHITE, 1)


def decode(jpeg: bytes) -> Bytes:
    """JPEG -> uint8 ``[H, W, 3]`` RGB."""
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(np.asarray(bgr), cv2.COLOR_BGR2RGB), np.uint8)


def write_film(
    run: RecordedRun, path: Path, on_frame: Callable[[], None] = lambda: None
) -> None:
    """Write the film of ``run`` with its sound; ``on_frame`` is called after each frame."""
    panels = Panels(run)
    fps = len(run.frames) / panels.seconds
    writer = VideoWriter(path, panels.width, panels.height, fps, run.rate_hz, 1)
    try:
        writer.sound(run.sound_from_ns, run.sound, run.rate_hz)
        for stamp_ns, image in run.frames:
            writer.frame(stamp_ns, panels.draw(stamp_ns, decode(image)))
            on_frame()
    finally:
        writer.close()


def choose_moments(
    times: Sequence[float], scores: Sequence[float], labels: Sequence[str], most: int = 8
) -> list[int]:
    """Positions of at most ``most`` frames: the surest of each run of equal labels.

    ``labels``: what was marked, "" for nothing.  The longest runs come first; the result is in
    order of time.
    """
    runs = [list(run) for _, run in groupby(range(len(labels)), labels.__getitem__)]
    runs.sort(key=lambda run: (-(times[run[-1]] - times[run[0]]), run[0]))
    chosen = [
        max(run, key=scores.__getitem__) if labels[run[0]] else run[len(run) // 2]
        for run in runs[:most]
    ]
    return sorted(chosen)


def jpeg(rgb: Bytes, width: int = 480, quality: int = 82) -> bytes:
    """An image as JPEG, at most ``width`` pixels wide."""
    if rgb.shape[1] > width:
        size = (width, max(1, round(rgb.shape[0] * width / rgb.shape[1])))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def thumbnails(video: Path, positions: Sequence[int], width: int = 480) -> list[bytes]:
    """Frames number ``positions`` (rising) of a film as JPEG images."""
    wanted = set(positions)
    found = []
    with import_av().open(local_url(video)) as container:
        for position, frame in enumerate(container.decode(video=0)):
            if position in wanted:
                found.append(jpeg(frame.to_ndarray(format="rgb24"), width))
            if len(found) == len(wanted):
                break
    return found
