"""C3N held against outputs of the published code, and against a second writing of it."""

from __future__ import annotations

import c3n_reference as reference
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from avs_ros.models.c3n import C3N, C3NOutput
from avs_ros.models.c3n.backbone import build_backbone
from avs_ros.models.c3n.c3im import CognitiveConsensusInference
from avs_ros.models.c3n.decoder import Decoder
from avs_ros.models.c3n.official import official_name
from avs_ros.models.c3n.tpavi import TemporalPixelwiseAudioVisualInteraction

pytestmark = pytest.mark.xdist_group("c3n_parity")
CLIP = slice(0, 5)


@pytest.fixture(scope="module")
def panns(shared):
    return np.load(shared / "reference" / "c3n_pvt_panns.npz")


@pytest.fixture(scope="module")
def weights(panns):
    return reference.state_dict_by_rule(panns["state_dict_keys"])


@pytest.fixture(scope="module")
def net(weights):
    net = C3N(visual="pvt_v2_b5", audio_width=2048, similarity=reference.similarity())
    net.load_official_state_dict({"module." + name: t for name, t in weights.items()})
    return net.eval()


@pytest.fixture(scope="module")
def output(net) -> C3NOutput:
    with torch.no_grad():
        return net.forward_detailed(
            reference.frames()[CLIP],
            reference.audio_features(2048)[CLIP],
            reference.audio_logits()[CLIP],
        )


def check_map(stored, name: str, found: torch.Tensor, tolerance: float, frames=CLIP) -> None:
    found = found.detach()
    step = found.shape[2] // 7
    for suffix, value in (
        ("slice", found[:, :8, ::step, ::step]),
        ("chan_mean", found.mean((2, 3))),
        ("mean", found.mean((1, 2, 3))),
        ("std", found.flatten(1).std(1, correction=0)),
    ):
        np.testing.assert_allclose(
            value.numpy(), stored[f"{name}_{suffix}"][frames], rtol=0, atol=tolerance, err_msg=name
        )


def test_rule_generates_the_reference_weights_and_inputs(shared, weights):
    stored = np.load(shared / "reference" / "rule_check.npz")
    known = [key[2:] for key in stored.files if key.startswith("w|") and key[2:] in weights]
    assert len(known) > 5
    for name in known:
        values = weights[name].numpy()
        np.testing.assert_array_equal(values.reshape(-1)[:64], stored[f"w|{name}"])
        sums = [values.sum(dtype=np.float64), np.abs(values).sum(dtype=np.float64)]
        np.testing.assert_allclose(sums, stored[f"wsum|{name}"], rtol=1e-12)
    frames = reference.frames().numpy()
    np.testing.assert_array_equal(frames[:, :, :4, 14:18], stored["frames_corner"])
    np.testing.assert_array_equal(reference.similarity()[:8, :8], stored["sim_corner"])


def test_pvt_labels_and_class_scores(panns, output):
    assert output.labels.tolist() == panns["labels"][CLIP].tolist()
    np.testing.assert_allclose(
        output.visual_logits.detach().numpy(), panns["v_cls"][CLIP], rtol=0, atol=3e-5
    )


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_pvt_stage(panns, output, stage):
    expected = panns[f"cam_w{stage}"][CLIP]
    difference = np.abs(output.weights[stage - 1].numpy() - expected).max()
    assert difference <= 2e-5 * np.abs(panns[f"cam_w{stage}"]).max()
    check_map(panns, f"stage{stage}_backbone", output.features[stage - 1], 5e-5)
    check_map(panns, f"stage{stage}_ccam", output.gated[stage - 1], 2e-5)
    check_map(panns, f"aspp{stage}", output.pyramid[stage - 1], 2e-5)
    check_map(panns, f"tpavi{stage}", output.fused[stage - 1], 1e-4)
    check_map(panns, f"path{stage}", output.paths[stage - 1], 2e-4)


def test_pvt_logits(panns, output):
    np.testing.assert_allclose(output.logits.numpy(), panns["logits"][CLIP], rtol=0, atol=2e-4)


def test_both_published_forms_of_audio_scores(panns):
    c3im = CognitiveConsensusInference(reference.similarity())
    visual, audio = torch.from_numpy(panns["v_cls"]), reference.audio_logits()
    assert c3im(visual, audio).tolist() == panns["labels"].tolist()
    # The S4 script soft-maxes probabilities instead of scores.
    assert c3im(visual, audio.sigmoid()).tolist() == panns["labels_sigmoid_audio"].tolist()


@pytest.mark.slow
def test_pvt_two_clips_with_full_affinity(panns, weights):
    net = C3N(similarity=reference.similarity(), full_affinity=True).eval()
    net.load_official_state_dict(weights)
    with torch.no_grad():
        logits = net(reference.frames(), reference.audio_features(2048), reference.audio_logits())
    np.testing.assert_allclose(logits.numpy(), panns["logits"], rtol=0, atol=2e-4)


