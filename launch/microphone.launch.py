"""Start a microphone as an audio topic.

ros2 launch avs_ros microphone.launch.py device:=USB audio_type:=RawAudio
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from avs_ros.nodes.topic_names import logger_name

ARGUMENTS = [
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node."),
    DeclareLaunchArgument(
        "use_sim_time", default_value="false", choices=["true", "false"],
        description="Stamp with the time of /clock.",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=PathJoinSubstitution([FindPackageShare("avs_ros"), "config", "avs.yaml"]),
        description="YAML file with the parameters.",
    ),
    DeclareLaunchArgument(
        "log_level", default_value="info", choices=["debug", "info", "warn", "error", "fatal"],
        description="Least severe messages of our nodes to log.",
    ),
    # An empty value means "not given": what the parameter file says stays.
    DeclareLaunchArgument(
        "device", default_value="",
        description="Name (or part of it) or index of the input device; "
        "`ros2 run avs_ros microphone_node --list-devices` shows them. "
        "Empty: as in params_file (the system's default).",
    ),
    DeclareLaunchArgument(
        "rate", default_value="",
        description="Samples per second, 0 for the device's own; empty: as in params_file.",
    ),
    DeclareLaunchArgument(
        "channels", default_value="", description="Channels; empty: as in params_file."
    ),
    DeclareLaunchArgument(
        "block", default_value="",
        description="Seconds of sound per message; empty: as in params_file.",
    ),
    DeclareLaunchArgument(
        "audio", default_value="",
        description="Topic to publish; empty: 'audio' in the namespace.",
    ),
    DeclareLaunchArgument(
        "audio_type", default_value="",
        choices=["", "auto", "AudioDataStamped", "AudioStamped", "RawAudio", "AudioData"],
        description="Message type to publish; empty or auto: as in params_file.",
    ),
]

PARAMETER_TYPES = {
    "use_sim_time": bool, "device": str, "rate": int, "channels": int, "block": float,
    "audio_type": str,
}


def log_level(context: LaunchContext, node: str) -> str:
    """Set the level of this node's logger and of no other (rcl's debug messages are a flood)."""
    pushed = context.launch_configurations.get("ros_namespace", "")
    name = logger_name(node, pushed, LaunchConfiguration("namespace").perform(context))
    return f"{name}:={LaunchConfiguration('log_level').perform(context)}"


def microphone_node(context: LaunchContext) -> list:
    """Pass on what was given and nothing else."""
    parameters = {
        name: ParameterValue(LaunchConfiguration(name), value_type=value_type)
        for name, value_type in PARAMETER_TYPES.items()
        if LaunchConfiguration(name).perform(context) not in ("", "auto")
    }
    topic = LaunchConfiguration("audio").perform(context)
    return [
        Node(
            package="avs_ros",
            executable="microphone_node",
            name="microphone_node",
            namespace=LaunchConfiguration("namespace"),
            parameters=[LaunchConfiguration("params_file"), parameters],
            remappings=[("audio", topic)] if topic else [],
            arguments=["--ros-args", "--log-level", log_level(context, "microphone_node")],
            output="screen",
            emulate_tty=True,
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Tell ``ros2 launch`` what to start."""
    return LaunchDescription(
        [
            SetEnvironmentVariable("RCUTILS_LOGGING_BUFFERED_STREAM", "1"),
            *ARGUMENTS,
            OpaqueFunction(function=microphone_node),
        ]
    )
