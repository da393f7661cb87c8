"""The parameter tables, and what is made from them: parameter file, documents, ranges."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from avs_ros.conversions.audio import AUDIO_TYPES
from avs_ros.errors import ParameterError
from avs_ros.nodes.parameters import TABLES, Change, ParameterSpec
from avs_ros.streaming.pcm import SAMPLE_FORMATS

ROOT = Path(__file__).resolve().parents[1]
SPECS = [(node, spec) for node, table in TABLES.items() for spec in table]


@pytest.mark.parametrize(("node", "spec"), SPECS, ids=[f"{n}.{s.name}" for n, s in SPECS])
def test_every_parameter_is_described_and_its_default_allowed(
    node: str, spec: ParameterSpec
) -> None:
    spec.check(spec.default)
    assert spec.description[0].islower() or spec.description[0].isupper()
    assert spec.description.endswith((".", ")")) and len(spec.description) > 15
    assert (spec.minimum is None) == (spec.maximum is None)
    if isinstance(spec.default, (int, float)) and not isinstance(spec.default, bool):
        assert spec.minimum is not None, "a number needs a range"
    # ROS 2 cannot tell the type of an empty array.
    assert spec.default != []


def test_names_are_given_once() -> None:
    for table in TABLES.values():
        names = [spec.name for spec in table]
        assert len(names) == len(set(names))
        assert all(name == name.lower() and name.isidentifier() for name in names)


def test_the_parameter_file_holds_the_defaults() -> None:
    text = (ROOT / "config" / "avs.yaml").read_text(encoding="utf-8")
    read = yaml.safe_load(text)
    for node, table in TABLES.items():
        given = read[f"/**/{node}"]["ros__parameters"]
        assert given == {spec.name: spec.default for spec in table}
        for name, value in given.items():
            (spec,) = [spec for spec in table if spec.name == name]
            spec.check(value)


def test_the_documents_show_the_tables() -> None:
    spec = importlib.util.spec_from_file_location(
        "document_tables", ROOT / "tools" / "document_tables.py")
    assert spec is not None and spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    for path, text in program.files().items():
        assert path.read_text(encoding="utf-8") == text, "run `python tools/document_tables.py`"
        for _, parameter in SPECS if path.stem != "topics" else ():
            assert parameter.name in text


@pytest.mark.parametrize(
    ("default", "value", "accepted"),
    [
        (0.5, 0.25, True), (0.5, 1.25, False), (0.5, math.nan, False), (0.5, math.inf, False),
        (0.5, "high", False), (0.5, True, False), (1, 1, True), (1, 3, False), (1, 0.5, False),
        (1, True, False), (True, False, True), (True, 1, False),
    ],
)
def test_types_and_ranges_are_checked(default: Any, value: Any, accepted: bool) -> None:
    ranged = not isinstance(default, bool)
    spec = ParameterSpec(
        "name", default, "arguments", 0 if ranged else None, 1 if ranged else None
    )
    if accepted:
        spec.check(value)
    else:
        with pytest.raises(ParameterError, match="name"):
            spec.check(value)


def test_choices_are_checked() -> None:
    spec = ParameterSpec("qos", "a", "arguments", choices=("a", "b"), change=Change.NEVER)
    spec.check("b")
    with pytest.raises(ParameterError, match="one of a, b"):
        spec.check("c")
    assert spec.type_name == "string" and spec.constraint == "one of a, b"


def test_choices_of_sound_are_what_is_read() -> None:
    choices = {(node, spec.name): spec.choices for node, table in TABLES.items() for spec in table}
    assert choices["segmentation_node", "audio_format"] == SAMPLE_FORMATS
    assert choices["player_node", "audio_format"] == ("", *SAMPLE_FORMATS)
    for node in ("segmentation_node", "player_node", "microphone_node"):
        assert choices[node, "audio_type"] == ("auto", *AUDIO_TYPES), node
