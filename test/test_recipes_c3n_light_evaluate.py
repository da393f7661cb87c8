"""Judging light models: the questions, the figures, the floors, the sheets."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from recipes.c3n_light.evaluate import Row, evaluate
from recipes.c3n_light.evaluate.answers import Answer, judge
from recipes.c3n_light.evaluate.cases import (
    BOTH,
    MATCHED,
    MISMATCHED,
    NEW_MISMATCHED,
    NEW_TWO,
    SILENT,
    TWO,
    Case,
    Composites,
    draw_cases,
    outlined_by_hand,
)
from recipes.c3n_light.evaluate.clips import facts_of, read_clips, run_clip
from recipes.c3n_light.evaluate.contestants import contestant
from recipes.c3n_light.evaluate.failures import badness, free_scenes, worst
from recipes.c3n_light.evaluate.figures import row, rows_of
from recipes.c3n_light.evaluate.judging import SPEED, lead

from avs_ros.errors import ParameterError
from avs_ros.evaluation.composite_generated import generated_library
from avs_ros.evaluation.held_out_pairs import held_out, held_out_pairs, kind_of
from avs_ros.models.light.families import FAMILY_NAMES, OVERLAPS, SOUNDS, VOICES
from avs_ros.segmentation import Layer, Prediction, Segmentation
from recipes.c3n_light.__main__ import main
from recipes.c3n_light.pictures import SIZE, Picture
from recipes.c3n_light.recordings import RATE, Recording

FAMILY_OF_VOICE = {voice.name: voice.family for voice in VOICES}
CAT, PERSON = FAMILY_NAMES.index("cat") + 1, FAMILY_NAMES.index("person") + 1


def test_no_pair_that_belongs_together_is_held_out() -> None:
    for sound, (is_voice, may_be) in SOUNDS.items():
        for voice in (*is_voice, *may_be):
            assert not held_out(FAMILY_OF_VOICE[voice], sound), (voice, sound)
    for held, holder in OVERLAPS:
        one, other = FAMILY_NAMES[held], FAMILY_NAMES[holder]
        assert (one, other) not in held_out_pairs() and (other, one) not in held_out_pairs()


def test_every_family_has_its_share_of_held_out_pairs_for_good() -> None:
    pairs = held_out_pairs()
    assert {family for family, _ in pairs} == set(FAMILY_NAMES)
    # Whoever trained with this list must find it again: it may not change.
    assert len(pairs) == 110
    assert held_out("cat", "dog_bark") and held_out("bird", "speech") and held_out("car", "violin")
    assert not held_out("person", "dog_bark") and not held_out("dog", "speech")


def test_one_sounding_class_has_one_fate_under_all_its_names() -> None:
    assert kind_of("dog_bark") == kind_of("dog") == "dog"
    assert kind_of("rain") == "rain"
    assert held_out("emergency vehicle", "dog") == held_out("emergency vehicle", "dog_bark")
    with pytest.raises(KeyError):
        kind_of("no such sound")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Caches as ``gather`` writes them: views of two free photographs, synthesised voices."""
    folder = tmp_path_factory.mktemp("work")
    scenes = list(free_scenes())[:8]
    np.save(folder / "pictures.npy", np.stack([scene.rgb for scene in scenes]))
    np.save(folder / "masks.npy", np.stack([scene.mask for scene in scenes]))
    table = [Picture("coco", scene.words, -1, True) for scene in scenes]
    (folder / "pictures.json").write_text(json.dumps([asdict(p) for p in table]))
    sounds = generated_library().recordings
    pcm = [np.round(np.tile(one.second(), 3) * 32767).astype(np.int16) for one in sounds]
    rng = np.random.default_rng(0)
    names = [one.sound for one in sounds]
    # A bark is noise here: what it is called decides which pair it makes.
    for name in ("dog_bark", "rain"):
        names.append(name)
        pcm.append(np.round(rng.normal(0, 2000, 3 * RATE)).astype(np.int16))
    rows = [Recording(name, 3 * RATE * i, 3 * RATE, held_out=True) for i, name in enumerate(names)]
    np.save(folder / "sounds.npy", np.concatenate(pcm))
    (folder / "sounds.json").write_text(json.dumps([asdict(r) for r in rows]))
    return folder


def test_cases_ask_what_their_kind_says(work: Path) -> None:
    cases = draw_cases(Composites(work))
    again = draw_cases(Composites(work))
    assert [(c.kind, c.picture, c.sound) for c in cases] == [
        (c.kind, c.picture, c.sound) for c in again
    ]
    assert all(np.array_equal(a.window, b.window) for a, b in zip(cases, again, strict=True))
    kinds = {case.kind for case in cases}
    assert {MATCHED, MISMATCHED, SILENT, TWO, NEW_MISMATCHED, NEW_TWO, BOTH} <= kinds
    for case in cases:
        here = {FAMILY_NAMES[k - 1] for k in np.unique(case.mask) if 0 < k < 255}
        makers = {FAMILY_OF_VOICE[v] for v in SOUNDS[case.sound][0]} if case.sound else set()
        assert case.window.shape == (RATE,) and case.frame.shape == (SIZE, SIZE, 3)
        if case.kind in (MATCHED, TWO, NEW_TWO, BOTH):
            assert case.family in here & makers
        else:
            assert not here & makers
        if case.kind in (TWO, NEW_TWO, BOTH):
            assert case.other in here - makers
        if case.kind == NEW_MISMATCHED:
            assert any(held_out(name, case.sound) for name in here)
        if case.kind == NEW_TWO:
            assert held_out(case.other, case.sound)


