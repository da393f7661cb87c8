"""``Parameter``: a name, a type and a value, and the way to and from its message."""

from __future__ import annotations

import array
from enum import IntEnum
from typing import Any

import numpy as np
import yaml

from ..interfaces import get_message
from .parameter_files import Overrides, read_parameter_file

PARAMETER_SEPARATOR_STRING = "."

_SEQUENCES = (list, tuple, array.array, np.ndarray)


def _items(value: Any) -> list[Any]:
    return value.tolist() if isinstance(value, (array.array, np.ndarray)) else list(value)


class Parameter:
    """One parameter; a value of ``None`` has type ``NOT_SET``."""

    class Type(IntEnum):
        """Types with the numbers of ``rcl_interfaces/msg/ParameterType``."""

        NOT_SET = 0
        BOOL = 1
        INTEGER = 2
        DOUBLE = 3
        STRING = 4
        BYTE_ARRAY = 5
        BOOL_ARRAY = 6
        INTEGER_ARRAY = 7
        DOUBLE_ARRAY = 8
        STRING_ARRAY = 9

        @classmethod
        def from_parameter_value(cls, parameter_value: Any) -> Parameter.Type:
            """Give the type of a Python value.

            An empty list is a ``BYTE_ARRAY``, as in rclpy.  Raises ``TypeError`` for a value that
            no parameter can hold.
            """
            if parameter_value is None:
                return cls.NOT_SET
            for python_type, name in _SCALARS.items():
                if isinstance(parameter_value, python_type):
                    return cls[name]
            if not isinstance(parameter_value, _SEQUENCES):
                raise TypeError(
                    f"The given value is not one of the allowed types '{parameter_value}'."
                )
            values = _items(parameter_value)
            for python_type, name in _ELEMENTS.items():
                if all(isinstance(value, python_type) for value in values):
                    return cls[name]
            raise TypeError(
                f"The given value is not a list of one of the allowed types '{parameter_value}'."
            )

        def check(self, parameter_value: Any) -> bool:
            """Say whether a Python value fits this type."""
            if self is Parameter.Type.NOT_SET:
                return parameter_value is None
            for python_type, name in _SCALARS.items():
                if name == self.name:
                    return isinstance(parameter_value, python_type)
            if not isinstance(parameter_value, _SEQUENCES):
                return False
            values = _items(parameter_value)
            if self is Parameter.Type.BYTE_ARRAY:
                return all(isinstance(value, bytes) and len(value) == 1 for value in values)
            element = next(key for key, name in _ELEMENTS.items() if name == self.name)
            return all(isinstance(value, element) for value in values)

    def __init__(self, name: str, type_: Parameter.Type | None = None, value: Any = None) -> None:
        """Check that type and value agree.

        Raises ``TypeError`` for a type that is none, ``ValueError`` when they disagree.
        """
        if type_ is None:
            type_ = Parameter.Type.from_parameter_value(value)
        if not isinstance(type_, Parameter.Type):
            raise TypeError(f"type must be an instance of '{Parameter.Type!r}'")
        if not type_.check(value):
            raise ValueError(f"Type '{type_}' and value '{value}' do not agree")
        self._name = name
        self._type_ = type_
        self._value = value

    @classmethod
    def from_parameter_msg(cls, param_msg: Any) -> Parameter:
        """Read an ``rcl_interfaces/msg/Parameter``."""
        type_ = Parameter.Type(int(param_msg.value.type))
        return cls(param_msg.name, type_, parameter_value_to_python(param_msg.value))

    @property
    def name(self) -> str:
        """Name with its prefixes, separated by dots."""
        return self._name

    @property
    def type_(self) -> Parameter.Type:
        """Type of the value."""
        return self._type_

    @property
    def value(self) -> Any:
        """The Python value; ``None`` when not set."""
        return self._value

    def get_parameter_value(self) -> Any:
        """Make the ``rcl_interfaces/msg/ParameterValue``."""
        message: Any = get_message("rcl_interfaces/msg/ParameterValue")()
        message.type = int(self._type_)
        field = _FIELDS.get(self._type_)
        if field is not None:
            is_list = isinstance(self._value, _SEQUENCES)
            setattr(message, field, _items(self._value) if is_list else self._value)
        return message

    def to_parameter_msg(self) -> Any:
        """Make the ``rcl_interfaces/msg/Parameter``."""
        message: Any = get_message("rcl_interfaces/msg/Parameter")()
        message.name = self._name
        message.value = self.get_parameter_value()
        return message

    def __repr__(self) -> str:
        return f"Parameter({self._name!r}, {self._type_.name}, {self._value!r})"


