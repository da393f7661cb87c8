"""Just enough of ``launch`` and ``launch_ros`` to see what a launch file would start.

Every class records its arguments; only ``LaunchConfiguration`` does something, because launch
files decide by its values.  The names are those of Humble.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import pytest

LAUNCH = Path(__file__).resolve().parents[1] / "launch"

NAMES = {
    "launch": ["LaunchContext", "LaunchDescription"],
    "launch.actions": [
        "DeclareLaunchArgument", "EmitEvent", "ExecuteProcess", "GroupAction",
        "IncludeLaunchDescription", "OpaqueFunction", "RegisterEventHandler",
        "SetEnvironmentVariable", "Shutdown", "TimerAction",
    ],
    "launch.conditions": ["IfCondition"],
    "launch.event_handlers": ["OnProcessExit", "OnProcessStart"],
    "launch.events": ["matches_action"],
    "launch.events.process": ["ProcessExited", "SignalProcess"],
    "launch.launch_description_sources": ["PythonLaunchDescriptionSource"],
    "launch.substitutions": ["PathJoinSubstitution"],
    "launch_ros": [],
    "launch_ros.actions": ["LifecycleNode", "Node"],
    "launch_ros.event_handlers": ["OnStateTransition"],
    "launch_ros.events": [],
    "launch_ros.events.lifecycle": ["ChangeState"],
    "launch_ros.parameter_descriptions": ["ParameterValue"],
    "launch_ros.substitutions": ["FindPackageShare"],
    "lifecycle_msgs": [],
    "lifecycle_msgs.msg": [],
}


class Recorded:
    """An action, event or substitution; ``args`` and ``kwargs`` are what it was made with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs


class Context(dict[str, str]):
    """The values of the arguments."""

    is_shutdown = False

    @property
    def launch_configurations(self) -> dict[str, str]:
        return self


class LaunchConfiguration(Recorded):
    """The value of an argument."""

    def perform(self, context: dict[str, str]) -> str:
        return context[self.args[0]]


class Transition:
    TRANSITION_CONFIGURE, TRANSITION_ACTIVATE = 1, 3


def load(monkeypatch: pytest.MonkeyPatch, name: str) -> types.ModuleType:
    """Import launch file ``name`` over the stand-ins."""
    for module_name, classes in NAMES.items():
        module = types.ModuleType(module_name)
        for class_name in classes:
            setattr(module, class_name, type(class_name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module_name, module)
    sys.modules["launch.substitutions"].LaunchConfiguration = LaunchConfiguration  # type: ignore[attr-defined]
    sys.modules["lifecycle_msgs.msg"].Transition = Transition  # type: ignore[attr-defined]
    spec = importlib.util.spec_from_file_location(name.replace(".", "_"), LAUNCH / name)
    assert spec is not None and spec.loader is not None
    launch_file = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(launch_file)
    return launch_file


class Started:
    """What one launch file does with these arguments."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, name: str, **arguments: str
    ) -> None:
        self.file = load(monkeypatch, name)
        actions = self.file.generate_launch_description().args[0]
        self.arguments = {
            action.args[0]: action.kwargs
            for action in actions
            if type(action).__name__ == "DeclareLaunchArgument"
        }
        defaults = {
            name: value if isinstance(value := kwargs.get("default_value"), str) else "/share/x"
            for name, kwargs in self.arguments.items()
        }
        self.context = Context({**defaults, **arguments})
        self.actions: list[Any] = []
        self._flatten(actions)

    def _flatten(self, actions: list[Any]) -> None:
        for action in actions:
            kind = type(action).__name__
            condition = action.kwargs.get("condition")
            if condition is not None and condition.args[0].perform(self.context) != "true":
                continue
            if kind == "OpaqueFunction":
                self._flatten(action.kwargs["function"](self.context))
            elif kind == "GroupAction":
                self._flatten(action.kwargs["actions"])
            else:
                self.actions.append(action)

    def of(self, *kinds: str) -> list[Any]:
        return [action for action in self.actions if type(action).__name__ in kinds]

    def node(self, executable: str) -> dict[str, Any]:
        """The keyword arguments of the one node with this executable."""
        [node] = [
            one.kwargs for one in self.of("Node", "LifecycleNode")
            if one.kwargs["executable"] == executable
        ]
        return node

    def parameters(self, executable: str) -> dict[str, Any]:
        """What is set beside the parameter file: the values, or (value, type) where typed."""
        file, values = self.node(executable)["parameters"]
        assert file.args == ("params_file",)
        return {
            name: (one.args[0].perform(self.context), one.kwargs["value_type"])
            if isinstance(one, Recorded) else one
            for name, one in values.items()
        }
