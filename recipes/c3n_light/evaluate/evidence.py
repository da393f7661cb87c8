"""Why a light model marks or refuses: what it hears, what it sees, what the gate makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from avs_ros.inference.frames import FramePreparation
from avs_ros.models.light.checkpoint import load_light
from avs_ros.segmentation import Bytes, Float

TOLD = 3


class Evidence:
    """Means over the frames of a clip, each judged by its own second alone (no context).

    ``checkpoint``: a light C3N file.
    """

    def __init__(self, checkpoint: Path) -> None:
        self._model = load_light(checkpoint)
        self._network = self._model.network.requires_grad_(False)
        eye = self._network.c3n.backbone
        self._frames = FramePreparation(
            self._network.image_size, eye.image_mean, eye.image_std, cv2.INTER_AREA
        )
        self._rows: list[Float] = []

    def begin(self) -> None:
        """A new clip."""
        self._rows.clear()

    def add(self, frame: Bytes, window: Float) -> None:
        """One frame uint8 RGB and its second ``[16000]``."""
        with torch.no_grad():
            feature, logits = self._network.hearing(torch.from_numpy(window)[None])
            out = self._network(torch.from_numpy(self._frames(frame).copy()), feature, logits)
        gate, seen = out.gate[0], out.seen[0]
        columns = (out.heard[0], seen[:, 0], seen[:, 2], gate, torch.sigmoid(gate))
        self._rows.append(torch.stack(columns, dim=1).numpy())

    def lines(self) -> Sequence[str]:
        """The families that are heard most, and those that the gate likes best."""
        if not self._rows:
            return []
        mean = np.mean(self._rows, axis=0)
        order = [*np.argsort(-mean[:, 0])[:TOLD], *np.argsort(-mean[:, 4])[:TOLD]]
        calibration = self._model.metadata.get("calibration", {})
        common, own = calibration.get("threshold", 0.5), calibration.get("thresholds", {})
        lines = [
            f"{'family':18s}{'heard':>7s}{'seen':>7s}{'CAM':>7s}{'gate':>7s}{'p':>6s}{'least':>7s}"
        ]
        for k in dict.fromkeys(int(i) for i in order):
            family = self._model.families[k]
            heard, seen, cam, gate, p = (float(x) for x in mean[k])
            lines.append(
                f"{family:18s}{heard:7.1f}{seen:7.1f}{cam:7.1f}{gate:7.1f}{p:6.2f}"
                f"{own.get(family, common):7.2f}"
            )
        return lines