def test_who_drew_a_mask() -> None:
    assert outlined_by_hand(Picture("coco", "1", -1, True), "dog")
    assert outlined_by_hand(Picture("people", "1", -1, True), "person")
    assert not outlined_by_hand(Picture("people", "1", -1, True), "dog")
    assert not outlined_by_hand(Picture("imagenet", "x.jpg", 200, True), "dog")
    assert outlined_by_hand(Picture("davis", "libby/00000", -1, True), "dog")
    assert not outlined_by_hand(Picture("davis", "libby/00000", -1, True), "person")


def scene_mask() -> np.ndarray:
    mask = np.zeros((8, 8), np.uint8)
    mask[:4, :4], mask[:4, 4:], mask[7] = CAT, PERSON, 255
    return mask


def case(kind: str, family: str = "", other: str = "", picture: str = "a") -> Case:
    frame, silence = np.zeros((8, 8, 3), np.uint8), np.zeros(RATE, np.float32)
    return Case(kind, frame, scene_mask(), silence, picture, "cat", family, other, True)


def answer(asked: Case, rows: slice, columns: slice, label: str = "cat") -> Answer:
    probability = np.zeros((8, 8), np.float32)
    probability[rows, columns] = 1.0
    layer = Layer(probability, label, 0.9)
    found = Prediction(probability, 0.9, label, 0, "Meow", 0.9, (layer,))
    return judge(asked, found, (probability > 0.5).astype(np.uint8))


def test_an_answer_is_scored_by_its_kind() -> None:
    every, left = slice(None), slice(0, 4)
    half = answer(case(MATCHED, "cat"), slice(0, 2), left)
    assert half.iou == 0.5 and half.named == 1 and half.right is None
    # The last row is unknown: marking it costs nothing.
    assert answer(case(MATCHED, "cat"), every, left).iou == pytest.approx(16 / 28)
    assert answer(case(MATCHED, "cat"), slice(0, 2), left, "dog").named == 0
    two = answer(case(TWO, "cat", "person"), slice(0, 4), slice(0, 5))
    assert two.right == pytest.approx(0.8) and two.by_area == 0.5 and two.iou is None
    both = case(BOTH, "cat", "person")
    assert answer(both, slice(0, 4), every).found == 1  # the person has no label of its own
    layers = tuple(Layer(np.ones((8, 8), np.float32), name, 0.9) for name in ("cat", "person"))
    found = Prediction(layers[0].probability, 0.9, "cat", 0, "Meow", 0.9, layers)
    marks = np.ones((8, 8), np.uint8)
    all_marked = judge(both, found, marks)
    assert (all_marked.found, all_marked.both, all_marked.either) == (2, 1, 1)
    marks[:, 5:] = 0
    assert judge(both, found, marks).found == 1
    assert judge(case(TWO, "cat", "person"), found, marks).found is None
    wrong = answer(case(MISMATCHED), slice(0, 4), every)
    assert wrong.empty == 0 and wrong.area == 0.5
    assert (badness(half), badness(wrong)) == (0, 0.5)
    assert badness(answer(case(MATCHED, "cat"), slice(0, 1), left)) == 0.75


def test_figures_count_what_they_say() -> None:
    answers = [
        answer(case(MATCHED, "cat", picture=str(i)), slice(0, rows), slice(0, 4))
        for i, rows in enumerate((4, 4, 2, 2, 1, 3))
    ]
    answers += [answer(case(MISMATCHED), slice(0, 4), slice(None))]
    figures = {r.name: r for r in rows_of(answers)}
    assert figures["M_J, all pairs"].value == pytest.approx((1 + 1 + 0.5 + 0.5 + 0.25 + 0.75) / 6)
    assert figures["M_J, cat"].count == 6
    low, high = figures["M_J, all pairs"].low, figures["M_J, all pairs"].high
    assert low is not None and high is not None and 0.4 < low < 0.667 < high < 1
    assert figures["mismatched sound: empty share"].value == 0
    assert np.isnan(figures["silence: empty share"].value)


def test_interval_needs_pictures_and_draws_them_whole() -> None:
    assert row("x", [0.0, 1.0] * 5, ["a", "b"] * 5).low is None
    alone = row("x", [0.0, 1.0] * 20, [str(i) for i in range(40)])
    alike = row("x", [0.0, 1.0] * 20, [str(i % 10) for i in range(40)])
    assert alone.low is not None and alike.low is not None
    assert alone.low > alike.low


