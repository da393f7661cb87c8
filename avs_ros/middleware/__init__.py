"""The one door to ROS: the installed rclpy where ROS 2 is sourced, else the embedded runtime.

``rclpy`` is the module with all its submodules loaded (``rclpy.node.Node``, ``rclpy.qos`` ...),
``get_message`` and ``get_service`` give classes by name, ``MIDDLEWARE`` (``"rclpy"`` or
``"embedded"``) says which of the two it is.  ``AVS_ROS_MIDDLEWARE``, set to one of these, decides.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

from avs_ros.errors import MiddlewareError, MissingDependencyError

CHOICE_VARIABLE = "AVS_ROS_MIDDLEWARE"

_SUBMODULES = (
    "callback_groups", "clock", "context", "duration", "exceptions", "executors", "lifecycle",
    "logging", "node", "parameter", "publisher", "qos", "qos_overriding_options",
    "serialization", "service", "signals", "subscription", "task", "time", "timer", "utilities",
)

Names = Callable[[str], Any]


def _installed() -> tuple[ModuleType, Names, Names]:
    module = importlib.import_module("rclpy")
    for name in _SUBMODULES:
        importlib.import_module(f"rclpy.{name}")
    try:
        importlib.import_module("rclpy.event_handler")
    except ModuleNotFoundError as error:
        if error.name != "rclpy.event_handler":
            raise
        # Humble's name of it, which later distributions warn of.
        importlib.import_module("rclpy.qos_event")
    from avs_ros.nodes.message_types import interface

    return module, _telling(interface), _telling(interface)


def _telling(find: Names) -> Names:
    """Let ``find`` say which package to install when an interface is not there."""

    def find_or_tell(name: str) -> Any:
        try:
            return find(name)
        except (ImportError, AttributeError, ValueError) as error:
            package = name.split("/")[0].replace("_", "-")
            distribution = os.environ.get("ROS_DISTRO", "<distribution>")
            raise MiddlewareError(
                f"interface {name!r} is not installed ({error}); try: "
                f"apt install ros-{distribution}-{package}"
            ) from error

    return find_or_tell


def _embedded() -> tuple[ModuleType, Names, Names]:
    for library, purpose in (("cyclonedds", "DDS"), ("rosbags", "ROS message definitions")):
        try:
            importlib.import_module(library)
        except ImportError as error:
            raise MissingDependencyError(
                library,
                f"the embedded ROS runtime ({purpose})",
                "install ROS 2 and source its setup file, or pip install "
                f"{library} (no wheel exists for Linux aarch64)"
                if library == "cyclonedds" else f"pip install {library}",
            ) from error
    module = importlib.import_module("avs_ros.middleware.embedded.rclpy")
    interfaces = importlib.import_module("avs_ros.middleware.embedded.interfaces")
    return module, interfaces.get_message, interfaces.get_service


def _choose() -> tuple[str, ModuleType, Names, Names]:
    wish = os.environ.get(CHOICE_VARIABLE, "")
    if wish not in ("", "rclpy", "embedded"):
        raise MiddlewareError(f"{CHOICE_VARIABLE} is {wish!r}; it can be 'rclpy' or 'embedded'")
    if wish != "embedded":
        try:
            return ("rclpy", *_installed())
        except ImportError as error:
            if wish == "rclpy":
                raise MiddlewareError(
                    f"{CHOICE_VARIABLE}=rclpy, but rclpy cannot be imported ({error}); "
                    "source ROS 2's setup file, or unset the variable for the embedded runtime"
                ) from error
            # Half a ROS 2 is a mistake to be told, not to be worked around silently.
            if os.environ.get("ROS_DISTRO") and os.environ.get("AMENT_PREFIX_PATH"):
                raise MiddlewareError(
                    f"ROS 2 {os.environ['ROS_DISTRO']} is sourced, but this Python cannot import "
                    f"it ({error}); use the Python that ROS 2 was made for, or set "
                    f"{CHOICE_VARIABLE}=embedded"
                ) from error
    return ("embedded", *_embedded())


MIDDLEWARE, rclpy, get_message, get_service = _choose()

__all__ = ["CHOICE_VARIABLE", "MIDDLEWARE", "get_message", "get_service", "rclpy"]