# bool before int: a bool is an int in Python.
_SCALARS: dict[type, str] = {bool: "BOOL", int: "INTEGER", float: "DOUBLE", str: "STRING"}
_ELEMENTS: dict[type, str] = {
    bytes: "BYTE_ARRAY",
    bool: "BOOL_ARRAY",
    int: "INTEGER_ARRAY",
    float: "DOUBLE_ARRAY",
    str: "STRING_ARRAY",
}
_FIELDS = {
    Parameter.Type.BOOL: "bool_value",
    Parameter.Type.INTEGER: "integer_value",
    Parameter.Type.DOUBLE: "double_value",
    Parameter.Type.STRING: "string_value",
    Parameter.Type.BYTE_ARRAY: "byte_array_value",
    Parameter.Type.BOOL_ARRAY: "bool_array_value",
    Parameter.Type.INTEGER_ARRAY: "integer_array_value",
    Parameter.Type.DOUBLE_ARRAY: "double_array_value",
    Parameter.Type.STRING_ARRAY: "string_array_value",
}


def parameter_value_to_python(parameter_value: Any) -> Any:
    """Give the Python value of an ``rcl_interfaces/msg/ParameterValue``.

    Lists come as Python lists of plain numbers.  Raises ``RuntimeError`` for an unknown type.
    """
    try:
        type_ = Parameter.Type(int(parameter_value.type))
    except ValueError:
        raise RuntimeError(f"unexpected parameter type {parameter_value.type}") from None
    if type_ is Parameter.Type.NOT_SET:
        return None
    value = getattr(parameter_value, _FIELDS[type_])
    if type_ is Parameter.Type.BYTE_ARRAY:
        return [bytes([item]) if isinstance(item, int) else item for item in _items(value)]
    return _items(value) if type_ > Parameter.Type.STRING else value


def get_parameter_value(string_value: str) -> Any:
    """Guess a ``ParameterValue`` from a text, as ``ros2 param set`` does."""
    try:
        value = yaml.safe_load(string_value)
    except yaml.YAMLError:
        value = string_value
    try:
        type_ = Parameter.Type.from_parameter_value(value)
    except TypeError:
        type_ = Parameter.Type.NOT_SET
    if type_ is Parameter.Type.NOT_SET:
        value = string_value
    return Parameter("value", value=value).get_parameter_value()


def parameter_dict_from_yaml_file(
    parameter_file: str,
    use_wildcard: bool = False,
    target_nodes: list[str] | None = None,
    namespace: str = "",
) -> dict[str, Any]:
    """Read a parameter file into messages by parameter name.

    ``target_nodes`` limits it to the entries of these nodes (default: all but the wildcard);
    ``use_wildcard`` adds those of ``/**``, which the others override; ``namespace`` is put before
    every name.  Raises ``RuntimeError`` when a target node is not in the file or nothing is left.
    """
    nodes: Overrides = {}
    try:
        read_parameter_file(parameter_file, nodes)
    except ValueError as error:
        raise RuntimeError(str(error)) from error
    chosen = ["/**"] if use_wildcard and "/**" in nodes else []
    for target in target_nodes or []:
        if target not in nodes:
            raise RuntimeError(
                f"Param file does not contain parameters for {target},"
                f"only for nodes: {list(nodes)} "
            )
        chosen.append(target)
    if not target_nodes:
        chosen.extend(name for name in nodes if name != "/**")
    if not chosen:
        raise RuntimeError("Param file does not contain selected parameters")
    return {
        namespace + name: Parameter(namespace + name, value=value).to_parameter_msg()
        for node in chosen
        for name, value in nodes[node].items()
    }


__all__ = [
    "PARAMETER_SEPARATOR_STRING",
    "Parameter",
    "get_parameter_value",
    "parameter_dict_from_yaml_file",
    "parameter_value_to_python",
]
