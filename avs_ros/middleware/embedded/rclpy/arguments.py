"""The ``--ros-args`` part of a command line, as every ROS 2 program understands it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

from avs_ros.errors import MiddlewareError

from .logging_severity import LoggingSeverity, severity_from_string
from .parameter_files import (
    Overrides,
    ParameterFileError,
    Value,
    matches_node,
    parse_value,
    read_parameter_file,
)
from .remapping import RemapRule, parse_remap_rule, remap_node, remap_service, remap_topic

ROS_ARGS = "--ros-args"
END_OF_ROS_ARGS = "--"


class RCLInvalidROSArgsError(MiddlewareError, RuntimeError):
    """A flag after ``--ros-args`` whose value cannot be read."""


class UnknownROSArgsError(MiddlewareError, RuntimeError):
    """Flags after ``--ros-args`` that ROS 2 does not know."""


@dataclass
class Arguments:
    """What one command line asks of ROS.

    ``parameters`` keeps the order of first appearance of each node pattern, because later patterns
    override earlier ones; ``remaining`` are the arguments that are not ROS's.
    """

    remap_rules: list[RemapRule] = field(default_factory=list)
    parameters: Overrides = field(default_factory=dict)
    parameter_files: list[str] = field(default_factory=list)
    log_level: LoggingSeverity | None = None
    logger_levels: dict[str, LoggingSeverity] = field(default_factory=dict)
    stdout_logs: bool = True
    rosout_logs: bool = True
    external_lib_logs: bool = True
    enclave: str = ""
    log_file_name: str = ""
    log_config_file: str = ""
    remaining: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def check_unknown(self) -> None:
        """Raise ``UnknownROSArgsError`` when there were flags that nobody knows."""
        if self.unknown:
            raise UnknownROSArgsError(f"Found unknown ROS arguments: {self.unknown}")


_SWITCHES = {"stdout-logs": "stdout_logs", "rosout-logs": "rosout_logs",
             "external-lib-logs": "external_lib_logs"}


def parse_arguments(argv: Sequence[str] | None) -> Arguments:
    """Split ``argv`` (``None``: nothing) into what is ROS's and the rest.

    Raises ``RCLInvalidROSArgsError`` for a ROS flag without a value, or one that cannot be read.
    """
    result = Arguments()
    pending = list(argv or ())
    within = False
    while pending:
        argument = pending.pop(0)
        if argument == ROS_ARGS:
            within = True
        elif not within:
            _plain(argument, result)
        elif argument == END_OF_ROS_ARGS:
            within = False
        elif argument in _WITH_VALUE:
            if not pending:
                raise RCLInvalidROSArgsError(
                    f"Couldn't parse trailing {argument} flag: it needs a value after it"
                )
            text = pending.pop(0)
            try:
                _WITH_VALUE[argument](text, result)
            except ValueError as error:
                raise RCLInvalidROSArgsError(
                    f"Couldn't parse '{argument} {text}': {error}"
                ) from error
        elif not _switch(argument, result):
            result.unknown.append(argument)
    return result


def _plain(argument: str, result: Arguments) -> None:
    # ROS 2 still takes a bare "old:=new" outside of --ros-args as a rule.
    try:
        rule = parse_remap_rule(argument)
    except ValueError:
        result.remaining.append(argument)
        return
    warnings.warn(
        f"Found remap rule '{argument}'. This syntax is deprecated. "
        f"Use '{ROS_ARGS} --remap {argument}' instead.",
        stacklevel=3,
    )
    result.remap_rules.append(rule)


def _remap_flag(text: str, result: Arguments) -> None:
    result.remap_rules.append(parse_remap_rule(text))


def _parameter_flag(text: str, result: Arguments) -> None:
    name, separator, value = text.partition(":=")
    if not separator or not name:
        raise ValueError("expected 'name:=value'")
    node = "/**"
    if ":" in name:
        node, name = name.split(":", 1)
    if not name or not all(name.split(".")):
        raise ValueError(f"'{name}' is not a parameter name")
    result.parameters.setdefault(node, {})[name] = parse_value(value)


def _parameter_file_flag(text: str, result: Arguments) -> None:
    read_parameter_file(text, result.parameters)
    result.parameter_files.append(text)


def _log_level_flag(text: str, result: Arguments) -> None:
    logger, separator, level = text.rpartition(":=")
    if separator and not logger:
        raise ValueError("the logger's name is empty")
    severity = severity_from_string(level)
    if logger:
        result.logger_levels[logger] = severity
    else:
        result.log_level = severity


def _enclave_flag(text: str, result: Arguments) -> None:
    if not text.startswith("/"):
        raise ValueError("an enclave name starts with '/'")
    result.enclave = text


def _log_file_name_flag(text: str, result: Arguments) -> None:
    result.log_file_name = text


def _log_config_file_flag(text: str, result: Arguments) -> None:
    result.log_config_file = text


_WITH_VALUE = {
    "-p": _parameter_flag,
    "--param": _parameter_flag,
    "-r": _remap_flag,
    "--remap": _remap_flag,
    "--params-file": _parameter_file_flag,
    "--log-level": _log_level_flag,
    "--log-file-name": _log_file_name_flag,
    "--log-config-file": _log_config_file_flag,
    "-e": _enclave_flag,
    "--enclave": _enclave_flag,
}


def _switch(argument: str, result: Arguments) -> bool:
    for prefix, state in (("--enable-", True), ("--disable-", False)):
        attribute = _SWITCHES.get(argument.removeprefix(prefix))
        if argument.startswith(prefix) and attribute:
            setattr(result, attribute, state)
            return True
    return False


def remove_ros_args(args: Sequence[str] | None = None) -> list[str]:
    """Give the arguments (default: ``sys.argv``) without what belongs to ROS."""
    return parse_arguments(sys.argv if args is None else args).remaining


def _rules(arguments: Sequence[Arguments | None]) -> list[RemapRule]:
    return [rule for one in arguments if one is not None for rule in one.remap_rules]


def resolve_node_name(
    name: str, namespace: str, local: Arguments | None, process: Arguments | None
) -> tuple[str, str]:
    """Give the node's final name and absolute namespace; its own rules come first."""
    return remap_node(_rules((local, process)), name, namespace)


def resolve_topic_name(
    topic: str, node_name: str, namespace: str, local: Arguments | None, process: Arguments | None
) -> str:
    """Give the absolute name that topic ``topic`` of a node ends up with."""
    return remap_topic(_rules((local, process)), topic, node_name, namespace)


def resolve_service_name(
    service: str, node_name: str, namespace: str, local: Arguments | None,
    process: Arguments | None,
) -> str:
    """Give the absolute name that service ``service`` of a node ends up with."""
    return remap_service(_rules((local, process)), service, node_name, namespace)


def parameter_overrides(
    fully_qualified_name: str, local: Arguments | None, process: Arguments | None
) -> dict[str, Value]:
    """Give the parameter values that the command line holds for one node.

    Process-wide values come first, the node's own arguments override them; within each, later
    node patterns override earlier ones.
    """
    values: dict[str, Value] = {}
    for arguments in (process, local):
        if arguments is None:
            continue
        for pattern, parameters in arguments.parameters.items():
            if matches_node(pattern, fully_qualified_name):
                values.update(parameters)
    return values


__all__ = [
    "Arguments",
    "ParameterFileError",
    "RCLInvalidROSArgsError",
    "UnknownROSArgsError",
    "parameter_overrides",
    "parse_arguments",
    "remove_ros_args",
    "resolve_node_name",
    "resolve_service_name",
    "resolve_topic_name",
]
