"""What the bundled model must beat: simple things that need the data folder's networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avs_ros.evaluation.composite_generated import generated_dataset
from recipes.c3n_light.__main__ import main as recipe
from recipes.c3n_light.baselines import create_baseline


def test_baselines_need_the_data_folder(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["composite", "-o", str(tmp_path), "--model", "voc21_teacher"]
    assert recipe([*arguments, "--limit", "1"]) == 2
    assert "needs --data" in capsys.readouterr().err


def test_the_voc_baseline_marks_what_is_heard(shared: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    model = create_baseline("voc21_teacher", shared / "data", "torch", "cpu")
    dataset = generated_dataset()
    cat = dataset.images[0].view()
    meow, speech = dataset.recordings[0].second(), dataset.recordings[4].second()
    answer = model.step(cat.rgb, meow, 0)
    assert answer.label == "cat" and [layer.label for layer in answer.layers] == ["cat"]
    assert answer.score >= 0.5 and (answer.probability > 0.5).mean() > 0.3
    assert model.step(cat.rgb, speech, 0).score == 0
    assert model.step(cat.rgb, np.zeros(16000, np.float32), 0).layers == ()
