"""One parameter of a node: its name, default, range, description, and when it may change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from avs_ros.errors import ParameterError

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
        expected = type(self.default)
        if not isinstance(value, expected) or isinstance(value, bool) != (expected is bool):
            raise ParameterError(
                f"parameter {self.name} is {value!r}: expected a {self.type_name}"
            )
        if self.choices and value not in self.choices:
            raise ParameterError(
                f"parameter {self.name} is {value!r}: expected {self.constraint}"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise ParameterError(f"parameter {self.name} is {value}: expected a finite number")
        low, high = self.minimum, self.maximum
        if low is not None and high is not None and not low <= float(value) <= high:  # type: ignore[arg-type]
            raise ParameterError(f"parameter {self.name} is {value}: expected {self.constraint}")


Table: TypeAlias = "tuple[ParameterSpec, ...]"