def test_pvt_with_vggish_features(shared, output, weights):
    stored = np.load(shared / "reference" / "c3n_pvt_vggish.npz")
    names = [str(key).split("|")[0] for key in stored["state_dict_keys"]]
    shapes = {str(key).split("|")[0]: str(key) for key in stored["state_dict_keys"]}
    changed = [shapes[n] for n in names if n.endswith("align_channel.weight")]
    net = C3N(visual="pvt_v2_b5", audio_width=128, similarity=reference.similarity()).eval()
    net.load_official_state_dict({**weights, **reference.state_dict_by_rule(changed)})
    # The backbone is the same; only the audio-visual block and the decoder see the sound.
    audio = reference.audio_features(128)[CLIP]
    with torch.no_grad():
        fused = tuple(
            block(x, audio, 5) for block, x in zip(net.tpavi, output.pyramid, strict=True)
        )
        logits, _ = net.decoder(fused)
    np.testing.assert_allclose(logits.numpy(), stored["logits"][CLIP], rtol=0, atol=2e-4)
    assert stored["labels"][CLIP].tolist() == output.labels.tolist()


def _names(keys: list[str], weights: dict[str, torch.Tensor]) -> list[str]:
    names = [key.split("|")[0] for key in keys]
    return [n for n in names if n.startswith("encoder_backbone.") and n in weights]


def test_avsbench_baseline_from_the_same_modules(shared, weights):
    """TPAVI baseline: same backbone, non-local block and decoder; sums of dilated convolutions."""
    stored = np.load(shared / "reference" / "tpavi_pvt.npz")
    keys = [str(key) for key in stored["state_dict_keys"]]
    # The rule knows names only: the backbone's weights are those of the other file.
    new = [key for key in keys if not key.startswith("encoder_backbone.")]
    raw = {**reference.state_dict_by_rule(new), **{k: weights[k] for k in _names(keys, weights)}}
    raw = {name.replace("tpavi_b", "tpavi_"): t for name, t in raw.items()}
    named = {official_name(name, "pvt_v2_b5"): t for name, t in raw.items()}

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {n[len(prefix) :]: t for n, t in named.items() if n.startswith(prefix)}

    backbone = build_backbone("pvt_v2_b5").eval()
    missing = backbone.load_state_dict(part("backbone."), strict=False)
    assert set(missing.missing_keys) == {"net.head.weight", "net.head.bias"}
    assert not missing.unexpected_keys
    decoder = Decoder(256).eval()
    decoder.load_state_dict(part("decoder."))
    audio = reference.audio_features(128)[CLIP]
    fused = []
    with torch.no_grad():
        carry = reference.frames()[CLIP]
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
    np.testing.assert_allclose(logits.numpy(), stored["logits"][CLIP], rtol=0, atol=3e-4)


def test_swin_equals_a_second_writing_of_it():
    shapes = {f"encoder_backbone.{n}": s for n, s in reference.swin_base_shapes().items()}
    shapes.update(reference.fusion_shapes((128, 256, 512, 1024), 768))
    weights = reference.random_state_dict(shapes)
    tables = {
        "encoder_backbone.layers.0.blocks.1.attn_mask": torch.zeros(64, 49, 49),
        "encoder_backbone.layers.0.blocks.0.attn.relative_position_index": torch.zeros(49, 49),
    }
    net = C3N("swin_base_patch4_window7_224", 768, reference.similarity()).eval()
    net.load_official_state_dict({**weights, **tables})
    images, sound = reference.frames()[:2], reference.audio_features(768)[:2]
    heard = reference.audio_logits()[:2]
    with torch.no_grad():
        found = net.forward_detailed(images, sound, heard, frames_per_clip=2)

    prefix = "encoder_backbone."
    backbone = {n[len(prefix) :]: t for n, t in weights.items() if n.startswith(prefix)}
    logits, stages, features = reference.swin_taps(backbone, images)
    labels = reference.consensus_labels(logits, heard, reference.similarity())
    logits[torch.arange(2), labels].sum().backward()
    channel_weights = [a.grad.mean((1, 2)) for a in stages]
    with torch.no_grad():
        masks = reference.fuse(weights, features, channel_weights, sound, clip=2)

    assert found.labels.tolist() == labels
    torch.testing.assert_close(found.visual_logits, logits, rtol=0, atol=3e-5)
    for ours, theirs in zip(found.weights, channel_weights, strict=True):
        assert (ours - theirs).abs().max() <= 2e-5 * theirs.abs().max()
    torch.testing.assert_close(found.logits, masks.detach(), rtol=0, atol=2e-4)
    assert [tuple(x.shape[1:]) for x in found.activations] == [
        (128, 56, 56),
        (256, 28, 28),
        (512, 14, 14),
        (1024, 7, 7),
    ]