def test_lead_is_paired() -> None:
    ours = [
        answer(case(MATCHED, "cat", picture=str(i)), slice(0, 4), slice(0, 4)) for i in "abcdef"
    ]
    theirs = [
        answer(case(MATCHED, "cat", picture=str(i)), slice(0, 3), slice(0, 4)) for i in "abcdef"
    ]
    found = lead(ours, theirs)
    assert found[0].value == pytest.approx(0.25)
    # The same everywhere: no doubt at all.
    assert found[0].low == found[0].high == pytest.approx(0.25)


def test_the_worst_are_kept_and_not_twice_alike() -> None:
    answers = [
        (answer(case(MATCHED, "cat", picture=name), slice(0, rows), slice(0, 4)), scene_mask())
        for name, rows in (("cat 0", 1), ("cat 1", 0), ("other", 1), ("good", 4))
    ]
    assert [a.case.picture for a, _ in worst(answers, 5)] == ["cat 1", "other"]
    assert len(worst(answers, 1)) == 1


def test_several_models_answer_the_same_cases(work: Path) -> None:
    lines: list[str] = []
    models = [contestant(name, None) for name in ("c3n_light", "consensus_cam")]
    judgement = evaluate(work, models, lines.append, limit=1)
    about = json.loads(judgement.to_json())
    assert set(about["models"]) == {"c3n_light", "consensus_cam"}
    light, floor = ({r["name"]: r for r in about["models"][m]} for m in about["models"])
    for name in ("M_J, all pairs", "mismatched sound: empty share", SPEED):
        assert light[name]["count"] == floor[name]["count"] > 0
    assert light["M_J, all pairs"]["value"] > 0.5
    assert floor["mismatched sound: empty share"]["value"] == 0
    assert "hearing, 1 s: right family" in light and "hearing, 1 s: right family" not in floor
    assert about["differences"]["consensus_cam"][0]["name"] == "M_J, all pairs"
    table = judgement.to_markdown()
    assert "| figure | cases | c3n_light | consensus_cam |" in table
    assert "0.500" in str(Row("x", 3, 0.5))


def test_impossible_contestants_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(ParameterError, match="needs --data"):
        contestant("voc21_teacher", None)
    with pytest.raises(ParameterError, match="not a model's name"):
        contestant("nonsense=file.safetensors", tmp_path)
    assert main(["failures", "--model", "voc21_teacher", "--threads", "1"]) == 2
    assert "needs --data" in capsys.readouterr().err
    assert main(["clips", "--data", str(tmp_path), "--threads", "1"]) == 2
    assert "clips.csv is missing" in capsys.readouterr().err


def test_teacher_marks_what_is_heard(shared: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    model = contestant("voc21_teacher", shared / "data").make()
    library = generated_library()
    cat = library.pictures[0].view()
    meow, speech = library.recordings[0].second(), library.recordings[4].second()
    answer = model.step(cat.rgb, meow, 0)
    assert answer.label == "cat" and [layer.label for layer in answer.layers] == ["cat"]
    assert answer.sounding >= 0.5 and (answer.probability > 0.5).mean() > 0.3
    assert model.step(cat.rgb, speech, 0).sounding == 0
    assert model.step(cat.rgb, np.zeros(RATE, np.float32), 0).layers == ()


def segmentation(label: str, area: float) -> Segmentation:
    blank = np.zeros((4, 4), np.float32)
    return Segmentation(
        0, 4, 4, bool(label), 0.8 if label else 0.2, label, "", 0.0, (), None, area, blank,
        blank.astype(np.uint8),
    )  # fmt: skip


def test_facts_of_a_clip() -> None:
    facts = facts_of(
        [segmentation("dog", 0.2), segmentation("dog", 0.4), segmentation("cat", 0.3),
         segmentation("", 0.0)]
    )  # fmt: skip
    assert (facts.frames, facts.marked, facts.label) == (4, 0.75, "dog")
    assert facts.label_share == pytest.approx(2 / 3) and facts.area == pytest.approx(0.3)
    assert facts_of([]).marked == 0 and "-" in str(facts_of([segmentation("", 0)]))


def test_a_real_clip_gives_the_same_facts_twice(shared: Path) -> None:
    clips = read_clips(shared / "data" / "clips")
    assert len(clips) == 27
    puppy = next(clip for clip in clips if "p04SYXuBSQ" in clip.path.name)
    model = contestant("c3n_light", None).make()
    first, again = (facts_of([a for a, _ in run_clip(model, puppy.path, 2.0)]) for _ in range(2))
    assert first == again
    assert first.label == "dog" and first.marked > 0.4 and 9 <= first.frames <= 12


def test_sheet_of_failures_is_made_of_free_pictures() -> None:
    scenes = list(free_scenes())
    assert all(scene.rgb.shape == (SIZE, SIZE, 3) for scene in scenes)
    assert {tuple(scene.families) for scene in scenes} == {
        ("cat",), ("person",), ("person", "cat"),
    }  # fmt: skip
