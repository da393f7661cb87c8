"""The paper's models: a checkpoint, its audio network's public weights, a label similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import ModelError
from avs_ros.inference.bundle import Bundle, identity_of, open_runners
from avs_ros.inference.c3n import AudioContext, C3NSegmenter
from avs_ros.inference.engines import choose_device
from avs_ros.weights import cache_folder, cached_paths, find_source
from avs_ros.weights.identity import sha256_of

if TYPE_CHECKING:
    from avs_ros.inference.engines import StepProgram
    from avs_ros.models.audio.network import AudioNetwork
    from avs_ros.models.checkpoints import LoadedNetwork

Matrix = NDArray[np.floating]

AudioWeights = str | Path | Sequence[str | Path]


def create(
    name: str,
    engine: str = "auto",
    device: str = "auto",
    *,
    checkpoint: str | Path | None = None,
    visual: str = "pvt_v2_b5",
    audio: str = "panns",
    audio_weights: AudioWeights | None = None,
    similarity: str | Path | Matrix | None = None,
    random_weights: bool = False,
    frames_per_clip: int = 5,
    audio_context: AudioContext | None = None,
) -> C3NSegmenter:
    """A :class:`C3NSegmenter`.

    ``checkpoint``: a C3N file, ours or the published code's; it decides ``visual`` and ``audio``.
    ``audio_weights``: the audio network's public file or files, where the checkpoint does not
    hold it; None: what ``avs weights download`` fetched.
    ``similarity``: a file, a form ("context", "plain") or an array [K, 527]; None: the
    checkpoint's own, else the shipped one.  ``random_weights``: for measuring speed, untrained.
    Raises ModelError where weights are missing, CheckpointError where they do not fit.
    """

    def make() -> Bundle:
        from avs_ros.inference.c3n_steps import c3n_bundle

        loaded = _load(name, checkpoint, visual, audio, similarity, random_weights)
        audio_encoder, files = _audio_encoder(loaded, audio_weights, random_weights)
        bundle = c3n_bundle(loaded.network, audio_encoder, loaded.labels, name, frames_per_clip)
        hashes = {path.name: sha256_of(path) for path in files}
        return replace(bundle, metadata={**bundle.metadata, "weights": hashes})

    options = (visual, audio, random_weights, frames_per_clip)
    identity = _identity(checkpoint, audio_weights, similarity, options)
    runners = open_runners(name, identity, make, engine, choose_device(device))
    return C3NSegmenter.of(name, runners, audio_context)


def program(
    name: str,
    *,
    checkpoint: str | Path | None = None,
    visual: str = "pvt_v2_b5",
    audio: str = "panns",
    similarity: str | Path | Matrix | None = None,
    random_weights: bool = False,
    frames_per_clip: int = 5,
) -> StepProgram:
    """The model's visual step; arguments and errors as for :func:`create`."""
    from avs_ros.inference.c3n_steps import c3n_program

    loaded = _load(name, checkpoint, visual, audio, similarity, random_weights)
    return c3n_program(loaded.network, name, frames_per_clip)


def _load(
    name: str,
    checkpoint: str | Path | None,
    visual: str,
    audio: str,
    similarity: str | Path | Matrix | None,
    random_weights: bool,
) -> LoadedNetwork:
    import torch

    from avs_ros.models.c3n import C3N
    from avs_ros.models.checkpoints import AUDIO_BY_WIDTH, LoadedNetwork, load_c3n
    from avs_ros.models.label_similarity import load_similarity
    from avs_ros.models.labels import imagenet

    matrix = load_similarity(similarity) if isinstance(similarity, str | Path) else similarity
    if checkpoint is not None:
        return load_c3n(checkpoint, matrix, load_similarity)
    if not random_weights:
        raise ModelError(
            f"{name} has no published weights: train it (`avs train c3n`) and give the path of "
            "the checkpoint as the model; `avs weights list` shows what can be downloaded for "
            "its backbone and audio network"
        )
    width = next(width for width, known in AUDIO_BY_WIDTH.items() if known == audio)
    # The caller's random state stays as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = C3N(visual, width, load_similarity() if matrix is None else matrix)
    return LoadedNetwork(network.eval(), audio, imagenet().short_names)


def _audio_encoder(
    loaded: LoadedNetwork, weights: AudioWeights | None, random_weights: bool
) -> tuple[AudioNetwork, list[Path]]:
    """The audio network, and the files beside the checkpoint that it was read from."""
    from avs_ros.models import audio as audio_networks
    from avs_ros.models.state_dict import load_state_dict_strictly

    if weights is None and random_weights:
        return audio_networks.build(loaded.audio), []
    if weights is None and loaded.audio_encoder:
        network = audio_networks.build(loaded.audio)
        load_state_dict_strictly(network, loaded.audio_encoder, "the checkpoint's audio network")
        return network, []
    if weights is None:
        weights = cached_paths(find_source(loaded.audio))
    if weights is None:
        raise ModelError(
            f"the checkpoint does not hold its audio network's weights: download them with "
            f"`avs weights download {loaded.audio}`, or give the file (audio_weights)"
        )
    return audio_networks.build(loaded.audio, checkpoint=weights), _files(weights)


def _files(weights: AudioWeights) -> list[Path]:
    return [Path(x) for x in ([weights] if isinstance(weights, str | Path) else weights)]


def _identity(
    checkpoint: str | Path | None,
    audio_weights: AudioWeights | None,
    similarity: str | Path | Matrix | None,
    options: tuple[object, ...],
) -> str:
    """Of a model: its files' contents, its options, and what downloaded weights there are."""
    files = [] if checkpoint is None else [Path(checkpoint)]
    files += [] if audio_weights is None else _files(audio_weights)
    parts: tuple[object, ...] = ("published", *options)
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
