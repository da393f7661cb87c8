"""The stage that makes the shipped file, from the data folder to a model that runs."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from light_training_data import Reporter

from avs_ros.errors import ParameterError
from avs_ros.inference.candidates import THING_WEIGHTS
from avs_ros.inference.explaining import COMPANION_INPUTS, INPUTS, Background
from avs_ros.inference.light import BUNDLED
from avs_ros.inference.light_detecting import DetectingSegmenter
from avs_ros.models.labels import audioset
from avs_ros.models.light.checkpoint import load_light
from recipes.c3n_light import box_choice, composite_sounds, detect, explaining, gate_examples
from recipes.c3n_light.__main__ import main
from recipes.c3n_light.background import background_of
from recipes.c3n_light.categories import categories
from recipes.c3n_light.detect import DetectSettings, run_detect
from recipes.c3n_light.explaining import (
    Examples,
    companion_threshold_for,
    examples_of,
    refusal_curve,
    threshold_for,
    truth_of,
)
from recipes.c3n_light.listening import free_sounds

SHORT = DetectSettings(
    listening_steps=1, listening_batch=2, detecting_steps=2, detecting_batch=1, scene_size=96,
    whole_size=96, instance_size=128, mask_steps=1, pairs=24, doubles=6, threads=1,
    stamps="", soundfont="",
)  # fmt: skip


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few examples of each kind, no clips, the shortest set of sounds; a gate fitted briefly."""
    for name, value in (
        ("SOUND_SETS", ("esc10",)), ("SOUNDS_OF_A_KIND", 1), ("PHOTOS_OF_A_KIND", 1),
        ("ROWS_OF_A_KIND", 0), ("SCENES", 2), ("NOISES", 2), ("CLIP_SETS", ()),
    ):  # fmt: skip
        module = gate_examples if hasattr(gate_examples, name) else composite_sounds
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(detect, "free_sounds", partial(free_sounds, sets=("speech",)))
    monkeypatch.setattr(explaining, "STEPS", 60)


def test_one_command_goes_from_the_data_to_a_file_that_runs(
    shared: Path, tmp_path: Path, short: None
) -> None:
    data = shared / "data"
    people = sorted(path.name for path in (data / "images" / "people").glob("*.jpg"))[:3]
    streets = sorted(path.name for path in (data / "images" / "camvid").glob("*.jpg"))[:3]
    # What the public detector finds in all photographs would take longer than everything else.
    known = {f"people/{name}": [] for name in people} | {f"camvid/{name}": [] for name in streets}
    (tmp_path / "believed.json").write_text(json.dumps(known))
    (tmp_path / "salient").mkdir()
    (tmp_path / "salient" / "done").touch()
    told = Reporter()
    target = run_detect(SHORT, data, tmp_path, told)
    assert any("threshold" in line for line in told.lines)
    model = load_light(target)
    provenance = model.metadata["provenance"]["detecting"]
    assert provenance["settings"]["detecting_steps"] == 2
    assert (tmp_path / "masks.pt").is_file()
    assert provenance["data"] and provenance["refusal_curve"]
    assert 0 < model.metadata["detecting"]["calibration"]["threshold"] < 1
    segmenter = DetectingSegmenter(target)
    answer = segmenter.step(np.zeros((48, 64, 3), np.uint8), np.zeros(16000, np.float32), 0)
    assert answer.layers == () and len(segmenter.categories) == 92
    segmenter.close()
    assert model.categories == load_light(BUNDLED).categories
    # Again: the stages have ended and the examples are kept.
    again = Reporter()
    first = target.read_bytes()
    assert run_detect(SHORT, data, tmp_path, again).read_bytes() == first
    assert not any("composites of" in line for line in again.lines)
    # A gate of its own for the networks of a file that there is.
    call = ["gate", "--model", str(target), "--data", str(data), "-o", str(tmp_path / "gate")]
    assert main([*call, "--set", "pairs=30", "--set", "doubles=6"]) == 0
    other = load_light(tmp_path / "gate" / "c3n_light.safetensors")
    assert other.metadata["provenance"]["gate"]["settings"]["pairs"] == 30
    told, before = other.metadata["detecting"], model.metadata["detecting"]
    assert told["gate"] != before["gate"] and told["evidence"] == before["evidence"]
    for kind, shape in (("cells", (2, 92)), ("sound", (2, 92)), ("alone", (2, 92, 92))):
        assert np.shape(told["background"][kind]) == shape
    assert np.shape(told["gate"]["companion"]["mean"]) == (COMPANION_INPUTS,)
    assert other.detector is not None and model.detector is not None
    for own, kept in zip(other.detector.parameters(), model.detector.parameters(), strict=True):
        assert torch.equal(own, kept)


