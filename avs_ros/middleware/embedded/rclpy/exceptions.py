"""What rclpy raises, with its own names."""

from __future__ import annotations

from avs_ros.errors import MiddlewareError

from .parameter_exceptions import (
    InvalidParameterException,
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterException,
    ParameterImmutableException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
)


class RCLError(MiddlewareError, RuntimeError):
    """An operation that the runtime refused, for example after shutdown."""


class NotInitializedException(Exception):
    """Something needs ``rclpy.init()`` first, or came after ``rclpy.shutdown()``."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(
            "rclpy.init() has not been called." + (f" msg:{message}" if message else "")
        )


class NoTypeSupportImportedException(Exception):
    """A class that is no ROS message or service was used as one."""

    def __init__(self) -> None:
        super().__init__("no type_support imported")


class InvalidHandle(Exception):
    """An entity was used after it was destroyed."""


class ROSInterruptException(Exception):
    """A wait was cut short by shutdown."""

    def __init__(self) -> None:
        super().__init__("rclpy.shutdown() has been called")


class NameValidationException(Exception):
    """A name breaks the rules; the message points at the first bad character."""

    def __init__(self, name_type: str, name: str, error_msg: str, invalid_index: int) -> None:
        super().__init__(
            f"Invalid {name_type}: {error_msg}:\n  '{name}'\n   {' ' * invalid_index}^\n"
        )


class InvalidNamespaceException(NameValidationException):
    """A namespace breaks the rules."""

    def __init__(self, name: str, error_msg: str, invalid_index: int) -> None:
        super().__init__("namespace", name, error_msg, invalid_index)


class InvalidNodeNameException(NameValidationException):
    """A node name breaks the rules."""

    def __init__(self, name: str, error_msg: str, invalid_index: int) -> None:
        super().__init__("node name", name, error_msg, invalid_index)


class InvalidTopicNameException(NameValidationException):
    """A topic name breaks the rules."""

    def __init__(self, name: str, error_msg: str, invalid_index: int) -> None:
        super().__init__("topic name", name, error_msg, invalid_index)


class InvalidServiceNameException(NameValidationException):
    """A service name breaks the rules."""

    def __init__(self, name: str, error_msg: str, invalid_index: int) -> None:
        super().__init__("service name", name, error_msg, invalid_index)


def needs_ros(what: str) -> MiddlewareError:
    """Make the error for parts of rclpy that the embedded runtime leaves out."""
    return MiddlewareError(
        f"{what} is not part of the embedded ROS runtime; install ROS 2 and source its setup file"
    )


__all__ = [
    "InvalidHandle",
    "InvalidNamespaceException",
    "InvalidNodeNameException",
    "InvalidParameterException",
    "InvalidParameterTypeException",
    "InvalidParameterValueException",
    "InvalidServiceNameException",
    "InvalidTopicNameException",
    "NameValidationException",
    "NoTypeSupportImportedException",
    "NotInitializedException",
    "ParameterAlreadyDeclaredException",
    "ParameterException",
    "ParameterImmutableException",
    "ParameterNotDeclaredException",
    "ParameterUninitializedException",
    "RCLError",
    "ROSInterruptException",
    "needs_ros",
]
