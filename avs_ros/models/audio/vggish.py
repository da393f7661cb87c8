"""VGGish: the 128-d AudioSet embedding, and AudioSet classes from its quantised form.

S. Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017 (the
embedding); C. Yu et al., "Multi-level attention model for weakly supervised audio
classification", DCASE 2018 (the classifier on quantised embeddings).  Tensor names are those of
the public files: ``vggish-10086976.pth`` and ``vggish_pca_params-970ea276.pth``
(github.com/harritaylor/torchvggish, Apache-2.0) and the classifier's ``md_50000_iters``.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avs_ros.models.audio.network import CLASS_COUNT, AudioNetwork
from avs_ros.models.audio.spectrum import analysis_matrix, framed, power_of
from avs_ros.models.weight_file import WeightFile, load_state_dict_strictly
from avs_ros.sound import SAMPLE_RATE

EMBEDDING_WIDTH = 128
EXAMPLE_FRAMES = 96
_WINDOW = 400
_HOP = 160
_FFT = 512
_MEL_BANDS = 64
_HIDDEN = 1024
_QUANTISED_LIMIT = 2.0


class VGGishLogMel(nn.Module):
    """Log-mel examples: waveform at 16 kHz -> [B, 1, 96, 64], 0.96 s each.

    25 ms periodic Hann window, 10 ms hop, no padding, magnitude spectrum, 64 HTK mel bands from
    125 to 7500 Hz, ``log(mel + offset)``; computed in float64, as the published features were.
    """

    window: Tensor
    mel_bands: Tensor

    def __init__(self, offset: float = 0.01) -> None:
        super().__init__()
        self._offset = offset
        window = torch.hann_window(_WINDOW, periodic=True, dtype=torch.float64)
        self.register_buffer("window", window, False)
        self.register_buffer("mel_bands", _mel_bands(), False)

    def frames(self, waveform: Tensor) -> Tensor:
        """Log-mel frames [B, T, 64] float32 of ``waveform`` [B, N], T = (N - 400) // 160 + 1.

        In a graph, float32 throughout.
        """
        if torch.jit.is_tracing():
            window = self.window.numpy()
            analysis = analysis_matrix(_WINDOW, lambda x: np.fft.rfft(x * window, _FFT))
            power = power_of(framed(waveform, _WINDOW, _HOP), analysis)
            return (power.sqrt() @ self.mel_bands.float() + self._offset).log()
        windowed = waveform.double().unfold(1, _WINDOW, _HOP) * self.window
        magnitude = torch.fft.rfft(windowed, _FFT).abs()
        return (magnitude @ self.mel_bands + self._offset).log().float()

    def examples(self, waveform: Tensor) -> Tensor:
        """All whole examples [n, 1, 96, 64] of one ``waveform`` [N], as AVSBench cuts a clip.

        Consecutive examples start 0.96 s apart, so five seconds give five of them, and the fifth
        starts at 3.84 s.
        """
        frames = self.frames(waveform[None])[0]
        count = len(frames) // EXAMPLE_FRAMES
        return frames[: count * EXAMPLE_FRAMES].reshape(count, 1, EXAMPLE_FRAMES, _MEL_BANDS)

    def forward(self, waveform: Tensor) -> Tensor:
        """First example [B, 1, 96, 64] of each ``waveform`` [B, N]."""
        return self.frames(waveform)[:, None, :EXAMPLE_FRAMES]


class EmbeddingClassifier(nn.Module):
    """AudioSet classes from quantised embeddings [B, 128] in -1..1: raw scores [B, 527].

    The published network weighs time steps by attention; a single step always has weight 1, so
    only the value branch takes part.  The attention weights are kept to load the public file.
    """

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.ModuleDict({"bn0": nn.BatchNorm2d(EMBEDDING_WIDTH)})
        for index, width in enumerate((EMBEDDING_WIDTH, _HIDDEN, _HIDDEN), start=1):
            self.emb[f"conv{index}"] = nn.Conv2d(width, _HIDDEN, 1, bias=False)
            self.emb[f"bn{index}"] = nn.BatchNorm2d(_HIDDEN)
        self.attention = nn.ModuleDict(
            {name: nn.Conv2d(_HIDDEN, _HIDDEN, 1) for name in ("att", "cla")}
        )
        self.bn_attention = nn.BatchNorm1d(_HIDDEN)
        self.fc_final = nn.Linear(_HIDDEN, CLASS_COUNT)

    def hidden(self, quantised: Tensor) -> Tensor:
        """Hidden units [B, 1024, 1] before the attention, from ``quantised`` [B, 128]."""
        maps = self.emb["bn0"](quantised[:, :, None, None])
        for index in (1, 2, 3):
            maps = F.relu(self.emb[f"bn{index}"](self.emb[f"conv{index}"](maps)))
            maps = F.dropout(maps, 0.5, self.training)
        return maps[..., 0]

    def forward(self, quantised: Tensor) -> Tensor:
        """Raw scores [B, 527] of ``quantised`` [B, 128]."""
        values = self.attention["cla"](self.hidden(quantised)[..., None])
        return self.fc_final(F.relu(self.bn_attention(values[:, :, 0, 0])))


class VGGish(AudioNetwork):
    """VGGish with its PCA, quantisation and AudioSet classifier, behind the common protocol.

    ``feature`` [B, 128] is the embedding after its ReLU and before the PCA, the audio feature of
    C3N and of the AVSBench baseline; it covers the first 0.975 s of the waveform.  The classes go
    through 8-bit quantisation, which has no gradient.
    """

    feature_width = EMBEDDING_WIDTH
    minimum_samples = _WINDOW + (EXAMPLE_FRAMES - 1) * _HOP

    pca_eigen_vectors: Tensor
    pca_means: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.log_mel = VGGishLogMel()
        layers: list[nn.Module] = []
        channels = 1
        for width in (64, 0, 128, 0, 256, 256, 0, 512, 512, 0):
            if width:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 4 * 6, 4096),
            nn.ReLU(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, EMBEDDING_WIDTH),
            nn.ReLU(),
        )
        self.register_buffer("pca_eigen_vectors", torch.eye(EMBEDDING_WIDTH))
        self.register_buffer("pca_means", torch.zeros(EMBEDDING_WIDTH))
        self.classifier = EmbeddingClassifier()

    def encode(self, spectrogram: Tensor) -> Tensor:
        """Embedding [B, 128], not negative, of log-mel examples [B, 1, 96, 64]."""
        # The first layer's inputs are ordered time, frequency, channel.
        return self.embeddings(self.features(spectrogram).permute(0, 2, 3, 1).flatten(1))

    def project(self, feature: Tensor) -> Tensor:
        """Decorrelated embedding [B, 128]: PCA with whitening."""
        return (feature - self.pca_means) @ self.pca_eigen_vectors.T

    def quantise(self, feature: Tensor) -> Tensor:
        """The published 8-bit form [B, 128] of an embedding: whole numbers 0..255, as floats."""
        limited = self.project(feature).clamp(-_QUANTISED_LIMIT, _QUANTISED_LIMIT)
        return ((limited + _QUANTISED_LIMIT) * (255.0 / (2 * _QUANTISED_LIMIT))).round()

    def classify(self, feature: Tensor) -> Tensor:
        """Class scores [B, 527] of an embedding [B, 128], through its quantised form."""
        return self.classifier((self.quantise(feature) - 128.0) / 128.0)

    def hear_clip(self, seconds: Tensor) -> tuple[Tensor, Tensor]:
        """(feature [T, 128], logits [T, 527]) of a clip's consecutive ``seconds`` [T, 16000].

        As published: the clip is cut every 0.96 s, not every second; T seconds give at least T
        examples.
        """
        self.check(seconds)
        examples = self.log_mel.examples(seconds.flatten())
        feature = self.encode(examples[: len(seconds)])
        return feature, self.classify(feature)

    def load_weight_file(self, file: WeightFile) -> None:
        """Load one of our files, or the tensors of all three public files together."""
        own = set(self.state_dict())
        state = {
            inner if (inner := f"classifier.{name}") in own else name: tensor
            for name, tensor in file.state_dict().items()
        }
        if "pca_means" in state:
            state["pca_means"] = state["pca_means"].reshape(-1)
        load_state_dict_strictly(self, state, file.source)


def _mel_bands() -> Tensor:
    """HTK mel matrix [257, 64] float64: triangles that are linear in mel, without the DC bin."""

    def mel(hertz: Tensor) -> Tensor:
        return 1127.0 * (1.0 + hertz / 700.0).log()

    bins = mel(torch.linspace(0.0, SAMPLE_RATE / 2, _FFT // 2 + 1, dtype=torch.float64))[:, None]
    limits = mel(torch.tensor([125.0, 7500.0], dtype=torch.float64)).tolist()
    edges = torch.linspace(limits[0], limits[1], _MEL_BANDS + 2, dtype=torch.float64)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - lower) / (centre - lower)
    falling = (upper - bins) / (upper - centre)
    bands = torch.minimum(rising, falling).clamp(min=0.0)
    bands[0] = 0.0
    return bands
