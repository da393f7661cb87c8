"""`avs weights`: the table of sources, conversion, verification, words on failure."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
import torch
from file_server import FileServer
from generated_weights import generated_like
from public_weights import loaded, public_content, published
from safetensors import safe_open
from safetensors.torch import save_file

from avs_ros.cli.main import main
from avs_ros.errors import CheckpointError, ModelError
from avs_ros.models import audio
from avs_ros.models.audio.beats import BEATs, BEATsConfig
from avs_ros.models.audio.efficientat import EfficientAT
from avs_ros.models.audio.vggish import VGGish
from avs_ros.models.c3n.backbone import BACKBONES, build_backbone
from avs_ros.models.c3n.official import official_names
from avs_ros.models.checkpoints import load_backbone, load_c3n
from avs_ros.models.label_similarity import load_similarity
from avs_ros.models.weight_file import read_weight_file
from avs_ros.weights import sources
from avs_ros.weights.convert import convert
from avs_ros.weights.sources import (
    SOURCES,
    PublicFile,
    WeightSource,
    cached_paths,
    find_source,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "avs_ros" / "weights"


@pytest.fixture
def mn04(tmp_path: Path) -> Path:
    """EfficientAT weights laid out as the public file, with generated values."""
    torch.save(generated_like(EfficientAT().state_dict()), tmp_path / "mn04_as_mAP_432.pt")
    return tmp_path / "mn04_as_mAP_432.pt"


def test_every_source_names_a_network_that_can_be_built() -> None:
    assert len({source.name for source in SOURCES}) == len(SOURCES)
    for source in SOURCES:
        known = audio.names() if source.kind == "audio" else BACKBONES
        assert source.network in known, source.name
        assert source.licence and source.page.startswith("https://")
        for file in source.files:
            assert "/" not in file.name
            assert file.url is None or file.url.startswith("https://")
            assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{64}", file.sha256)
    assert {f"pvt_v2_b{i}" for i in range(6)} <= {source.name for source in SOURCES}
    assert set(audio.names()) <= {source.name for source in SOURCES}
    with pytest.raises(ModelError, match="panns"):
        find_source("resnet")


def test_cached_files_are_found_only_when_all_are_there(cache: Path) -> None:
    source = find_source("vggish")
    assert cached_paths(source) is None
    cache.mkdir(parents=True)
    for file in source.files[:2]:
        (cache / file.name).touch()
    assert cached_paths(source) is None
    (cache / source.files[2].name).touch()
    assert cached_paths(source) == [cache / file.name for file in source.files]


@torch.no_grad()
def test_a_converted_audio_network_is_the_same_network(mn04: Path, tmp_path: Path) -> None:
    output = tmp_path / "mn04.safetensors"
    assert main(["weights", "convert", "efficientat_mn04", str(mn04), "-o", str(output)]) == 0
    waveform = 0.1 * torch.randn(2, 16000)
    before = audio.build("efficientat_mn04", mn04)(waveform)
    after = audio.build("efficientat_mn04", output)(waveform)
    assert torch.equal(before[0], after[0]) and torch.equal(before[1], after[1])
    with safe_open(str(output), framework="pt") as file:
        about = {key: json.loads(value) for key, value in file.metadata().items()}
    assert about["network"] == "efficientat_mn04" and about["licence"] == "MIT"
    assert about["class_order"] == "AudioSet" and about["made_from"] == [mn04.name]


@torch.no_grad()
def test_converted_beats_keeps_its_sizes_and_class_order(tmp_path: Path) -> None:
    torch.save(public_content(), tmp_path / "BEATs.pt")
    output = tmp_path / "beats.safetensors"
    convert(find_source("beats"), [tmp_path / "BEATs.pt"], output)
    waveform = 0.1 * torch.randn(1, 16000)
    before = loaded(public_content())(waveform)
    small = BEATs(BEATsConfig(encoder_layers=1, encoder_ffn_embed_dim=8))
    small.load_weight_file(read_weight_file(output))
    after = small.eval()(waveform)
    assert before[0].shape == (1, 32)
    assert torch.equal(before[0], after[0]) and torch.equal(before[1], after[1])


@pytest.mark.slow
@torch.no_grad()
def test_the_three_public_vggish_files_become_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = VGGish().state_dict()
    embedding = {k: v for k, v in state.items() if k.startswith(("features.", "embeddings."))}
    pca = {"pca_eigen_vectors": torch.randn(128, 128), "pca_means": torch.randn(128, 1)}
    prefix = "classifier."
    head = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
    paths = [tmp_path / name for name in ("vggish.pth", "pca.pth", "head.tar")]
    contents = (embedding, {k: v.numpy() for k, v in pca.items()}, {"state_dict": head})
    for path, content in zip(paths, contents, strict=True):
        torch.save(content, path)
    with pytest.raises(CheckpointError, match="pca_means"):
        audio.build("vggish", paths[0])
    convert(find_source("vggish"), paths, tmp_path / "one.safetensors")
    waveform = 0.1 * torch.randn(1, 16000)
    before = audio.build("vggish", paths)(waveform)
    after = audio.build("vggish", tmp_path / "one.safetensors")(waveform)
    assert torch.equal(before[1], after[1])


def test_a_converted_backbone_keeps_the_names_of_its_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    timm_named = {
        name.removeprefix("net."): tensor
        for name, tensor in build_backbone("pvt_v2_b0").state_dict().items()
    }
    torch.save({"model": timm_named}, tmp_path / "pvt.pth")
    output = tmp_path / "pvt.safetensors"
    name = "pvt_v2_b0.in1k"
    assert main(["weights", "convert", name, str(tmp_path / "pvt.pth"), "-o", str(output)]) == 0
    with safe_open(str(output), framework="pt") as file:
        assert set(file.keys()) == set(timm_named)
    backbone = build_backbone("pvt_v2_b0")
    load_backbone(backbone, output)
    assert torch.equal(backbone.state_dict()["net.head.weight"], timm_named["head.weight"])


def test_a_published_c3n_checkpoint_becomes_ours(tmp_path: Path) -> None:
    theirs = published("pvt_v2_b0", 2048)
    torch.save(theirs, tmp_path / "ms3_best.pth")
    output = tmp_path / "c3n.safetensors"
    command = ["weights", "convert", "c3n", str(tmp_path / "ms3_best.pth"), "-o", str(output)]
    assert main([*command, "--similarity", "plain"]) == 0
    ours = load_c3n(output)
    assert (ours.audio, ours.network.visual) == ("panns", "pvt_v2_b0")
    state = ours.network.state_dict()
    for name, tensor in official_names(theirs, "pvt_v2_b0").items():
        assert torch.equal(state[name], tensor), name
    similarity = torch.from_numpy(load_similarity("plain"))
    torch.testing.assert_close(ours.network.c3im.similarity, similarity)


def test_verify_tells_hash_and_fit(
    mn04: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["weights", "verify", "efficientat_mn04", str(mn04)]
    assert main(command) == 1
    assert "WRONG" in capsys.readouterr().out

    digest = hashlib.sha256(mn04.read_bytes()).hexdigest()
    monkeypatch.setattr(sources, "SOURCES", (_source(mn04.name, None, digest),))
    assert main(command) == 0
    assert "every tensor fits" in capsys.readouterr().out

    save_file({"features.0.0.weight": torch.zeros(8, 1, 3, 3)}, mn04)
    digest = hashlib.sha256(mn04.read_bytes()).hexdigest()
    monkeypatch.setattr(sources, "SOURCES", (_source(mn04.name, None, digest),))
    assert main(command) == 1
    assert "missing" in capsys.readouterr().out


def test_download_list_verify_convert_by_name(
    mn04: Path,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    data = mn04.read_bytes()
    with FileServer(data) as server:
        table = (_source("mn04.pt", server.url, hashlib.sha256(data).hexdigest()),)
        monkeypatch.setattr(sources, "SOURCES", table)
        assert main(["weights", "download", "efficientat_mn04"]) == 0
    assert (cache / "mn04.pt").read_bytes() == data
    assert main(["weights", "verify", "efficientat_mn04"]) == 0
    assert main(["weights", "convert", "efficientat_mn04"]) == 0
    assert (tmp_path / "efficientat_mn04.safetensors").is_file()
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setattr(sources, "SOURCES", SOURCES)
    assert main(["weights", "list"]) == 0
    listing = capsys.readouterr().out
    assert all(source.name in listing for source in SOURCES) and str(cache) in listing


@pytest.mark.parametrize(
    ("arguments", "description"),
    [
        (["download", "resnet"], "no known weights"),
        (["download", "beats"], "open https://"),
        (["convert", "panns"], "avs weights download panns"),
        (["convert", "panns", "a.pth", "b.pth"], "1 file"),
        (["convert", "panns", "absent.pth"], "does not exist"),
        (["convert", "panns", "-o", "panns.pth"], ".safetensors"),
        (["convert", "panns", "-o", "nowhere/panns.safetensors"], "nowhere"),
        (["convert", "c3n"], "name one C3N checkpoint"),
        (["verify", "panns"], "avs weights download panns"),
    ],
)
def test_bad_input_is_one_message_and_status_2(
    arguments: list[str],
    description: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["weights", *arguments]) == 2
    error = capsys.readouterr().err
    assert description in error and len(error.splitlines()) == 1


def test_no_network_is_one_message_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with FileServer(b"") as closed:
        table = (_source("mn04.pt", closed.url, None),)
    monkeypatch.setattr(sources, "SOURCES", table)
    assert main(["weights", "download", "efficientat_mn04"]) == 2
    error = capsys.readouterr().err
    assert "is there a network?" in error and len(error.splitlines()) == 1


def test_verify_without_downloads_says_so(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "verify"]) == 0
    assert f"no downloaded weights in {cache}" in capsys.readouterr().out


def _source(file_name: str, url: str | None, sha256: str | None) -> WeightSource:
    file = PublicFile(file_name, url, None, sha256)
    network = "efficientat_mn04"
    return WeightSource(network, "audio", network, (file,), "MIT", "https://example.org")
