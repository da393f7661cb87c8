"""Checkpoints of every origin: ours, the published code's, ImageNet classifiers."""

from __future__ import annotations

from pathlib import Path

import c3n_networks as networks
import c3n_reference as reference
import numpy as np
import pytest
import torch
from public_weights import published, published_backbone

from avs_ros.errors import CheckpointError
from avs_ros.models.c3n import C3N
from avs_ros.models.c3n.backbone import build_backbone
from avs_ros.models.checkpoints import (
    halved,
    load_backbone,
    load_c3n,
    load_network,
    recognise_audio,
    recognise_visual,
    save_c3n,
    save_checkpoint,
)
from avs_ros.models.weight_file import read_weight_file


@pytest.fixture(scope="module")
def small() -> C3N:
    return networks.lively(
        C3N("pvt_v2_b0", 128, networks.small_similarity(12), channels=16, image_size=64)
    )


def test_ours_comes_back_as_it_was(small, tmp_path):
    path = tmp_path / "c3n.safetensors"
    about = {"preprocessing": {"mean": [0.5]}, "provenance": "made by a test"}
    labels = [f"thing {i}" for i in range(12)]
    save_c3n(path, small, "vggish", labels, about)
    loaded = load_c3n(path)
    assert loaded.audio == "vggish" and loaded.labels == labels
    assert loaded.metadata["preprocessing"] == {"mean": [0.5]}
    assert not loaded.network.training
    for name, tensor in small.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], tensor), name
    assert torch.equal(loaded.network.c3im.similarity, small.c3im.similarity)
    assert loaded.network.config() == small.config()


def test_ours_in_half_precision_computes_in_single(small, tmp_path):
    path = tmp_path / "half.safetensors"
    tensors = halved({**small.state_dict(), "c3im.similarity": small.c3im.similarity})
    about = {"c3n": small.config(), "audio": "vggish", "labels": ["x"] * 12}
    save_checkpoint(path, tensors, about)
    network = load_c3n(path).network
    assert all(p.dtype == torch.float32 for p in network.parameters())
    weight = small.decoder.head.score.weight
    assert torch.equal(network.decoder.head.score.weight, weight.half().float())


def test_ours_fills_a_network_that_exists(small, tmp_path):
    path = tmp_path / "c3n.safetensors"
    save_c3n(path, small, "vggish", ["x"] * 12)
    other = C3N("pvt_v2_b0", 128, networks.small_similarity(12), channels=16, image_size=64)
    load_network(other, path)
    assert torch.equal(other.aspp[2].point.weight, small.aspp[2].point.weight)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize(("width", "audio"), [(128, "vggish"), (768, "beats"), (2048, "panns")])
def test_published_files_are_recognised(prefix, width, audio, tmp_path):
    path = tmp_path / "best.pth"
    tensors = published(audio_width=width)
    torch.save({prefix + name: tensor for name, tensor in tensors.items()}, path)
    loaded = load_c3n(path, networks.small_similarity())
    assert (loaded.network.visual, loaded.audio) == ("pvt_v2_b0", audio)
    assert len(loaded.labels) == 1000
    own = loaded.network
    assert torch.equal(own.decoder.head.score.bias, tensors["output_conv.4.bias"])
    assert torch.equal(own.aspp[3].dilated[1].weight, tensors["conv4.atrous_block12.weight"])
    assert torch.equal(own.tpavi[0].project_norm.running_var, tensors["tpavi_1.W_z.1.running_var"])
    assert torch.equal(
        own.decoder.paths[1].output_unit.conv2.bias, tensors["path2.resConfUnit2.conv2.bias"]
    )


def test_published_files_need_a_similarity(tmp_path):
    path = tmp_path / "best.pth"
    torch.save(published(), path)
    with pytest.raises(CheckpointError, match=r"without a label similarity.*avs labels build"):
        load_c3n(path)
    assert load_c3n(path, default_similarity=networks.small_similarity).audio == "vggish"


@pytest.mark.parametrize("visual", [f"pvt_v2_b{i}" for i in range(6)])
def test_every_pvt_is_told_apart(visual):
    with torch.device("meta"):  # names and shapes are enough
        backbone = build_backbone(visual)
    names = {"encoder_backbone." + n: t for n, t in published_backbone(backbone).items()}
    assert recognise_visual(names, "file") == visual


def test_swin_is_told_apart():
    names = {
        f"encoder_backbone.{n}": torch.empty(s) for n, s in reference.swin_base_shapes().items()
    }
    assert recognise_visual(names, "file") == "swin_base_patch4_window7_224"


def test_unknown_widths_and_depths_are_named():
    with pytest.raises(CheckpointError, match=r"is 99 wide; known widths: 128 \(vggish\)"):
        recognise_audio({"tpavi_1.align_channel.weight": torch.empty(256, 99)}, "file")
    with pytest.raises(CheckpointError, match=r"\[1, 0, 0, 0\] blocks per stage"):
        recognise_visual({"encoder_backbone.block1.0.norm1.weight": torch.empty(64)}, "file")


