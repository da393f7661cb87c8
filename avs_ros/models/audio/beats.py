"""BEATs: a transformer on patches of a Kaldi filter bank, 768-d tokens, fine-tuned on AudioSet.

S. Chen et al., "BEATs: Audio pre-training with acoustic tokenizers", ICML 2023.  Tensor names are
those of the public fine-tuned checkpoints (github.com/microsoft/unilm, folder ``beats``, MIT).
Their class order is their own; it is brought into AudioSet order on loading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torchaudio.compliance import kaldi

from avs_ros.errors import CheckpointError
from avs_ros.models.audio.network import CLASS_COUNT, AudioNetwork
from avs_ros.models.audio.relative_attention import EncoderLayer, PositionConvolution
from avs_ros.models.audio.spectrum import Frames, Spectra, analysis_matrix, framed, power_of
from avs_ros.models.labels import audioset
from avs_ros.models.weight_file import WeightFile, load_state_dict_strictly
from avs_ros.sound import SAMPLE_RATE

_MEL_BANDS = 128
_FBANK_MEAN = 15.41663
_FBANK_STD = 6.55582
# Config entries that choose another arithmetic than the published networks use.
_FIXED = {
    "layer_norm_first": False,
    "deep_norm": True,
    "relative_position_embedding": True,
    "gru_rel_pos": True,
    "activation_fn": "gelu",
    "conv_bias": False,
}


@dataclass(frozen=True)
class BEATsConfig:
    """Sizes of the network; names and defaults are those of the checkpoint's ``cfg``."""

    input_patch_size: int = 16
    embed_dim: int = 512
    encoder_layers: int = 12
    encoder_embed_dim: int = 768
    encoder_ffn_embed_dim: int = 3072
    encoder_attention_heads: int = 12
    conv_pos: int = 128
    conv_pos_groups: int = 16
    num_buckets: int = 320
    max_distance: int = 800
    predictor_class: int = CLASS_COUNT

    @classmethod
    def from_checkpoint(cls, cfg: Mapping[str, Any], source: str) -> BEATsConfig:
        """Read the sizes out of a checkpoint's ``cfg``; other arithmetic is refused."""
        for name, expected in _FIXED.items():
            if cfg.get(name, expected) != expected:
                raise CheckpointError(
                    f"{source}: cfg {name} is {cfg[name]!r}, only {expected!r} is supported"
                )
        return cls(**{f.name: int(cfg[f.name]) for f in fields(cls) if f.name in cfg})


