"""VGGish: parity with the published path up to the classes, file layouts, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from generated_weights import REFERENCE, generated_from_list

from avs_ros.errors import AudioFormatError, CheckpointError
from avs_ros.models.audio.vggish import EmbeddingClassifier, VGGish, VGGishLogMel
from avs_ros.models.weight_file import WeightFile

# One worker makes the weights.
pytestmark = pytest.mark.xdist_group("vggish")

GAIN = 1.414213562


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    return dict(np.load(REFERENCE / "vggish.npz"))


@pytest.fixture(scope="module")
def network(expected: dict[str, np.ndarray]) -> VGGish:
    """VGGish loaded from the tensors of the three public files, with generated weights."""
    public = {
        **generated_from_list(expected["vggish_keys"], GAIN),
        **generated_from_list(expected["head_keys"], GAIN),
        "pca_eigen_vectors": torch.from_numpy(expected["pca_eigen_vectors"]),
        # The public file holds the means as a column.
        "pca_means": torch.from_numpy(expected["pca_means"])[:, None],
    }
    network = VGGish()
    network.load_weight_file(WeightFile(public, {}, "vggish"))
    return network.eval()


@torch.no_grad()
def test_equals_the_published_path_stage_by_stage(
    expected: dict[str, np.ndarray], network: VGGish
) -> None:
    waveform = torch.from_numpy(expected["wave_int16"] / np.float32(32768))
    examples = network.log_mel.examples(waveform)
    np.testing.assert_allclose(network.log_mel.mel_bands, expected["mel_matrix"], atol=1e-12)
    np.testing.assert_allclose(examples, expected["logmel"], atol=1e-5)

    maps = network.features(examples)
    np.testing.assert_allclose(maps[:, :8], expected["features_slice"], atol=1e-4)

    feature = network.encode(examples)
    np.testing.assert_allclose(feature, expected["embedding"], atol=1e-4)
    np.testing.assert_allclose(network.project(feature), expected["pca_projected"], atol=5e-5)
    quantised = network.quantise(feature)
    np.testing.assert_array_equal(quantised, expected["quantised"])

    hidden = network.classifier.hidden((quantised - 128) / 128)
    np.testing.assert_allclose(hidden[:, :64], expected["head_hidden"], atol=5e-5)
    np.testing.assert_allclose(network.classify(feature), expected["class_logits"], atol=5e-5)


@torch.no_grad()
def test_one_second_gives_the_first_example_of_each_waveform(network: VGGish) -> None:
    waveform = torch.randn(2, 16000) * 0.1
    feature, logits = network(waveform)
    assert feature.shape == (2, network.feature_width) == (2, 128)
    assert logits.shape == (2, 527)
    first = network.encode(network.log_mel.examples(waveform[1])[:1])
    torch.testing.assert_close(feature[1:], first, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_clip_is_heard_as_published_not_second_by_second(
    expected: dict[str, np.ndarray], network: VGGish
) -> None:
    seconds = torch.from_numpy(expected["wave_int16"] / np.float32(32768)).reshape(5, 16000)
    feature, logits = network.hear_clip(seconds)
    np.testing.assert_allclose(feature, expected["embedding"], atol=1e-4)
    np.testing.assert_allclose(logits, expected["class_logits"], atol=5e-5)
    feature, _ = network.hear_clip(torch.zeros(2, 16000))
    assert feature.shape == (2, 128)


def test_only_the_embedding_file_is_not_enough_and_says_what_is_missing() -> None:
    classifier = EmbeddingClassifier()
    with pytest.raises(CheckpointError, match=r"classifier\.emb\.conv1\.weight"):
        _Headless().load_weight_file(
            WeightFile(
                {name: v for name, v in classifier.state_dict().items() if "conv1" not in name},
                {},
                "md_50000_iters.pth",
            )
        )


class _Headless(VGGish):
    """VGGish without its large layers, so that the test stays small."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.classifier = EmbeddingClassifier()


@pytest.mark.parametrize(("seconds", "count"), [(0.975, 1), (1.0, 1), (2.0, 2), (5.0, 5)])
def test_a_clip_is_cut_into_examples_of_96_frames(seconds: float, count: int) -> None:
    examples = VGGishLogMel().examples(torch.randn(int(seconds * 16000)))
    assert examples.shape == (count, 1, 96, 64)
    assert examples.dtype == torch.float32


@pytest.mark.parametrize("seconds", [torch.zeros(16000), torch.zeros(1, 15000)])
def test_a_clip_that_gives_no_example_is_refused(seconds: torch.Tensor) -> None:
    with pytest.raises(AudioFormatError, match=r"15600|mono waveform"):
        _Headless().hear_clip(seconds)
