"""Checks of a new parameter value against its descriptor, with rclpy's own words."""

from __future__ import annotations

import math
from typing import Any

from .parameter import Parameter

# Tolerance of rclpy for the ends and steps of a range of floating point numbers.
RELATIVE_TOLERANCE = 1e-6


def refusal(
    parameter: Parameter, descriptor: Any, *, declared: bool, check_read_only: bool
) -> str:
    """Give the reason why ``parameter`` may not be set, or an empty string.

    ``descriptor`` is an ``rcl_interfaces/msg/ParameterDescriptor``; its name, and for dynamic
    typing its type, are set to the parameter's.  ``declared``: the parameter exists already.
    """
    descriptor.name = parameter.name
    if check_read_only and descriptor.read_only:
        return f"Trying to set a read-only parameter: {parameter.name}."
    if descriptor.dynamic_typing:
        descriptor.type = int(parameter.type_)
    elif parameter.type_ is Parameter.Type.NOT_SET:
        if declared:
            return "Static parameter cannot be undeclared"
    elif int(parameter.type_) != descriptor.type:
        expected = Parameter.Type(int(descriptor.type))
        return f"Wrong parameter type, expected '{expected}' got '{parameter.type_}'"
    if parameter.type_ is Parameter.Type.INTEGER and len(descriptor.integer_range):
        return _outside_integers(parameter, descriptor.integer_range[0])
    if parameter.type_ is Parameter.Type.DOUBLE and len(descriptor.floating_point_range):
        return _outside_numbers(parameter, descriptor.floating_point_range[0])
    return ""


def _outside_integers(parameter: Parameter, bounds: Any) -> str:
    low, high = sorted((int(bounds.from_value), int(bounds.to_value)))
    value = parameter.value
    if value in (low, high):
        return ""
    if not low < value < high:
        return f"Parameter {parameter.name} out of range. Min: {low}, Max: {high}, value: {value}"
    if bounds.step and (value - low) % int(bounds.step):
        return (
            f"The parameter value for {parameter.name} is not a valid step. "
            f"Min: {low}, max: {high}, value: {value}, step: {bounds.step}"
        )
    return ""


def _outside_numbers(parameter: Parameter, bounds: Any) -> str:
    low, high = sorted((float(bounds.from_value), float(bounds.to_value)))
    value = parameter.value
    if _close(value, low) or _close(value, high):
        return ""
    if not low < value < high:
        return f"Parameter {parameter.name} out of range Min: {low}, Max: {high}, value: {value}"
    if bounds.step:
        steps = round((value - low) / bounds.step)
        if not _close(low + steps * bounds.step, value):
            return (
                f"The parameter value for {parameter.name} is not close enough to a valid step. "
                f"Min: {low}, max: {high}, value: {value}, step: {bounds.step}"
            )
    return ""


def _close(first: float, second: float) -> bool:
    return math.isclose(first, second, rel_tol=RELATIVE_TOLERANCE)
