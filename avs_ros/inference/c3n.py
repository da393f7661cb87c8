"""C3N as published, behind the segmenter protocol: any backbone, audio network and engine.

The paper's models are a checkpoint, its audio network's public weights, and a label similarity.
``c3n_light_paper`` is the C3N inside the light file, by itself, with the authors' arithmetic: its
own mask and the unified label are the answer.  Nothing chooses among categories and nothing
refuses: what :class:`LightSegmenter` adds shows in the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import ModelError
from avs_ros.gate import POSTPROCESSED, GateConfig
from avs_ros.inference.bundle import Bundle, ModelRunners, identity_of, open_runners
from avs_ros.inference.cached_audio_encoder import check_window
from avs_ros.inference.engines import choose_device
from avs_ros.inference.gated_segmenter import (
    BUNDLED,
    BundleSegmenter,
    StageTimes,
    stretched_frames,
)
from avs_ros.models.labels import audioset
from avs_ros.segmentation import Bytes, Float, Prediction, sigmoid
from avs_ros.weights.sources import cache_folder, cached_paths, find_source, sha256_of

if TYPE_CHECKING:
    from avs_ros.inference.engines.program import StepProgram
    from avs_ros.models.audio.network import AudioNetwork
    from avs_ros.models.checkpoints import LoadedNetwork

Matrix = NDArray[np.floating]
# Share of the image whose mean probability says whether anything sounds.
_STRONGEST = 0.01


class C3NSegmenter(BundleSegmenter):
    """A C3N for one stream, one new frame at a time (see ``models/c3n/streaming``).

    ``runners``: its steps, opened with the metadata of ``c3n_bundle``.  ``interpolation``: how
    images are resized (OpenCV's).  ``gate``: only its ``audio_period`` is the model's own affair;
    the rest is post-processing's.  May be replaced at any time.
    """

    gate_options = POSTPROCESSED | {"audio_period"}

    def __init__(
        self, name: str, runners: ModelRunners, interpolation: int = cv2.INTER_LINEAR
    ) -> None:
        super().__init__(name, runners)
        metadata = runners.metadata
        self.labels: tuple[str, ...] = tuple(metadata["labels"])
        # Files read beside the checkpoint: {name: SHA-256}.
        self.weights: dict[str, str] = metadata.get("weights", {})
        self._frames = stretched_frames(metadata, interpolation)
        self.gate = GateConfig()

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """See :class:`Segmenter`.

        ``score``: mean probability of the most likely hundredth of the image; C3N has no
        output of its own for it.  ``ms``: "prepare", "audio", "network", "finish".
        """
        check_window(window)
        ms = StageTimes()
        pixels = self._frames(frame)
        ms.end("prepare")
        period_s = self.gate.settled({}).audio_period or 0.0
        (feature, scores), _ = self._audio_encoder.at(stamp_ns, window, period_s)
        ms.end("audio")
        past, shares = self._memory.recall(stamp_ns)
        logits, label, _, state = self._runner(pixels, feature, scores, past, shares)
        ms.end("network")
        self._memory.remember(stamp_ns, np.asarray(state, np.float32))
        probability = sigmoid(np.asarray(logits, np.float32)[0, 0])
        row, heard = int(label[0]), int(scores[0].argmax())
        count = max(1, round(_STRONGEST * probability.size))
        sounding = float(np.partition(probability.ravel(), -count)[-count:].mean())
        ms.end("finish")
        return Prediction(
            probability=probability,
            score=sounding,
            label=self.labels[row],
            label_index=row,
            audio_label=audioset().names[heard],
            audio_score=float(sigmoid(scores[0, heard])),
            ms=ms.taken,
        )


@dataclass(frozen=True)
class Options:
    """What a model of the paper is made of.

    ``checkpoint``: a C3N file, ours or the published code's; it decides ``visual`` and ``audio``.
    ``audio_weights``: the audio network's public file or files, where the checkpoint does not
    hold it; None: what ``avs weights download`` fetched.
    ``similarity``: a file, a form ("context", "plain") or an array [K, 527]; None: the
    checkpoint's own, else the shipped one.  ``random_weights``: for measuring speed, untrained.
    ``light``: the checkpoint is a light file (None: the bundled one), which holds everything.
    """

    checkpoint: str | Path | None = None
    visual: str = "pvt_v2_b5"
    audio: str = "panns"
    audio_weights: str | Path | Sequence[str | Path] | None = None
    similarity: str | Path | Matrix | None = None
    random_weights: bool = False
    frames_per_clip: int = 5
    light: bool = False

    def audio_files(self) -> list[Path]:
        """The given files of the audio network."""
        weights = self.audio_weights or ()
        return [Path(x) for x in ([weights] if isinstance(weights, str | Path) else weights)]


def create(
    name: str, engine: str = "auto", device: str = "auto", **options: Any
) -> C3NSegmenter:
    """A :class:`C3NSegmenter`; ``options``: see :class:`Options`.

    Raises ModelError where weights are missing, CheckpointError where they do not fit.
    """
    chosen = Options(**options)
    make = _light_bundle if chosen.light else _bundle
    runners = open_runners(
        name, _identity(chosen), lambda: make(name, chosen), engine, choose_device(device)
    )
    return C3NSegmenter(name, runners, cv2.INTER_AREA if chosen.light else cv2.INTER_LINEAR)


def program(name: str, **options: Any) -> StepProgram:
    """The model's visual step; arguments and errors as for :func:`create`."""
    from avs_ros.inference.model_steps import c3n_program

    chosen = Options(**options)
    if chosen.light:
        return _light_bundle(name, chosen).program()
    return c3n_program(_load(name, chosen).network, name, chosen.frames_per_clip)


def _bundle(name: str, options: Options) -> Bundle:
    from avs_ros.inference.model_steps import c3n_bundle

    loaded = _load(name, options)
    audio_encoder, files = _audio_encoder(loaded, options)
    bundle = c3n_bundle(
        loaded.network, audio_encoder, loaded.labels, name, options.frames_per_clip
    )
    hashes = {path.name: sha256_of(path) for path in files}
    return replace(bundle, metadata={**bundle.metadata, "weights": hashes})


def _light_bundle(name: str, options: Options) -> Bundle:
    from avs_ros.inference.model_steps import c3n_bundle
    from avs_ros.models.light.checkpoint import load_light

    model = load_light(options.checkpoint or BUNDLED)
    network = model.network.requires_grad_(False)
    return c3n_bundle(
        network.c3n, network.audio_encoder, model.rows, name, options.frames_per_clip
    )


def _load(name: str, options: Options) -> LoadedNetwork:
    import torch

    from avs_ros.models.c3n import C3N
    from avs_ros.models.checkpoints import AUDIO_BY_WIDTH, LoadedNetwork, load_c3n
    from avs_ros.models.label_similarity import load_similarity
    from avs_ros.models.labels import imagenet

    given, audio = options.similarity, options.audio
    matrix = load_similarity(given) if isinstance(given, str | Path) else given
    if options.checkpoint is not None:
        return load_c3n(options.checkpoint, matrix, load_similarity)
    if not options.random_weights:
        raise ModelError(
            f"{name} has no published weights: train it (`avs train c3n`) and give the path of "
            "the checkpoint as the model; `avs weights list` shows what can be downloaded for "
            "its backbone and audio network"
        )
    width = next(width for width, known in AUDIO_BY_WIDTH.items() if known == audio)
    # The caller's random state stays as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = C3N(options.visual, width, load_similarity() if matrix is None else matrix)
    return LoadedNetwork(network.eval(), audio, imagenet().short_names)


def _audio_encoder(loaded: LoadedNetwork, options: Options) -> tuple[AudioNetwork, list[Path]]:
    """The audio network, and the files beside the checkpoint that it was read from."""
    from avs_ros.models import audio as audio_networks
    from avs_ros.models.weight_file import load_state_dict_strictly

    files = options.audio_files() or None
    if files is None and options.random_weights:
        return audio_networks.build(loaded.audio), []
    if files is None and loaded.audio_encoder:
        network = audio_networks.build(loaded.audio)
        load_state_dict_strictly(network, loaded.audio_encoder, "the checkpoint's audio network")
        return network, []
    files = files or cached_paths(find_source(loaded.audio))
    if files is None:
        raise ModelError(
            f"the checkpoint does not hold its audio network's weights: download them with "
            f"`avs weights download {loaded.audio}`, or give the file (audio_weights)"
        )
    return audio_networks.build(loaded.audio, checkpoint=files), files


def _identity(options: Options) -> str:
    """Of a model: its files' contents, its options, and what downloaded weights there are."""
    checkpoint = options.checkpoint or (BUNDLED if options.light else None)
    files = [] if checkpoint is None else [Path(checkpoint)]
    files += options.audio_files()
    parts: tuple[object, ...] = (
        "published", options.light, options.visual, options.audio, options.random_weights,
        options.frames_per_clip,
    )  # fmt: skip
    similarity = options.similarity
    if isinstance(similarity, str | Path):
        parts += (str(similarity),)
        files += [Path(similarity)] if Path(similarity).is_file() else []
    elif similarity is not None:
        parts += (np.asarray(similarity).dtype, np.asarray(similarity).tobytes())
    folder = cache_folder()
    if folder.is_dir():
        found = sorted(folder.iterdir())
        parts += tuple((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in found)
    return identity_of(*parts, files=tuple(files))