def test_which_object_the_cells_are_is_fitted_on_held_out_photographs(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [category for category in categories() if category.name in ("harp", "xylophone")]
    monkeypatch.setattr(box_choice, "categories", lambda: few)
    told: list[str] = []
    weights = box_choice.fit_box_choice(shared / "data", BUNDLED, told.append)
    assert weights.shape == np.shape(THING_WEIGHTS)
    # What is an object, and what fits the cells, is what they show.
    assert weights[0] > 0 and weights[2] > 0
    found = {line[:27].strip(): float(line.split("IoU ")[1][:5]) for line in told[:-1]}
    assert found["best box there is"] > found["fitted on other categories"] > 0


def test_settings_that_cannot_be_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ParameterError, match="multiple of 32"):
        DetectSettings(whole_size=100)
    call = ["detect", "--data", str(tmp_path), "-o", str(tmp_path / "run"), "--set", "beside=2"]
    assert main(call) == 2
    assert "beside" in capsys.readouterr().err


def made(rows: list[tuple[float, list[float]]]) -> Examples:
    """Composites of two categories: the gate's probability of the first one is the number."""
    found = [
        (np.array([[np.log(p / (1 - p))], [-9.0]], np.float32), np.array(truth, np.float32))
        for p, truth in rows
    ]
    return examples_of(found)


# Says what its one input says (a tanh that stays in its straight part).
PLAIN = {
    "mean": [0.0], "spread": [1.0], "hidden": [[1e-3]], "hidden_bias": [0.0], "weights": [1e3],
    "bias": 0.0,
}  # fmt: skip


def test_thresholds_leave_the_asked_share_empty() -> None:
    silent = made([(p / 100, [0, 0]) for p in range(1, 100)])
    assert threshold_for(silent, PLAIN, 0.9) == pytest.approx(0.9, abs=0.01)
    # What is weighed beside the second, the first source.
    beside = made([(p / 100, [0, -1]) for p in range(1, 100)])
    assert companion_threshold_for(beside, PLAIN, 0.2) == pytest.approx(0.8, abs=0.01)


def test_the_curve_counts_what_is_refused_and_named() -> None:
    every = made([(0.25, [0, 0]), (0.65, [0, 0]), (0.35, [1, 0]), (0.9, [1, 0])])
    rows = {row["threshold"]: row for row in refusal_curve(every, PLAIN, ())}
    assert (rows[0.3]["composites_empty"], rows[0.3]["composites_named"]) == (0.5, 1.0)
    assert (rows[0.7]["composites_empty"], rows[0.7]["composites_named"]) == (1.0, 0.5)
    assert "clips_named" not in rows[0.3]


