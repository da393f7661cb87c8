"""The comparison: equal before timed, left out with a reason, everything in the results."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from avs_ros.benchmarks import candidate, comparison
from avs_ros.benchmarks.forms import AUTHORS
from avs_ros.benchmarks.subject import StepOutput, Subject
from avs_ros.cli.main import main
from avs_ros.errors import EngineError

SMALL = Subject("pvt_v2_b0", "efficientat_mn04", frames_per_clip=3, image_size=64, channels=16)


class Scripted:
    """Stands in for a form's process: known times, known logits, a diary of what was asked."""

    diary: list[tuple[str, str]] = []
    off: dict[str, float] = {}
    ms = {AUTHORS: 80.0, "torch": 8.0, "onnxruntime": 4.0}

    def __init__(self, form: str, subject: Subject, device: str = "cpu") -> None:
        self.form, self.device, self.load_s, self.state_bytes = form, device, 0.1, 528

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self) -> None:
        if self.form == "openvino":
            raise EngineError("engine openvino needs OpenVINO, which is not installed")

    def logits(self, number: int) -> StepOutput:
        self.diary.append(("compare", self.form))
        return StepOutput(np.array([[0.0, 2.0 + self.off.get(self.form, 0.0)]], np.float32), 0)

    def step(self, number: int, stamp_ns: int | None = None) -> float:
        self.diary.append(("step", self.form))
        slow = 3.0 if number % 2 else 1.0  # the machine's moods: the same for all in a round
        return self.ms[self.form] * slow

    def memory(self) -> dict[str, Any]:
        return {"peak_mib": 300.0, "running_mib": 200.0, "gpu_mib": None, "states": 5}

    def close(self) -> None:
        pass


@pytest.fixture
def scripted(monkeypatch):
    Scripted.diary, Scripted.off = [], {}
    monkeypatch.setattr(candidate, "Candidate", Scripted)
    monkeypatch.setattr(comparison, "export", lambda subject: None)
    return Scripted


def test_equal_before_timed_and_ratios_of_rounds(scripted):
    forms = [AUTHORS, "torch", "onnxruntime", "openvino"]
    found = comparison.compare(SMALL, "cpu", forms, rounds=4)["forms"]
    last_comparison = max(i for i, (what, _) in enumerate(scripted.diary) if what == "compare")
    timed = scripted.diary[last_comparison + 1 :]
    assert len(timed) == 4 * 3 and (("step", AUTHORS) in timed)
    assert ("step", AUTHORS) not in scripted.diary[:last_comparison]
    assert found["torch"]["ms"]["ratio"] == 10 and found["onnxruntime"]["ms"]["ratio"] == 20
    assert found["torch"]["difference"] == 0
    assert "not installed" in found["openvino"]["left_out"]


def test_a_form_that_differs_is_not_timed(scripted):
    scripted.off = {"onnxruntime": 0.01}
    found = comparison.compare(SMALL, "cpu", [AUTHORS, "torch", "onnxruntime"], 2)["forms"]
    assert "differs from the published form by 0.01" in found["onnxruntime"]["left_out"]
    assert "ms" not in found["onnxruntime"] and "ms" in found["torch"]
    after = scripted.diary.index(("compare", "onnxruntime")) + 1
    assert ("step", "onnxruntime") not in scripted.diary[after:]


def test_scaling_points(scripted, monkeypatch):
    monkeypatch.setattr(comparison, "listed_mib", lambda *_: 2000.0)
    for name, values in (("CLIPS", (1, 5)), ("SIZES", (64,)), ("RATES_HZ", (1, 10))):
        monkeypatch.setattr(comparison, name, values)
    found = comparison.measure_scaling(replace(SMALL, image_size=224), "torch", "cpu", 2)
    assert [point["value"] for point in found["clip"]] == [1, 5]
    assert found["clip"][0][AUTHORS]["ms"]["median"] == 160.0
    # The affinity of 5 frames of 56 x 56 pixels in float32.
    assert comparison.affinity_mib(Subject()) == pytest.approx(15680**2 * 4 / 2**20)
    assert "0.9 GiB, twice" in found["clip"][1][AUTHORS]["left_out"]
    assert "ms" in found["clip"][1]["torch"] and found["size"][0]["torch"]["running_mib"] == 200
    rate = found["rate"][1]
    assert rate["value"] == 10 and rate["load"] == pytest.approx(rate["ms"]["median"] * 0.01)
    assert rate["states"] == 5 and rate["state_kib"] == pytest.approx(5 * 528 / 1024)


def test_command_compares_real_forms(tmp_path, capfd):
    arguments = ["benchmark", "--visual", "pvt_v2_b0", "--audio", "efficientat_mn04",
             "--image-size", "64", "--frames-per-clip", "2", "--engines", "torch",
             "--device", "cpu", "--repeats", "2", "-o", str(tmp_path)]
    assert main(arguments) == 0
    shown = capfd.readouterr().out
    assert "published form" in shown and "stream, PyTorch" in shown and "x" in shown
    results = json.loads((tmp_path / "benchmark.json").read_text())
    machine = results["machine"]
    assert machine["cpu"] and machine["cores"] >= 1 and machine["torch_threads"] >= 1
    assert machine["libraries"]["torch"]
    (part,) = results["comparison"]
    assert part["subject"]["visual"] == "pvt_v2_b0" and part["reference"] == AUTHORS
    for form in (AUTHORS, "torch"):
        found = part["forms"][form]
        assert len(found["ms"]["samples"]) == 2 and found["ms"]["ratio"] > 0
        assert found["memory"]["peak_mib"] >= found["memory"]["running_mib"] > 0
        assert found["memory"]["gpu_mib"] is None
    assert part["forms"]["torch"]["difference"] < 1e-4
    assert (tmp_path / "benchmark.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engines", "warp"], "unknown engine 'warp'"),
        (["--repeats", "0"], "--repeats is at least 1"),
        (["--visual", "pvt_v9"], "unknown visual backbone 'pvt_v9'"),
        (["--audio", "ears"], "unknown audio network 'ears'"),
        (["--image-size", "100"], "multiples of 32"),
    ],
)
def test_wrong_words_are_one_message(arguments, message, tmp_path, capsys):
    assert main(["benchmark", *arguments, "-o", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "benchmark.json").exists()


def test_a_model_without_a_published_form_is_held_against_pytorch(scripted):
    forms = comparison.default_forms("cpu")
    part = comparison.compare(Subject("avsc_light"), "cpu", forms, rounds=2)
    assert part["reference"] == "torch" and AUTHORS not in part["forms"]
    assert part["forms"]["onnxruntime"]["ms"]["ratio"] == 2


def test_scaling_needs_a_published_form(tmp_path, capsys):
    assert main(["benchmark", "--model", "avsc_light", "--scaling", "-o", str(tmp_path)]) == 2
    assert "published form" in capsys.readouterr().err
