"""A model's probabilities -> instances, boxes and the point to look at.

Works at the model's resolution; only boxes and points are scaled to the input image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import ParameterError
from avs_ros.gate import GateConfig, lowered, names_of
from avs_ros.instances import (
    MAX_INSTANCES,
    Region,
    attention_point,
    connected_regions,
    numbered,
    regions_of_layers,
)
from avs_ros.segmentation import Float, Instance, Prediction, Segmentation

if TYPE_CHECKING:
    from avs_ros.streaming.inputs import Pair

SMOOTHING_STEP_S = 0.1


@dataclass(frozen=True)
class PostprocessConfig:
    """What counts as a sounding thing.

    ``threshold``: probability above which a pixel is marked, 0..1.  ``hysteresis``: a pixel that
    was marked stays so until this much below its threshold.  ``min_area``: smallest instance,
    share of the image.  ``labels_keep`` (empty: all) and ``labels_ignore``: names of visual
    labels or of what is heard, upper and lower case alike; for "tabby, tabby cat" either name or
    both will do.  ``smoothing``: share of the past that is left after 0.1 s, 0 (off) .. below 1.
    ``max_instances``: 1..254.  ``gate``: whether anything sounds at all; a model that decides by
    a gate of its own must be given the same one (:func:`avs_ros.gate.apply_gate`).
    """

    threshold: float = 0.5
    min_area: float = 0.002
    labels_keep: tuple[str, ...] = ()
    labels_ignore: tuple[str, ...] = ()
    smoothing: float = 0.0
    max_instances: int = 16
    hysteresis: float = 0.0
    gate: GateConfig = field(default_factory=GateConfig)

    def __post_init__(self) -> None:
        """Raise :class:`ParameterError` for a value out of its range."""
        for name in ("threshold", "min_area", "hysteresis"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ParameterError(f"{name} is {value}; must be from 0 to 1")
        if not 0.0 <= self.smoothing < 1.0:
            raise ParameterError(f"smoothing is {self.smoothing}; must be 0 or more, below 1")
        if not 1 <= self.max_instances <= MAX_INSTANCES:
            raise ParameterError(
                f"max_instances is {self.max_instances}; must be from 1 to {MAX_INSTANCES}"
            )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> PostprocessConfig:
        """From node parameters or command-line arguments, by name; others are passed over.

        Empty names of labels are ignored (ROS 2 has no empty array).  Raises ParameterError.
        """
        plain = ("threshold", "min_area", "smoothing", "max_instances", "hysteresis")
        given = {name: values[name] for name in plain if name in values}
        for name in ("labels_keep", "labels_ignore"):
            given[name] = tuple(label for label in values.get(name) or () if label)
        return cls(**given, gate=GateConfig.of(values))


class Postprocessor:
    """Turns the predictions of one stream into segmentations.

    ``config`` may be replaced at any time.  Keeps the past only for ``smoothing``,
    ``hysteresis`` and ``hold``.
    """

    def __init__(self, config: PostprocessConfig | None = None) -> None:
        """Use ``config`` (None: the defaults)."""
        self.config = config if config is not None else PostprocessConfig()
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._stamp_ns: int | None = None
        self._maps: dict[str, Float] = {}
        self._sounding = 0.0
        self._was_sounding = False
        self._was_marked: NDArray[np.bool_] | None = None

    def process(self, prediction: Prediction, pair: Pair) -> Segmentation:
        """Segmentation of the pair's frame, in the frame's own pixels.

        Instances are the prediction's layers if it has any, else the connected parts of the
        thresholded map; the strongest (largest sum of probability, of several of one name by how
        much they move) comes first.  The point is the
        probability-weighted centroid of the strongest (weighted by what speaks for its label, too,
        where the model tells), moved to the nearest of its pixels.  Where
        the gate (the model's own, else that of ``config``) lets nothing through, in silence, or
        with an ignored label everything is empty, the probability map too.
        """
        config = self.config
        if pair.level_dbfs < config.gate.silence_dbfs:
            self.reset()
            return self._nothing(replace(prediction, score=0.0), pair)
        prediction = self._smooth(prediction, pair.stamp_ns, config)
        self._was_sounding = self._sounds(prediction, config.gate)
        heard_allowed = _named(prediction.audio_label, config.labels_keep)
        if not self._was_sounding or _named(prediction.audio_label, config.labels_ignore):
            self._was_marked = None
            return self._nothing(prediction, pair)
        regions, shown = self._regions(prediction, config, heard_allowed)
        return self._assemble(prediction, pair, regions, shown)

    def _sounds(self, prediction: Prediction, gate: GateConfig) -> bool:
        """Whether anything does: by the model's own gate, else by score, held over or not."""
        if prediction.gated:
            return bool(prediction.layers)
        threshold = gate.threshold_of(prediction.label)
        if self._was_sounding and gate.hold:
            return prediction.score >= float(lowered(threshold, gate.hold))
        return threshold < 1 and prediction.score >= threshold

    def _smooth(
        self, prediction: Prediction, stamp_ns: int, config: PostprocessConfig
    ) -> Prediction:
        """Blend maps and sounding with the past, by the time since the last frame."""
        elapsed_s = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) * 1e-9
        if elapsed_s < 0 or config.smoothing == 0.0:
            self._maps = {}
        known = bool(self._maps) and self._stamp_ns is not None
        self._stamp_ns = stamp_ns
        if config.smoothing == 0.0:
            return prediction
        keep = config.smoothing ** (elapsed_s / SMOOTHING_STEP_S) if known else 0.0
        keys = [str(layer.index or layer.label) for layer in prediction.layers]
        maps: dict[str, Float] = {}
        whole = self._blend("", prediction.probability, keep, maps)
        layers = tuple(
            # Without a number, two layers of one name cannot be told apart from frame to frame:
            # they are left as they are.
            layer if keys.count(key) > 1 or not key
            else replace(layer, probability=self._blend(key, layer.probability, keep, maps))
            for key, layer in zip(keys, prediction.layers, strict=True)
        )
        self._maps = maps
        self._sounding = keep * self._sounding + (1.0 - keep) * prediction.score
        return replace(prediction, probability=whole, layers=layers, score=self._sounding)

    def _blend(self, name: str, now: Float, keep: float, maps: dict[str, Float]) -> Float:
        past = self._maps.get(name)
        if past is not None and past.shape == now.shape:
            now = np.asarray(keep * past + (1.0 - keep) * now, dtype=np.float32)
        maps[name] = now
        return now

    def _regions(
        self, prediction: Prediction, config: PostprocessConfig, heard_allowed: bool
    ) -> tuple[list[Region], Float]:
        """Candidate instances, strongest first, and the probability map to show."""
        shape = prediction.probability.shape

        def allowed(label: str) -> bool:
            if _named(label, config.labels_ignore):
                return False
            return not config.labels_keep or heard_allowed or _named(label, config.labels_keep)

        smallest = max(1.0, config.min_area * shape[0] * shape[1])
        layers = [layer for layer in prediction.layers if allowed(layer.label)]
        if prediction.layers:
            nothing = np.zeros(shape, np.float32)
            shown = np.max([nothing, *(layer.probability for layer in layers)], axis=0)
            regions = regions_of_layers(layers, self._marked(shown, config), smallest)
        elif allowed(prediction.label):
            shown = prediction.probability
            regions = connected_regions(
                shown, self._marked(shown, config), prediction.label, smallest
            )
        else:
            shown, regions = np.zeros(shape, np.float32), []
        regions.sort(key=lambda region: -region.strength)
        return regions[: config.max_instances], np.asarray(shown, dtype=np.float32)

    def _marked(self, probability: Float, config: PostprocessConfig) -> NDArray[np.bool_]:
        marked = probability > config.threshold
        past = self._was_marked
        if config.hysteresis > 0 and past is not None and past.shape == marked.shape:
            marked |= past & (probability > config.threshold - config.hysteresis)
        return np.asarray(marked)

    def _assemble(
        self, prediction: Prediction, pair: Pair, regions: list[Region], shown: Float
    ) -> Segmentation:
        found = replace(self._nothing(prediction, pair), probability_map=shown)
        label_map = np.zeros(shown.shape, dtype=np.uint8)
        sx, sy = found.width / shown.shape[1], found.height / shown.shape[0]
        instances = []
        for index, region in numbered(regions):
            label_map[region.pixels] = index
            rows = np.flatnonzero(region.pixels.any(axis=1))
            columns = np.flatnonzero(region.pixels.any(axis=0))
            x0, x1 = float(columns[0] * sx), float((columns[-1] + 1) * sx)
            y0, y1 = float(rows[0] * sy), float((rows[-1] + 1) * sy)
            area = round(np.count_nonzero(region.pixels) * sx * sy)
            score = min(1.0, max(0.0, region.score))
            instances.append(Instance(index, region.label, score, (x0, y0, x1, y1), area))
        self._was_marked = label_map > 0
        if not instances:
            return found
        return replace(
            found,
            sounding=True,
            label=instances[0].label if prediction.layers else prediction.label,
            instances=tuple(instances),
            point=attention_point(regions[0].attraction, regions[0].pixels, sx, sy),
            area=float(np.count_nonzero(label_map) / label_map.size),
            label_map=label_map,
        )

    def _nothing(self, prediction: Prediction, pair: Pair) -> Segmentation:
        """What is heard, and nothing marked."""
        height, width = np.shape(pair.image)[:2]
        shape = prediction.probability.shape
        return Segmentation(
            pair.stamp_ns, int(width), int(height), False, prediction.score, "",
            prediction.audio_label, prediction.audio_score, (), None, 0.0,
            np.zeros(shape, np.float32), np.zeros(shape, np.uint8),
            self.config.threshold, pair.coverage, pair.level_dbfs, prediction.ms,
        )


def _named(label: str, names: Iterable[str]) -> bool:
    """Whether ``label``, or one of its comma-separated names, is among ``names``."""
    return not {name.strip().casefold() for name in names}.isdisjoint(names_of(label))
