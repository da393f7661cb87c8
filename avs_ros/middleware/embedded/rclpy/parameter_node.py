"""The parameter half of ``rclpy.node.Node``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from ..interfaces import get_message
from .parameter import PARAMETER_SEPARATOR_STRING, Parameter
from .parameter_exceptions import (
    InvalidParameterException,
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterImmutableException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
)
from .parameter_names import select_names
from .parameter_setting import Message, ParameterSettingMixin, make_descriptor


class ParameterNodeMixin(ParameterSettingMixin):
    """Declaring, reading, setting and describing parameters.

    ``Node`` calls ``_init_parameters`` once, when its name, clock and publishers are there.
    """

    def _init_parameters(
        self,
        parameter_overrides: Sequence[Parameter] = (),
        allow_undeclared_parameters: bool = False,
        automatically_declare_parameters_from_overrides: bool = False,
    ) -> None:
        """Start with these values from the outside, which beat the defaults of declarations."""
        self._parameter_overrides = {one.name: one for one in parameter_overrides}
        self._init_setting(allow_undeclared_parameters)
        if automatically_declare_parameters_from_overrides:
            self.declare_parameters(
                "",
                [(name, one.value, make_descriptor())
                 for name, one in self._parameter_overrides.items()],
                ignore_override=True,
            )

    def declare_parameter(
        self,
        name: str,
        value: Any = None,
        descriptor: Message = None,
        ignore_override: bool = False,
    ) -> Parameter:
        """Declare one parameter and give it back with its value; see ``declare_parameters``."""
        if value is None and descriptor is None:
            return self.declare_parameters("", [(name,)], ignore_override)[0]
        descriptor = make_descriptor() if descriptor is None else descriptor
        return self.declare_parameters("", [(name, value, descriptor)], ignore_override)[0]

    def declare_parameters(
        self,
        namespace: str,
        parameters: Sequence[tuple[Any, ...]],
        ignore_override: bool = False,
    ) -> list[Parameter]:
        """Declare ``(name[, default or Parameter.Type[, descriptor]])`` for each tuple.

        Raises ``ParameterAlreadyDeclaredException``, ``InvalidParameterException`` (name),
        ``InvalidParameterTypeException``, ``InvalidParameterValueException`` (range, or a callback
        refused), ``TypeError`` and ``ValueError`` for tuples that are no declaration.
        """
        declared: list[Parameter] = []
        descriptors: dict[str, Message] = {}
        for index, one in enumerate(parameters):
            name, value, descriptor = self._declaration(namespace, index, one)
            if not ignore_override and name in self._parameter_overrides:
                value = self._parameter_overrides[name].value
            declared.append(Parameter(name, value=value))
            descriptors[name] = descriptor
        known = [one.name for one in declared if one.name in self._parameters]
        if known:
            raise ParameterAlreadyDeclaredException(known)
        for parameter in declared:
            descriptor = descriptors[parameter.name]
            result = self._apply([parameter], descriptors, keep_not_set=True)
            if result.successful:
                continue
            if result.reason.startswith("Wrong parameter type"):
                expected = Parameter.Type(int(descriptor.type)).name
                raise InvalidParameterTypeException(parameter, expected)
            raise InvalidParameterValueException(parameter.name, parameter.value, result.reason)
        return [self._parameters[parameter.name] for parameter in declared]

    def _declaration(
        self, namespace: str, index: int, one: tuple[Any, ...]
    ) -> tuple[str, Any, Message]:
        if not 1 <= len(one) <= 3:
            raise TypeError(
                f"Invalid parameter tuple length at index {index} in parameters list: "
                f"{one}; expecting length between 1 and 3"
            )
        name, value = one[0], one[1] if len(one) > 1 else None
        descriptor = one[2] if len(one) > 2 else make_descriptor()
        if not isinstance(name, str):
            raise TypeError(
                f"First element {name} at index {index} in parameters list is not a str."
            )
        name = f"{namespace}.{name}" if namespace else name
        if not name:
            raise InvalidParameterException(name)
        if not hasattr(descriptor, "dynamic_typing"):
            raise TypeError(
                f"Third element {descriptor} at index {index} in parameters list "
                "is not a ParameterDescriptor."
            )
        if len(one) == 1:
            warnings.warn(
                f"when declaring parameter named '{name}', declaring a parameter only providing "
                "its name is deprecated: give a default value, a type, or a descriptor with "
                "`dynamic_typing=True`",
                stacklevel=4,
            )
            descriptor.dynamic_typing = True
        if isinstance(value, Parameter.Type):
            if value is Parameter.Type.NOT_SET:
                raise ValueError(
                    f"Cannot declare parameter {{{name}}} as statically typed of type NOT_SET"
                )
            if descriptor.dynamic_typing:
                raise ValueError(
                    f"When declaring parameter {{{name}}} passing a descriptor with"
                    "`dynamic_typing=True` is not allowed when the parameter type is provided"
                )
            descriptor.type = int(value)
            value = None
        elif not descriptor.dynamic_typing:
            descriptor.type = int(Parameter.Type.from_parameter_value(value))
            if descriptor.type == Parameter.Type.NOT_SET:
                raise ValueError(
                    "Cannot declare a statically typed parameter with default value "
                    "of type PARAMETER_NOT_SET"
                )
        return name, value, descriptor

    def undeclare_parameter(self, name: str) -> None:
        """Forget a parameter; raises when it is not declared, or read-only."""
        if not self.has_parameter(name):
            raise ParameterNotDeclaredException(name)
        if self._descriptors[name].read_only:
            raise ParameterImmutableException(name)
        del self._parameters[name]
        del self._descriptors[name]

    def has_parameter(self, name: str) -> bool:
        """Say whether ``name`` is declared."""
        return name in self._parameters

    def get_parameter(self, name: str) -> Parameter:
        """Give a parameter.

        Raises ``ParameterNotDeclaredException``, or ``ParameterUninitializedException`` for one
        declared by its type alone that never got a value.
        """
        parameter = self._parameters.get(name)
        if parameter is None:
            if self._allow_undeclared_parameters:
                return Parameter(name, Parameter.Type.NOT_SET)
            raise ParameterNotDeclaredException(name)
        if (
            parameter.type_ is Parameter.Type.NOT_SET
            and not self._descriptors[name].dynamic_typing
        ):
            raise ParameterUninitializedException(name)
        return parameter

    def get_parameters(self, names: list[str]) -> list[Parameter]:
        """Give several parameters; see ``get_parameter``."""
        if not all(isinstance(name, str) for name in names):
            raise TypeError("All names must be instances of type str")
        return [self.get_parameter(name) for name in names]

    def get_parameter_or(self, name: str, alternative_value: Parameter | None = None) -> Parameter:
        """Give a parameter, or the alternative when it is undeclared or has no value."""
        parameter = self._parameters.get(name)
        if parameter is None or parameter.type_ is Parameter.Type.NOT_SET:
            if alternative_value is None:
                return Parameter(name, Parameter.Type.NOT_SET)
            return alternative_value
        return parameter

    def get_parameters_by_prefix(self, prefix: str) -> dict[str, Parameter]:
        """Give all parameters below ``prefix``, by the rest of their names."""
        start = prefix + PARAMETER_SEPARATOR_STRING if prefix else ""
        return {
            name[len(start):]: parameter
            for name, parameter in self._parameters.items()
            if name.startswith(start)
        }

    def get_parameter_type(self, name: str) -> Parameter.Type:
        """Give a parameter's type; raises ``ParameterNotDeclaredException``."""
        if self.has_parameter(name):
            return self._parameters[name].type_
        if self._allow_undeclared_parameters:
            return Parameter.Type.NOT_SET
        raise ParameterNotDeclaredException(name)

    def get_parameter_types(self, names: list[str]) -> list[Parameter.Type]:
        """Give the types of several parameters."""
        if not all(isinstance(name, str) for name in names):
            raise TypeError("All names must be instances of type str")
        return [self.get_parameter_type(name) for name in names]

    def list_parameters(self, prefixes: list[str], depth: int) -> Message:
        """Give an ``rcl_interfaces/msg/ListParametersResult`` (``depth`` 0: all levels)."""
        result: Message = get_message("rcl_interfaces/msg/ListParametersResult")()
        result.names, result.prefixes = select_names(list(self._parameters), prefixes, depth)
        return result

    def describe_parameter(self, name: str) -> Message:
        """Give a parameter's descriptor; raises ``ParameterNotDeclaredException``."""
        if name in self._descriptors:
            return self._descriptors[name]
        if self._allow_undeclared_parameters:
            return make_descriptor()
        raise ParameterNotDeclaredException(name)

    def describe_parameters(self, names: list[str]) -> list[Message]:
        """Give the descriptors of several parameters."""
        return [self.describe_parameter(name) for name in names]
