"""Parameter values as ROS 2 writes them: YAML files and ``-p name:=value``.

ROS 2 does not read these with a general YAML reader but with its own event parser (``rcl``'s),
and the differences matter: ``010`` is eight, ``yes`` is true, ``nan`` is a number, a list must be
of one type, and an empty list has no type, so a parameter given ``[]`` stays uninitialised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

Scalar = bool | int | float | str
# None is what an empty list comes out as: a value without a type.
Value = Scalar | list[Scalar] | None
# Node name pattern -> parameter name -> value, in the order of first appearance.
Overrides = dict[str, dict[str, Value]]

PARAMETERS_KEY = "ros__parameters"

_TRUE = {"Y", "y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}
_FALSE = {"N", "n", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}
_HEXADECIMAL = re.compile(r"[+-]?0[xX][0-9a-fA-F]+")
_OCTAL = re.compile(r"[+-]?0[0-7]*")
_DECIMAL = re.compile(r"[+-]?[1-9][0-9]*")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"[+-]?(?:inf|infinity|nan)", re.IGNORECASE)
_DOTTED_FLOAT = re.compile(r"[+-]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_INT64 = range(-(2**63), 2**63)

_NODE_NAME = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]*|\*\*?)")


class ParameterFileError(ValueError):
    """A parameter file or value that ROS 2 would refuse; the message says where."""


def parse_scalar(text: str, quoted: bool = False, tag: str | None = None) -> Scalar:
    """Give the value that ROS 2 reads from one YAML scalar."""
    if quoted or tag == "tag:yaml.org,2002:str":
        return text
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    whole = _integer(text)
    if whole is not None:
        return whole
    if _DOTTED_FLOAT.fullmatch(text):
        return float(text.replace(".", ""))
    if _SPECIAL_FLOAT.fullmatch(text) or _FLOAT.fullmatch(text):
        return float(text)
    return text


def _integer(text: str) -> int | None:
    # Base 0 of C's strtoll: a leading zero means octal.
    if _HEXADECIMAL.fullmatch(text):
        value = int(text, 16)
    elif _OCTAL.fullmatch(text):
        value = int(text, 8)
    elif _DECIMAL.fullmatch(text):
        value = int(text)
    else:
        return None
    return value if value in _INT64 else None


class _Reader:
    """Walk YAML events with one event of look-ahead."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)
        self._next: yaml.Event | None = None

    def take(self) -> yaml.Event:
        event = self._next if self._next is not None else next(self._events)
        self._next = None
        if isinstance(event, yaml.AliasEvent):
            raise ParameterFileError(f"aliases are not supported, line {_line(event)}")
        return event

    def peek(self) -> yaml.Event:
        if self._next is None:
            self._next = self.take()
        return self._next

    def skip_document_start(self) -> None:
        while isinstance(self.peek(), (yaml.StreamStartEvent, yaml.DocumentStartEvent)):
            self.take()


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0


def _scalar(event: yaml.ScalarEvent) -> Scalar:
    quoted = event.style in ("'", '"')
    if not event.value and not quoted:
        raise ParameterFileError(f"no value at line {_line(event)}")
    return parse_scalar(event.value, quoted, event.tag)


def _value(reader: _Reader) -> Value:
    event = reader.take()
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if not isinstance(event, yaml.SequenceStartEvent):
        raise ParameterFileError(f"expected a value or a list at line {_line(event)}")
    values: list[Scalar] = []
    while not isinstance(event := reader.take(), yaml.SequenceEndEvent):
        if not isinstance(event, yaml.ScalarEvent):
            raise ParameterFileError(f"lists cannot be nested, line {_line(event)}")
        item = _scalar(event)
        if values and type(item) is not type(values[0]):
            raise ParameterFileError(
                f"a list must be of one type: {item!r} after {values[0]!r}, line {_line(event)}"
            )
        values.append(item)
    return values or None


def parse_value(text: str) -> Value:
    """Read the right side of ``-p name:=value``.

    Raises ``ParameterFileError`` where ROS 2 refuses it (nothing there, a mapping, mixed list).
    """
    reader = _Reader(text)
    try:
        reader.skip_document_start()
        if isinstance(reader.peek(), yaml.StreamEndEvent):
            raise ParameterFileError("no value")
        return _value(reader)
    except yaml.YAMLError as error:
        raise ParameterFileError(f"not valid YAML: {text!r}") from error


def _parameters(reader: _Reader, prefix: str, into: dict[str, Value]) -> None:
    while not isinstance(event := reader.take(), yaml.MappingEndEvent):
        name = prefix + _key(event)
        if isinstance(reader.peek(), yaml.MappingStartEvent):
            reader.take()
            _parameters(reader, name + ".", into)
        else:
            into[name] = _value(reader)


def _key(event: yaml.Event) -> str:
    if not isinstance(event, yaml.ScalarEvent):
        raise ParameterFileError(f"a list cannot be a key, line {_line(event)}")
    if not event.value:
        raise ParameterFileError(f"no key at line {_line(event)}")
    return str(event.value)


def _nodes(reader: _Reader, path: list[str], into: Overrides) -> None:
    while not isinstance(event := reader.take(), yaml.MappingEndEvent):
        key = _key(event)
        value = reader.take()
        if key == PARAMETERS_KEY:
            if not path:
                raise ParameterFileError(f"no node name before {key}, line {_line(event)}")
            if not isinstance(value, yaml.MappingStartEvent):
                raise ParameterFileError(f"{key} must be a mapping, line {_line(value)}")
            node = "/".join(path)
            _check_node_pattern(node, _line(event))
            _parameters(reader, "", into.setdefault(node, {}))
        elif isinstance(value, yaml.MappingStartEvent):
            _nodes(reader, [*path, key], into)
        else:
            raise ParameterFileError(
                f"'{key}' has a value outside of {PARAMETERS_KEY}, line {_line(value)}"
            )


def _check_node_pattern(pattern: str, line: int) -> None:
    for token in pattern.removeprefix("/").split("/"):
        if not _NODE_NAME.fullmatch(token):
            raise ParameterFileError(f"'{pattern}' is not a node name, line {line}")


def read_parameter_file(path: str | Path, into: Overrides) -> None:
    """Add the parameters of one YAML file to ``into``.

    Raises ``ParameterFileError`` for a missing file or one that is not a ROS 2 parameter file.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterFileError(f"cannot read {path}: {error}") from error
    reader = _Reader(text)
    try:
        reader.skip_document_start()
        while not isinstance(event := reader.take(), yaml.StreamEndEvent):
            if isinstance(event, yaml.MappingStartEvent):
                _nodes(reader, [], into)
            elif not isinstance(event, (yaml.DocumentStartEvent, yaml.DocumentEndEvent)):
                raise ParameterFileError(
                    f"expected node names at the top level, line {_line(event)}"
                )
    except yaml.YAMLError as error:
        raise ParameterFileError(f"{path} is not valid YAML: {error}") from error
    except ParameterFileError as error:
        raise ParameterFileError(f"{path}: {error}") from error


def matches_node(pattern: str, fully_qualified_name: str) -> bool:
    """Say whether a node pattern of a file (``/**``, ``/robot/*``, ``camera``) fits a node.

    ``*`` stands for one token, ``**`` for any number; a name without a leading slash stands in
    the root namespace.
    """
    if not pattern.startswith("/"):
        pattern = "/" + pattern
    # The order makes "/**" into "(/\w+)*".
    expression = pattern.replace("/*", r"(/\w+)")
    return re.fullmatch(expression, fully_qualified_name, re.ASCII) is not None