class BEATsEncoder(nn.Module):
    """Tokens [B, T, E] -> tokens [B, T, E]: positions by convolution, then the layers."""

    def __init__(self, config: BEATsConfig) -> None:
        super().__init__()
        width = config.encoder_embed_dim
        # One layer in a sequence, to be named as in the public files.
        self.pos_conv = nn.Sequential(
            PositionConvolution(width, config.conv_pos, config.conv_pos_groups)
        )
        self.layer_norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(
            EncoderLayer(
                width=width,
                hidden=config.encoder_ffn_embed_dim,
                heads=config.encoder_attention_heads,
                depth=config.encoder_layers,
                # The position bias is learned once and used by every layer.
                buckets=config.num_buckets if index == 0 else 0,
                max_distance=config.max_distance,
            )
            for index in range(config.encoder_layers)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode ``tokens`` [B, T, E]."""
        tokens = self.layer_norm(tokens + self.pos_conv(tokens))
        bias = cast(EncoderLayer, self.layers[0]).self_attn.position_bias(tokens.shape[1])
        for layer in self.layers:
            tokens = layer(tokens, bias)
        return tokens


class BEATs(AudioNetwork):
    """BEATs iter3+ (AS2M, fine-tuned on AS2M) behind the common protocol.

    ``feature`` [B, 768] is the mean over the encoder's tokens, the audio feature of C3N; the
    logits are the classifier's scores of that mean (equal to the mean of the scores per token).
    """

    feature_width = BEATsConfig.encoder_embed_dim
    # 16 frames of 25 ms every 10 ms: one row of patches.
    minimum_samples = 400 + 15 * 160

    def __init__(self, config: BEATsConfig | None = None) -> None:
        super().__init__()
        self._build(config or BEATsConfig())

    def _build(self, config: BEATsConfig) -> None:
        self.config = config
        self.feature_width = config.encoder_embed_dim
        patch, embedded = config.input_patch_size, config.embed_dim
        self.patch_embedding = nn.Conv2d(1, embedded, patch, patch, bias=False)
        self.layer_norm = nn.LayerNorm(embedded)
        self.post_extract_proj: nn.Module = nn.Identity()
        if embedded != config.encoder_embed_dim:
            self.post_extract_proj = nn.Linear(embedded, config.encoder_embed_dim)
        self.encoder = BEATsEncoder(config)
        self.predictor = nn.Linear(config.encoder_embed_dim, config.predictor_class)

    def front_end(self, waveform: Tensor) -> Tensor:
        """Normalised Kaldi filter bank [B, T, 128] of ``waveform`` [B, N], without dither."""
        if torch.jit.is_tracing():
            return (_filter_bank(waveform * 2.0**15) - _FBANK_MEAN) / (2.0 * _FBANK_STD)
        banks = [
            kaldi.fbank(
                single[None] * 2.0**15,
                num_mel_bins=_MEL_BANDS,
                sample_frequency=SAMPLE_RATE,
                frame_length=25.0,
                frame_shift=10.0,
            )
            for single in waveform
        ]
        return (torch.stack(banks) - _FBANK_MEAN) / (2.0 * _FBANK_STD)

    def tokens(self, spectrogram: Tensor) -> Tensor:
        """Encoder output [B, T // 16 * 8, E] of a filter bank [B, T, 128], time-major."""
        patches = self.patch_embedding(spectrogram[:, None]).flatten(2).transpose(1, 2)
        return self.encoder(self.post_extract_proj(self.layer_norm(patches)))

    def encode(self, spectrogram: Tensor) -> Tensor:
        """Feature [B, 768] of a filter bank [B, T, 128]."""
        return self.tokens(spectrogram).mean(dim=1)

    def classify(self, feature: Tensor) -> Tensor:
        """Class scores [B, 527] of a feature [B, 768], in AudioSet order after loading."""
        return self.predictor(feature)

    def describe(self) -> dict[str, Any]:
        """The network's sizes, as ``config``."""
        return {"config": asdict(self.config)}

    def load_weight_file(self, file: WeightFile) -> None:
        """Load a public fine-tuned checkpoint (``cfg``, ``model``, ``label_dict``) or one of ours.

        Raises CheckpointError: the checkpoint is not fine-tuned, its label list is missing or not
        AudioSet's, or tensors do not fit.
        """
        state = file.state_dict()
        if "cfg" in file.content:
            config = BEATsConfig.from_checkpoint(file.content["cfg"], file.source)
            if "predictor.weight" not in state:
                raise CheckpointError(
                    f"{file.source} is a pre-trained BEATs without classes: "
                    "use a checkpoint that is fine-tuned on AudioSet"
                )
            order = _audioset_order(file.content.get("label_dict"), file.source)
            state["predictor.weight"] = state["predictor.weight"][order]
            state["predictor.bias"] = state["predictor.bias"][order]
        else:
            # A converted file: AudioSet order already, sizes in its metadata.
            config = BEATsConfig.from_checkpoint(file.metadata.get("config", {}), file.source)
        if config != self.config:
            self._build(config)
        shared = [
            f"encoder.layers.{index}.self_attn.relative_attention_bias.weight"
            for index in range(1, self.config.encoder_layers)
        ]
        load_state_dict_strictly(self, state, file.source, ignore=shared)


def _filter_bank(waveform: Tensor) -> Tensor:
    """Kaldi's log filter bank [B, T, 128] of [B, N] in plain tensor operations, for graphs."""
    length, hop, fft = SAMPLE_RATE // 40, SAMPLE_RATE // 100, 512
    window = np.hanning(length) ** 0.85  # Povey's

    def transform(frames: Frames) -> Spectra:
        centred = frames - frames.mean(axis=1, keepdims=True)
        before = np.concatenate([centred[:, :1], centred[:, :-1]], axis=1)
        return np.fft.rfft((centred - 0.97 * before) * window, fft)

    banks, _ = kaldi.get_mel_banks(
        _MEL_BANDS, fft, float(SAMPLE_RATE), 20.0, 0.0, 100.0, -500.0, 1.0
    )
    power = power_of(framed(waveform, length, hop), analysis_matrix(length, transform))
    mel = power[:, :, : fft // 2] @ banks.T  # Kaldi leaves out the last bin
    return mel.clamp(min=torch.finfo(torch.float32).eps).log()


def _audioset_order(label_dict: object, source: str) -> list[int]:
    """Position in the checkpoint's class list of each AudioSet class, from its ``label_dict``."""
    if not isinstance(label_dict, Mapping):
        raise CheckpointError(
            f"{source} has no label_dict, so the order of its classes is unknown: "
            "use the public fine-tuned checkpoint as it was published"
        )
    position = {str(mid): int(index) for index, mid in label_dict.items()}
    wanted = audioset().ids
    missing = [mid for mid in wanted if mid not in position]
    if missing or sorted(position.values()) != list(range(len(wanted))):
        raise CheckpointError(
            f"{source}: label_dict lists {len(position)} classes, of the {len(wanted)} AudioSet "
            f"classes {len(missing)} are missing (first: {missing[:3]})"
        )
    return [position[mid] for mid in wanted]