def test_what_does_not_fit_is_named_with_both_shapes(tmp_path):
    tensors = published()
    path = tmp_path / "best.pth"
    tensors["conv1.atrous_block6.weight"] = torch.zeros(256, 32, 5, 5)
    torch.save(tensors, path)
    with pytest.raises(
        CheckpointError,
        match=r"aspp\.0\.dilated\.0\.weight: expected \[256, 32, 3, 3\], found \[256, 32, 5, 5\]",
    ):
        load_c3n(path, networks.small_similarity())
    del tensors["conv1.atrous_block6.weight"]
    torch.save({**tensors, "surplus": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match=r"dilated\.0\.weight: expected .*missing.*surplus"):
        load_c3n(path, networks.small_similarity())


def test_files_that_are_no_c3n(tmp_path, small):
    path = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(CheckpointError, match="not a C3N checkpoint"):
        load_c3n(path, networks.small_similarity())
    path = tmp_path / "mine.safetensors"
    save_c3n(path, small, "vggish", ["only one"])
    with pytest.raises(CheckpointError, match="names 1 labels for 12 visual classes"):
        load_c3n(path)


def test_a_file_with_code_in_it_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    path = tmp_path / "trap.pth"
    torch.save({"state_dict": {"a": torch.zeros(1)}, "extra": Trap()}, path)
    with pytest.raises(CheckpointError):
        load_c3n(path, networks.small_similarity())
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("naming", ["original", "timm"])
def test_imagenet_pvt_in_both_namings(naming, tmp_path):
    source = build_backbone("pvt_v2_b0")
    path = tmp_path / "pvt_v2_b0.pth"
    timm_named = {k.removeprefix("net."): v for k, v in source.state_dict().items()}
    torch.save(published_backbone(source) if naming == "original" else timm_named, path)
    target = build_backbone("pvt_v2_b0")
    load_backbone(target, path)
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor), name


def test_imagenet_swin_in_both_namings(tmp_path):
    shapes = reference.swin_base_shapes()
    for i in range(4):
        del shapes[f"norm{i}.weight"], shapes[f"norm{i}.bias"]
    shapes.update({"norm.weight": (1024,), "norm.bias": (1024,)})
    tensors = reference.random_state_dict(shapes)
    table = {"layers.0.blocks.1.attn_mask": torch.zeros(64, 49, 49)}
    path = tmp_path / "original.pth"
    torch.save({"model": {**tensors, **table}}, path)
    backbone = build_backbone("swin_base_patch4_window7_224")
    with torch.no_grad():
        backbone.norms[0].weight.fill_(3.0)
    load_backbone(backbone, path)
    merging = tensors["layers.0.downsample.reduction.weight"]
    assert torch.equal(backbone.net.layers[1].downsample.reduction.weight, merging)
    assert torch.equal(backbone.net.head.fc.weight, tensors["head.weight"])
    assert torch.equal(backbone.norms[3].weight, tensors["norm.weight"])
    assert backbone.norms[0].weight[0].item() == 3.0

    timm_named = {
        name.removeprefix("net."): tensor.clone()
        for name, tensor in backbone.state_dict().items()
        if not name.startswith(("norms.0", "norms.1", "norms.2"))
    }
    for kind in ("weight", "bias"):
        timm_named[f"norm.{kind}"] = timm_named.pop(f"norms.3.{kind}") + 1
    path = tmp_path / "timm.pth"
    torch.save(timm_named, path)
    load_backbone(backbone, path)
    assert torch.equal(backbone.norms[3].weight, tensors["norm.weight"] + 1)
    assert torch.equal(backbone.net.layers[1].downsample.reduction.weight, merging)


def test_imagenet_head_leaves_further_classes_alone(tmp_path):
    source = build_backbone("mobilenetv2_100")
    path = tmp_path / "mobilenet.pth"
    torch.save({k.removeprefix("net."): v for k, v in source.state_dict().items()}, path)
    target = build_backbone("mobilenetv2_100", num_classes=1002)
    extra = target.net.classifier.weight[1000:].clone()
    load_backbone(target, path)
    assert torch.equal(target.net.classifier.weight[:1000], source.net.classifier.weight)
    assert torch.equal(target.net.classifier.weight[1000:], extra)


def test_imagenet_weights_of_another_backbone_are_refused(tmp_path):
    path = tmp_path / "b1.pth"
    torch.save(published_backbone(build_backbone("pvt_v2_b1")), path)
    with pytest.raises(CheckpointError, match=r"expected \[32, 3, 7, 7\], found \[64, 3, 7, 7\]"):
        load_backbone(build_backbone("pvt_v2_b0"), path)


def test_metadata_is_decoded_json(small, tmp_path):
    path = tmp_path / "c3n.safetensors"
    save_c3n(path, small, "vggish", ["x"] * 12, {"numbers": [1, 2.5], "text": "plain"})
    metadata = read_weight_file(path).metadata
    assert metadata["numbers"] == [1, 2.5] and metadata["text"] == "plain"
    assert metadata["format"] == "avs_ros/1"
    np.testing.assert_equal(metadata["c3n"]["channels"], 16)


def test_shared_mobilenet_weights_give_their_reference_scores(shared):
    stored = shared / "data" / "reference" / "mobilenet_v2.npz"
    arrays = np.load(stored)
    backbone = build_backbone("mobilenetv2_100").eval()
    load_backbone(backbone, shared / "data" / "weights" / "mobilenet_v2_imagenet.safetensors")
    images = torch.from_numpy(arrays["image_uint8"]).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        logits = backbone(images).logits
    np.testing.assert_allclose(logits.detach().numpy(), arrays["logits"], rtol=0, atol=1e-3)


def test_the_same_content_is_the_same_bytes(tmp_path: Path) -> None:
    metadata = {name: list(name) for name in ("zeta", "äther", "beta", "alpha", "gamma")}
    files = [tmp_path / f"{number}.safetensors" for number in range(5)]
    for file in files:
        save_checkpoint(file, {"one": torch.ones(3), "two": torch.zeros(2, 2)}, metadata)
    assert len({file.read_bytes() for file in files}) == 1
    found = read_weight_file(files[0])
    assert found.metadata["äther"] == list("äther")
    assert found.state_dict()["one"].tolist() == [1, 1, 1]
