"""On its way out: rclpy and message classes by name, loaded when first asked for."""

from __future__ import annotations

import importlib
from typing import Any

MIDDLEWARE = "rclpy"

_SUBMODULES = (
    "callback_groups", "clock", "context", "duration", "event_handler", "exceptions", "executors",
    "lifecycle", "logging", "node", "parameter", "publisher", "qos", "qos_overriding_options",
    "serialization", "service", "signals", "subscription", "task", "time", "timer", "utilities",
)


def get_message(name: str) -> Any:
    """The class of ``package/msg/Name`` or ``package/srv/Name``."""
    package, kind, class_name = name.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), class_name)


get_service = get_message


def __getattr__(name: str) -> Any:
    if name != "rclpy":
        raise AttributeError(name)
    for submodule in _SUBMODULES:
        importlib.import_module(f"rclpy.{submodule}")
    return importlib.import_module("rclpy")
