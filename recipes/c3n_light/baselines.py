"""What a model must beat: simple things that need the networks of the data folder.

They are no models of the package: an ordinary segmentation network whose classes the light
model's affinity picks, and the untrained activation map on public classifiers.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from avs_ros.errors import CheckpointError, ParameterError, optional
from avs_ros.gate import SILENCE_DBFS
from avs_ros.inference.light import BUNDLED
from avs_ros.inference.registry import create_segmenter
from avs_ros.inference.segmenter import Segmenter
from avs_ros.models.light.checkpoint import load_light
from avs_ros.models.light.vocabulary import CATEGORIES, CATEGORY_NAMES
from avs_ros.segmentation import Bytes, Float, Layer, Prediction, sigmoid
from avs_ros.sound import SAMPLE_RATE, level_dbfs

VOC, PUBLIC_CAM = "voc21_teacher", "consensus_cam_public"
BASELINES: dict[str, str] = {
    VOC: "VOC-21 network of the data folder, classes picked by c3n_light's learned affinity",
    PUBLIC_CAM: "consensus_cam on the data folder's public classifiers: nothing is trained",
}
VOC_FILE = "deeplabv3_mnv2_voc21_513_quant.tflite"
# A category sounds from this evidence (log-odds: even) ...
HEARD = 0.0
# ... unless another one, visible or not, is heard more clearly by this much.
MARGIN = 1.0
NEGLIGIBLE = 0.002


def create_baseline(name: str, data: Path | None, engine: str, device: str) -> Segmenter:
    """One of :data:`BASELINES`; ``data``: the folder with ``weights`` and ``labels``.

    Raises ParameterError without it, and what the model's own creation raises.
    """
    if data is None:
        raise ParameterError(f"--model {name} needs --data: its networks are there")
    if name == VOC:
        return VocSegmenter(data)
    weights = data / "weights"
    return create_segmenter(
        "consensus_cam", engine, device,
        visual_weights=weights / "mobilenet_v2_imagenet.safetensors",
        audio_weights=weights / "efficientat_mn04_audioset.safetensors",
    )  # fmt: skip


def open_litert(file: Path, purpose: str) -> Any:
    """A TensorFlow Lite file's interpreter, ready to run on one thread.

    Raises MissingDependencyError without ai-edge-litert, CheckpointError without the file.
    """
    litert = optional("ai_edge_litert.interpreter", purpose)
    if not file.is_file():
        raise CheckpointError(f"{file} is missing: check the data folder")
    interpreter = litert.Interpreter(model_path=str(file), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


class VocNetwork:
    """TensorFlow's VOC-21 network (Apache-2.0): masks of the classes that are categories here."""

    def __init__(self, model: Path, names: Path) -> None:
        self._net = open_litert(model, "the VOC-21 network")
        self._in = self._net.get_input_details()[0]["index"]
        self._out = self._net.get_output_details()[0]["index"]
        table = names.read_text().split("\n")
        index = {category.voc: k + 1 for k, category in reversed(list(enumerate(CATEGORIES)))}
        index.pop("", None)
        self._map = np.array([index.get(name.strip(), 0) for name in table[:21]], np.uint8)

    def __call__(self, image: Bytes) -> tuple[Bytes, Bytes]:
        """RGB ``[H, W, 3]`` -> (category mask, anything-of-VOC mask 0|1), both ``[H, W]``."""
        big = cv2.resize(image, (513, 513), interpolation=cv2.INTER_LINEAR)
        self._net.set_tensor(self._in, big[None])
        self._net.invoke()
        voc = self._net.get_tensor(self._out)[0].astype(np.uint8)
        voc = cv2.resize(voc, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        return self._map[voc], (voc > 0).astype(np.uint8)


class VocSegmenter:
    """VOC-21 masks of the categories that the learned class-audio affinity hears.

    ``data``: the folder with ``weights`` and ``labels``; ``checkpoint``: the light file whose ear
    and affinity are used.  Raises MissingDependencyError without ai-edge-litert.
    """

    sample_rate, window_s = SAMPLE_RATE, 1.0
    engine, device = "litert", "cpu"

    def __init__(self, data: Path, checkpoint: Path = BUNDLED) -> None:
        self.name, self.labels = VOC, CATEGORY_NAMES
        self._see = VocNetwork(
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
        heard = self.category_evidence(logits)
        listened = time.perf_counter()
        seen, _ = self._see(frame)
        silent = level_dbfs(window) < SILENCE_DBFS
        least = max(HEARD, float(heard.max()) - MARGIN)
        layers = []
        for k in np.argsort(-heard):
            found = seen == k + 1
            if heard[k] >= least and not silent and found.mean() >= NEGLIGIBLE:
                score = float(sigmoid(heard[k]))
                layers.append(Layer(found.astype(np.float32), CATEGORY_NAMES[int(k)], score))
        probability = np.zeros(seen.shape, np.float32)
        for layer in layers:
            probability = np.maximum(probability, layer.probability)
        audio = int(logits.argmax())
        done = time.perf_counter()
        return Prediction(
            probability=probability,
            score=layers[0].score if layers else 0.0,
            label=layers[0].label if layers else "",
            label_index=CATEGORY_NAMES.index(layers[0].label) if layers else -1,
            audio_label=self._audioset[audio],
            audio_score=float(sigmoid(logits[audio])),
            layers=tuple(layers),
            ms={"audio": (listened - began) * 1e3, "visual": (done - listened) * 1e3},
        )

    def audio_logits(self, window: Float) -> Float:
        """AudioSet logits ``[527]``: the light model's audio encoder."""
        with torch.no_grad():
            logits = self._network.audio_encoder(torch.from_numpy(window)[None])[1]
        return np.asarray(logits[0].numpy())

    def category_evidence(self, logits: Float) -> Float:
        """Evidence ``[K]``: the light model's affinity."""
        affinity = self._network.affinity
        with torch.no_grad():
            heard = affinity.by_category(affinity(torch.from_numpy(logits)[None]))
        return np.asarray(heard[0].numpy())

    def reset(self) -> None:
        """Nothing is remembered."""

    def close(self) -> None:
        """Nothing is held."""
