"""What the launch files share: arguments, parameters that were given, a node with its log level.

``launch`` is imported where it is used: the nodes themselves run without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

BOOLEAN = ("true", "false")
# Argument -> description, default, choices.  An empty value means "not given": what the parameter
# file says stays.
_SHARED: Mapping[str, tuple[str, str, Sequence[str]]] = {
    "namespace": ("Namespace of all nodes.", "", ()),
    "use_sim_time": (
        "Take the time from /clock, as for a bag that is played with --clock.", "false", BOOLEAN,
    ),
    "params_file": ("YAML file with the parameters of all nodes.", "avs.yaml", ()),
    "log_level": (
        "Least severe messages of our nodes to log.", "info",
        ("debug", "info", "warn", "error", "fatal"),
    ),
    "model": ("Model name or checkpoint file; empty: as in params_file.", "", ()),
    "engine": (
        "Inference engine (auto, torch, onnxruntime, ...); empty: as in params_file.", "", (),
    ),
    "device": (
        "Computing device (auto, cpu, cuda, cuda:0); empty: as in params_file.", "", (),
    ),
    "audio_type": (
        "Message type of the sound; empty: as in params_file (auto).", "",
        ("", "auto", "AudioDataStamped", "AudioStamped", "RawAudio", "AudioData"),
    ),
}


def argument(
    name: str, description: str, default: str | None = "", choices: Sequence[str] = ()
) -> Any:
    """A ``DeclareLaunchArgument``; ``default`` None for one that must be given."""
    from launch.actions import DeclareLaunchArgument

    options: dict[str, Any] = {} if default is None else {"default_value": default}
    if choices:
        options["choices"] = list(choices)
    return DeclareLaunchArgument(name, description=description, **options)


def shared(*names: str) -> list[Any]:
    """Arguments that several launch files have."""
    made = []
    for name in names:
        description, default, choices = _SHARED[name]
        value = in_share("config", default) if name == "params_file" else default
        made.append(argument(name, description, value, choices))
    return made


def in_share(*path: str) -> Any:
    """A file of the installed package, as a substitution."""
    from launch.substitutions import PathJoinSubstitution
    from launch_ros.substitutions import FindPackageShare

    return PathJoinSubstitution([FindPackageShare("avs_ros"), *path])


def given(context: Any, types: Mapping[str, type], empty: Sequence[str] = ("",)) -> dict[str, Any]:
    """Argument -> parameter of its type, for those whose value is none of ``empty``."""
    from launch.substitutions import LaunchConfiguration
    from launch_ros.parameter_descriptions import ParameterValue

    return {
        name: ParameterValue(LaunchConfiguration(name), value_type=value_type)
        for name, value_type in types.items() if context.launch_configurations[name] not in empty
    }


def remappings(context: Any, *topics: str) -> list[tuple[str, str]]:
    """Rules for the topics that were given."""
    values = context.launch_configurations
    return [(name, values[name]) for name in topics if values[name]]


def node(
    context: Any, executable: str, parameters: Mapping[str, Any],
    rules: Sequence[tuple[str, str]] = (), kind: Callable[..., Any] | None = None,
) -> Any:
    """A node of this package under its own name: parameter file, ``parameters`` on top, ``rules``.

    ``kind``: its class (None: ``launch_ros.actions.Node``).
    """
    from launch.substitutions import LaunchConfiguration
    from launch_ros.actions import Node

    values = context.launch_configurations
    logger = logger_name(executable, values.get("ros_namespace", ""), values["namespace"])
    return (kind or Node)(
        package="avs_ros", executable=executable, name=executable,
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), dict(parameters)],
        remappings=list(rules),
        arguments=["--ros-args", "--log-level", f"{logger}:={values['log_level']}"],
        output="screen", emulate_tty=True,
    )


def logger_name(name: str, *namespaces: str) -> str:
    """The name of a node's logger, for ``--log-level <name>:=debug``.

    ``namespaces``: from the outermost inwards, as launch files push them; one that begins with a
    slash is absolute.  A level without a name would also be rcl's and the RMW's, whose debug
    messages are a flood.
    """
    full = ""
    for one in namespaces:
        full = one if one.startswith("/") else f"{full}/{one}"
    return ".".join(part for part in f"{full}/{name}".split("/") if part)


def included(
    file: str, *passed: str, also: Mapping[str, Any] | None = None, **options: Any
) -> Any:
    """Another launch file of the package; ``passed`` arguments keep their values there.

    ``also``: further arguments with their values; ``options``: of the action (``condition``).
    """
    from launch.actions import IncludeLaunchDescription
    from launch.launch_description_sources import PythonLaunchDescriptionSource
    from launch.substitutions import LaunchConfiguration

    arguments = {name: LaunchConfiguration(name) for name in passed} | dict(also or {})
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(in_share("launch", file)),
        launch_arguments=list(arguments.items()), **options,
    )


def described(arguments: Sequence[Any], *actions: Any) -> Any:
    """The launch description: ``arguments``, then ``actions``, which may be functions."""
    from launch import LaunchDescription
    from launch.actions import OpaqueFunction, SetEnvironmentVariable

    return LaunchDescription([
        SetEnvironmentVariable("RCUTILS_LOGGING_BUFFERED_STREAM", "1"),
        *arguments,
        *(OpaqueFunction(function=one) if callable(one) else one for one in actions),
    ])