def test_the_background_is_of_images_and_sounds_without_the_category() -> None:
    cells = [(np.array([peak, -3.0]), np.array([shown, -1.0]))
             for peak, shown in ((-1.0, 1), (-4.0, 0), (-6.0, -1))]  # fmt: skip
    # Evidence of two categories in four rows, and whether the first one may make it.
    sounds = [(np.array([own, -2.0, 9, 9, 9, 9, 9, 9]), np.array([makes, 0.0]))
              for own, makes in ((3.0, 1), (0.0, -1), (-5.0, 0), (-7.0, 0))]  # fmt: skip
    found = background_of(cells, sounds)
    # What may be there is seen as not there, what may sound is left out; what never differs says
    # nothing.
    assert found["cells"] == [[-5.0, 0.0], [1.0, 0.0]]
    assert found["sound"] == [[-6.0, 0.0], [1.0, 0.0]]
    # One recording of the first alone, and five of no category in particular; of the second none.
    mean, spread = np.array(found["alone"])
    values = np.array([3.0, 0.0, -5.0, -7.0])
    np.testing.assert_allclose(mean[:, 0], [(3 + 5 * values.mean()) / 6, values.mean()], atol=0.01)
    expected = values.std() * np.array([np.sqrt(5 / 6), 1])
    np.testing.assert_allclose(spread[:, 0], expected, atol=0.01)
    assert mean[:, 1].tolist() == [-2.0, -2.0] and not spread[:, 1].any()


def test_beside_the_likeliest_source_everything_else_is_weighed() -> None:
    inputs = np.zeros((3, 2, INPUTS), np.float32)
    inputs[:, :, 0] = [[2.0, 1.0], [1.0, 2.0], [0.0, 0.0]]
    every = explaining.examples_of(
        [*zip(inputs, np.array([[1, 1], [1, 0], [0, 0]], np.float32), strict=True)])
    plain = {**PLAIN, "mean": [0.0] * INPUTS, "spread": [1.0] * INPUTS,
             "hidden": [[1e-3, *[0.0] * (INPUTS - 1)]]}  # fmt: skip
    found = explaining.companion_examples(every, plain, Background(None))
    # The third has no source; in the second one the source is not the likeliest.
    assert found.truth.tolist() == [[-1, 1], [-1, 0]]
    assert found.inputs.shape == (2, 2, COMPANION_INPUTS)


@pytest.mark.parametrize(
    ("labels", "makes", "may", "not_at_all"),
    [
        (("Idling", "Engine"), "motorcycle", None, "airplane"),
        (("Engine",), "engine", "airplane", "dog"),
        (("Piano",), "piano", "guitar", "person"),
        (("Music", "Musical instrument"), None, "guitar", "person"),
    ],
)  # fmt: skip
def test_what_may_make_a_sound_goes_by_its_narrowest_classes(
    labels: tuple[str, ...], makes: str | None, may: str | None, not_at_all: str
) -> None:
    names = [category.name for category in categories()]
    found = explaining.made_by([audioset().index(label) for label in labels])
    for name, expected in ((makes, 1), (may, -1), (not_at_all, 0)):
        assert name is None or found[names.index(name)] == expected, name


def test_noises_are_of_nothing_that_can_be_marked() -> None:
    found = list(composite_sounds.noises(3))
    assert len(found) == composite_sounds.NOISES
    names = [category.name for category in categories()]
    assert set(composite_sounds.NOISY) < set(names)
    flatness = []
    for window, makers in found:
        assert 16000 <= len(window) <= 48000 and window.dtype == np.float32
        assert 0.02 < np.sqrt(np.mean(window[-16000:] ** 2)) < 0.3
        assert makers[names.index("cat")] == 0 and makers[names.index("fountain")] == -1
        power = np.abs(np.fft.rfft(window))[20:] ** 2
        flatness.append(np.exp(np.log(power).mean()) / power.mean())
    # From white noise to hum.
    assert max(flatness) > 0.5 and min(flatness) < 0.05


def test_what_is_shown_and_makes_the_sound_is_the_truth() -> None:
    shown = np.array([1, 1, 1, 0, -1, -1], np.float32)
    makers = np.array([1, 0, -1, 1, 1, 0], np.float32)
    assert truth_of(shown, makers).tolist() == [1, 0, -1, 0, -1, 0]
