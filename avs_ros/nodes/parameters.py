"""ONE table of parameters per node: name, default (and with it the type), range, description.

They stand in ``avs_ros/data/parameters.yaml``.  Descriptors, ``config/avs.yaml`` and the
documents' table all come from there (``python tools/document_tables.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from avs_ros.errors import ParameterError
from avs_ros.gate import CATEGORY_THRESHOLDS, GATE_OPTIONS

Value: TypeAlias = "bool | int | float | str | list[str]"


class Change(Enum):
    """When a parameter may be changed while the node runs."""

    ANY_TIME = "any time"
    UNCONFIGURED = "before configure"
    NEVER = "at start only"


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter; ``minimum`` and ``maximum`` are inclusive, ``choices`` exhaustive."""

    name: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    change: Change = Change.ANY_TIME

    @property
    def type_name(self) -> str:
        """The ROS name of the type: bool, integer, double, string or string array."""
        names = {bool: "bool", int: "integer", float: "double", str: "string"}
        return names.get(type(self.default), "string array")

    @property
    def constraint(self) -> str:
        """Range or choices in words, "" for none."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.minimum is None or self.maximum is None:
            return ""
        return f"{self.minimum:g} to {self.maximum:g}"

    def check(self, value: object) -> None:
        """Raise :class:`ParameterError` when ``value`` has the wrong type or is out of range."""
        kind, low, high = type(self.default), self.minimum, self.maximum
        expected = ""
        if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
            expected = f"a {self.type_name}"
        elif self.choices:
            expected = "" if value in self.choices else self.constraint
        elif isinstance(value, float) and not math.isfinite(value):
            expected = "a finite number"
        elif isinstance(value, int | float) and low is not None and high is not None:
            expected = "" if low <= value <= high else self.constraint
        if expected:
            raise ParameterError(f"parameter {self.name} is {value!r}: expected {expected}")


Table: TypeAlias = "tuple[ParameterSpec, ...]"
_FILE = Path(__file__).parents[1] / "data" / "parameters.yaml"


def _gate() -> Table:
    """The gate's options; a negative number stands for the model's own value."""
    numbers = tuple(
        ParameterSpec(
            option.name, -1.0, f"{option.description}; -1 takes the model's own.", -1.0,
            option.maximum,
        )
        if option.default is None
        else ParameterSpec(
            option.name, option.default, f"{option.description}.", option.minimum, option.maximum
        )
        for option in GATE_OPTIONS
    )
    meaning = f"{CATEGORY_THRESHOLDS}; an empty text is ignored."
    return (*numbers, ParameterSpec("category_thresholds", [""], meaning))


def _table(rows: Mapping[str, Any]) -> Table:
    """One node's rows of the file; ``gate`` stands for the gate's options."""
    table: list[ParameterSpec] = []
    for name, row in rows.items():
        if name == "gate":
            table += _gate()
            continue
        low, high = row.get("range", (None, None))
        table.append(
            ParameterSpec(
                name, row["default"], row["description"], low, high,
                tuple(row.get("choices", ())), Change(row.get("change", Change.ANY_TIME.value)),
            )
        )
    return tuple(table)


# Node -> its parameters.
TABLES: Mapping[str, Table] = {
    node: _table(rows)
    for node, rows in yaml.safe_load(_FILE.read_text(encoding="utf-8")).items()
}
