"""The strongest simple thing: an ordinary segmentation network, and an ear that picks classes.

Not a model of the package: it needs the data folder's network, and knows 13 sounding classes.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from avs_ros.gate import SILENCE_DBFS
from avs_ros.inference.light import BUNDLED, RATE
from avs_ros.models.light.checkpoint import load_light
from avs_ros.models.light.families import FAMILY_NAMES
from avs_ros.segmentation import Bytes, Float, Layer, Prediction
from recipes.c3n_light.pictures import VocTeacher
from recipes.c3n_light.voc_network import VOC_FILE

# A family sounds from this evidence (log-odds: even) ...
HEARD = 0.0
# ... unless another one, visible or not, is heard more clearly by this much.
MARGIN = 1.0
NEGLIGIBLE = 0.002


class TeacherSegmenter:
    """VOC-21 masks of the families that the learned class-audio affinity hears.

    ``data``: the folder with ``weights`` and ``labels``; ``checkpoint``: the light file whose ear
    and affinity are used.  Raises MissingDependencyError without ai-edge-litert.
    """

    sample_rate, window_s = RATE, 1.0
    engine, device = "litert", "cpu"

    def __init__(self, data: Path, checkpoint: Path = BUNDLED) -> None:
        self.name, self.labels = "voc21_teacher", FAMILY_NAMES
        self._see = VocTeacher(
            data / "weights" / VOC_FILE,
            data / "labels" / "voc21_names.txt",
        )
        model = load_light(checkpoint)
        self._audioset = model.audioset
        self._network = model.network.requires_grad_(False)

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """See :class:`avs_ros.inference.segmenter.Segmenter`."""
        began = time.perf_counter()
        logits = self.audio_logits(window)
        heard = self.families_heard(logits)
        listened = time.perf_counter()
        seen, _ = self._see(frame)
        silent = 10 * np.log10(float(np.mean(np.square(window))) + 1e-12) < SILENCE_DBFS
        least = max(HEARD, float(heard.max()) - MARGIN)
        layers = []
        for k in np.argsort(-heard):
            found = seen == k + 1
            if heard[k] >= least and not silent and found.mean() >= NEGLIGIBLE:
                score = float(1 / (1 + np.exp(-heard[k])))
                layers.append(Layer(found.astype(np.float32), FAMILY_NAMES[int(k)], score))
        probability = np.zeros(seen.shape, np.float32)
        for layer in layers:
            probability = np.maximum(probability, layer.probability)
        audio = int(logits.argmax())
        done = time.perf_counter()
        return Prediction(
            probability=probability,
            sounding=layers[0].score if layers else 0.0,
            label=layers[0].label if layers else "",
            label_index=FAMILY_NAMES.index(layers[0].label) if layers else -1,
            audio_label=self._audioset[audio],
            audio_score=float(1 / (1 + np.exp(-logits[audio]))),
            layers=tuple(layers),
            ms={"hearing": (listened - began) * 1e3, "seeing": (done - listened) * 1e3},
        )

    def audio_logits(self, window: Float) -> Float:
        """AudioSet logits ``[527]``: the light model's ear."""
        with torch.no_grad():
            logits = self._network.hearing(torch.from_numpy(window)[None])[1]
        return np.asarray(logits[0].numpy())

    def families_heard(self, logits: Float) -> Float:
        """Evidence ``[K]``: the light model's affinity."""
        affinity = self._network.affinity
        with torch.no_grad():
            heard = affinity.by_family(affinity(torch.from_numpy(logits)[None]))
        return np.asarray(heard[0].numpy())

    def reset(self) -> None:
        """Nothing is remembered."""

    def close(self) -> None:
        """Nothing is held."""
