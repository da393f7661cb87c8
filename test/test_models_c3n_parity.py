"""C3N with PVT-v2-B5, and AVSBench's baseline, held against outputs of the published code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from c3n_reference import (
    CLIP,
    NothingDrawn,
    Published,
    audio_features,
    audio_logits,
    check_map,
    close,
)
from c3n_reference import frames as published_frames
from c3n_reference import similarity as published_similarity
from generated_weights import REFERENCE, generated_from_list

from avs_ros.inference.model_steps import c3n_program
from avs_ros.models.c3n import C3N, C3NOutput
from avs_ros.models.c3n.backbone import build_backbone
from avs_ros.models.c3n.c3im import CognitiveConsensusInference
from avs_ros.models.c3n.decoder import Decoder
from avs_ros.models.c3n.fusion import TemporalPixelwiseAudioVisualInteraction
from avs_ros.models.c3n.official import official_name
from avs_ros.models.stream_memory import StreamMemory

pytestmark = pytest.mark.xdist_group("c3n_parity")


@pytest.fixture(scope="module")
def panns() -> Published:
    return Published("c3n_pvt_panns", "pvt_v2_b5", 2048)


@pytest.fixture(scope="module")
def output(panns: Published) -> C3NOutput:
    return panns.clip()


def test_rule_generates_the_reference_weights_and_inputs(panns: Published) -> None:
    stored = np.load(REFERENCE / "rule_check.npz")
    known = [key[2:] for key in stored.files if key.startswith("w|") and key[2:] in panns.weights]
    assert len(known) > 5
    for name in known:
        values = panns.weights[name].numpy()
        np.testing.assert_array_equal(values.reshape(-1)[:64], stored[f"w|{name}"])
        sums = [values.sum(dtype=np.float64), np.abs(values).sum(dtype=np.float64)]
        np.testing.assert_allclose(sums, stored[f"wsum|{name}"], rtol=1e-12)
    frames = published_frames().numpy()
    np.testing.assert_array_equal(frames[:, :, :4, 14:18], stored["frames_corner"])
    np.testing.assert_array_equal(published_similarity()[:8, :8], stored["sim_corner"])


def test_labels_and_class_scores(panns: Published, output: C3NOutput) -> None:
    panns.check_labels(output)


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_stage(panns: Published, output: C3NOutput, stage: int) -> None:
    panns.check_stage(output, stage)


def test_logits(panns: Published, output: C3NOutput) -> None:
    panns.check_logits(output.logits)


def test_streaming_form(panns: Published) -> None:
    step = c3n_program(panns.net)
    panns.check_steps(lambda *x: step.run_eagerly(x), StreamMemory(step.inputs["past"][1:]))


def test_both_published_forms_of_audio_scores(panns: Published) -> None:
    c3im = CognitiveConsensusInference(published_similarity())
    visual, audio = torch.from_numpy(panns.stored["v_cls"]), audio_logits()
    assert c3im(visual, audio).tolist() == panns.stored["labels"].tolist()
    # The S4 script soft-maxes probabilities instead of scores.
    expected = panns.stored["labels_sigmoid_audio"]
    assert c3im(visual, audio.sigmoid()).tolist() == expected.tolist()


@pytest.mark.slow
def test_two_clips_with_full_affinity(panns: Published) -> None:
    with NothingDrawn():
        net = C3N(similarity=published_similarity()).eval()
    for block in net.tpavi:
        block.full_affinity = True
    net.load_official_state_dict(panns.weights)
    with torch.no_grad():
        panns.check_logits(net(*panns.inputs), slice(None))


def test_vggish_features(panns: Published, output: C3NOutput) -> None:
    stored = np.load(REFERENCE / "c3n_pvt_vggish.npz")
    keys = [str(key) for key in stored["state_dict_keys"]]
    assert [key.split("|")[0] for key in keys] == list(panns.weights)
    changed = [key for key in keys if key.split("|")[0].endswith("align_channel.weight")]
    with NothingDrawn():
        net = C3N(visual="pvt_v2_b5", audio_width=128, similarity=published_similarity()).eval()
    net.load_official_state_dict({**panns.weights, **generated_from_list(changed)})
    # The backbone is the same; only the audio-visual block and the decoder see the sound.
    audio = audio_features(128)[CLIP]
    with torch.no_grad():
        fused = tuple(
            block(x, audio, 5) for block, x in zip(net.tpavi, output.pyramid, strict=True)
        )
        logits, _ = net.decoder(fused)
    close(logits, stored["logits"], 2e-4, "logits")
    assert stored["labels"][CLIP].tolist() == output.labels.tolist()


def test_avsbench_baseline_from_the_same_modules(panns: Published) -> None:
    """TPAVI baseline: same backbone, non-local block and decoder; sums of dilated convolutions."""
    stored = np.load(REFERENCE / "tpavi_pvt.npz")
    keys = [str(key) for key in stored["state_dict_keys"]]
    # The rule knows names only: the backbone's weights are those of the other file.
    raw = generated_from_list(key for key in keys if not key.startswith("encoder_backbone."))
    for key in keys:
        name = key.split("|")[0]
        if name.startswith("encoder_backbone.") and name in panns.weights:
            raw[name] = panns.weights[name]
    raw = {name.replace("tpavi_b", "tpavi_"): t for name, t in raw.items()}
    named = {official_name(name, "pvt_v2_b5"): t for name, t in raw.items()}

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {n[len(prefix) :]: t for n, t in named.items() if n.startswith(prefix)}

    with NothingDrawn():
        backbone = build_backbone("pvt_v2_b5").eval()
    missing = backbone.load_state_dict(part("backbone."), strict=False)
    assert set(missing.missing_keys) == {"net.head.weight", "net.head.bias"}
    assert not missing.unexpected_keys
    decoder = Decoder(256).eval()
    decoder.load_state_dict(part("decoder."))
    audio = audio_features(128)[CLIP]
    fused = []
    with torch.no_grad():
        carry = published_frames()[CLIP]
        for i in (1, 2, 3, 4):
            carry = x = backbone.normed(i - 1, backbone.stage(i - 1, carry))
            check_map(stored, f"stage{i}_backbone", x, 5e-5)
            x = sum(
                F.conv2d(
                    x,
                    raw[f"conv{i}.conv2d_list.{j}.weight"],
                    raw[f"conv{i}.conv2d_list.{j}.bias"],
                    padding=rate,
                    dilation=rate,
                )
                for j, rate in enumerate((3, 6, 12, 18))
            )
            check_map(stored, f"aspp{i}", x, 1e-4)
            block = TemporalPixelwiseAudioVisualInteraction(256, 128).eval()
            block.load_state_dict(part(f"tpavi.{i - 1}."))
            fused.append(block(x, audio, 5))
            check_map(stored, f"tpavi{i}", fused[-1], 6e-4)
        logits, paths = decoder(tuple(fused))
    for i, path in enumerate(paths, start=1):
        check_map(stored, f"path{i}", path, 5e-4)
    close(logits, stored["logits"], 3e-4, "logits")
