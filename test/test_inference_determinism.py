"""The same machine and engine give the same masks, and a run says what computed it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from run_command import avs

import avs_ros
from avs_ros.cli.main import main
from avs_ros.errors import EngineError
from avs_ros.inference import create_segmenter
from avs_ros.inference.engines.threads import computing_threads, limited_threads
from avs_ros.inference.registry import describe, weight_file
from avs_ros.media.scene import write_scene
from avs_ros.weights.sources import sha256_of

pytestmark = pytest.mark.xdist_group("exports")


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("skimage")
    path = tmp_path_factory.mktemp("scene") / "scene.mp4"
    write_scene(path, 2.4)
    return path


def results(folder: Path) -> tuple[dict, str, dict[str, bytes]]:
    """The metadata, the frames' lines without their times, and the mask files."""
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    metadata = lines[0].pop("metadata")
    frames = [{k: v for k, v in line.items() if k != "ms"} for line in lines]
    assert len(frames) == 6 and any(frame["sounding"] for frame in frames)
    masks = {path.name: path.read_bytes() for path in sorted((folder / "masks").iterdir())}
    return metadata, json.dumps(frames), masks


@pytest.mark.parametrize("arguments", [("--engine", "torch", "--threads", "1"), ()])
def test_two_runs_are_equal_byte_for_byte(
    scene: Path, tmp_path: Path, exports: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
) -> None:
    """One run in a process of its own, one here."""
    monkeypatch.setenv("AVS_CACHE", str(exports))
    words = ("run", scene, "--fps", "2.5", *arguments, "-o")
    done = avs(*words, tmp_path / "first")
    assert done.returncode == 0, done.stderr
    assert main([*map(str, words), str(tmp_path / "second")]) == 0
    first, second = results(tmp_path / "first"), results(tmp_path / "second")
    assert first == second
    report = (tmp_path / "first" / "report.html").read_text()
    for value in (first[0]["engine"], first[0]["library"], *first[0]["weights"].values()):
        assert str(value) in report
    if arguments:
        assert (first[0]["engine"], first[0]["threads"]) == ("torch", 1)


def test_metadata_name_engine_threads_and_weights() -> None:
    segmenter = create_segmenter("c3n_light", "torch", "cpu", threads=1)
    found = describe(segmenter, "c3n_light", 1)
    segmenter.close()
    path = weight_file("c3n_light")
    assert path is not None
    assert found == {
        "avs_ros": avs_ros.__version__,
        "model": "c3n_light",
        "engine": "torch",
        "library": f"torch {torch.__version__.partition('+')[0]}",
        "device": "cpu",
        "threads": 1,
        "weights": {"c3n_light.safetensors": sha256_of(path)},
    }
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_threads_reach_the_engine(
    engine: str, exports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each library is asked by its own name; what is kept of a model serves any number."""
    library = pytest.importorskip(engine)
    monkeypatch.setenv("AVS_CACHE", str(exports))
    asked: list[int] = []
    if engine == "onnxruntime":
        plain = library.InferenceSession

        def session(path: str, options: object, **more: object) -> object:
            asked.append(options.intra_op_num_threads)
            return plain(path, options, **more)

        monkeypatch.setattr(library, "InferenceSession", session)
    else:
        real = library.Core.compile_model

        def compile_model(core: object, graph: str, device: str, options: dict) -> object:
            compiled = real(core, graph, device, options)
            asked.append(compiled.get_property("INFERENCE_NUM_THREADS"))
            return compiled

        monkeypatch.setattr(library.Core, "compile_model", compile_model)
    create_segmenter("c3n_light", engine, "cpu", threads=1).close()
    assert asked == [1, 1]  # the audio network and the visual step


def test_a_number_of_threads_that_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EngineError, match="threads is 0; it must be at least 1"):
        create_segmenter("c3n_light", threads=0)
    with limited_threads(3):
        assert computing_threads() == 3
    assert computing_threads() == 0
    assert main(["run", "film.mp4", "--threads", "0"]) == 2
    assert "--threads is 0" in capsys.readouterr().err
