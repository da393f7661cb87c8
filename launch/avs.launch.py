"""Start audio-visual segmentation, and if wished a microphone and RViz.

ros2 launch avs_ros avs.launch.py image:=/camera/image_raw microphone:=true rviz:=true
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from avs_ros.nodes.topic_names import logger_name

SHARE = FindPackageShare("avs_ros")
BOOLEAN = ["true", "false"]
# An empty value means "not given": what the parameter file says stays.
MAYBE = ["", *BOOLEAN]

ARGUMENTS = [
    DeclareLaunchArgument(
        "namespace", default_value="", description="Namespace of all nodes."
    ),
    DeclareLaunchArgument(
        "use_sim_time", default_value="false", choices=BOOLEAN,
        description="Take the time from /clock, as for a bag that is played with --clock.",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=PathJoinSubstitution([SHARE, "config", "avs.yaml"]),
        description="YAML file with the parameters of all nodes.",
    ),
    DeclareLaunchArgument(
        "autostart", default_value="", choices=MAYBE,
        description="Configure and activate at start; empty: as in params_file (true).",
    ),
    DeclareLaunchArgument(
        "log_level", default_value="info", choices=["debug", "info", "warn", "error", "fatal"],
        description="Least severe messages of our nodes to log.",
    ),
    DeclareLaunchArgument(
        "model", default_value="",
        description="Model name or checkpoint file; empty: as in params_file.",
    ),
    DeclareLaunchArgument(
        "engine", default_value="",
        description="Inference engine (auto, torch, onnxruntime, ...); empty: as in params_file.",
    ),
    DeclareLaunchArgument(
        "device", default_value="",
        description="Computing device (auto, cpu, cuda, cuda:0); empty: as in params_file.",
    ),
    DeclareLaunchArgument(
        "image", default_value="",
        description="Topic of the images, for example /camera/image_raw; <image>/compressed and "
        "camera_info beside it are found by themselves. Empty: 'image' in the namespace.",
    ),
    DeclareLaunchArgument(
        "audio", default_value="",
        description="Topic of the sound, for example /audio/audio_stamped. "
        "Empty: 'audio' in the namespace.",
    ),
    DeclareLaunchArgument(
        "audio_type", default_value="",
        choices=["", "auto", "AudioDataStamped", "AudioStamped", "RawAudio", "AudioData"],
        description="Message type of the sound; empty: as in params_file (auto).",
    ),
    DeclareLaunchArgument(
        "microphone", default_value="false", choices=BOOLEAN,
        description="Also start microphone_node, which publishes the topic 'audio'.",
    ),
    DeclareLaunchArgument(
        "microphone_device", default_value="",
        description="Name (or part of it) or index of the microphone; empty: the default one.",
    ),
    DeclareLaunchArgument(
        "rviz", default_value="false", choices=BOOLEAN,
        description="Also start RViz with image, overlay, masks and the ray of attention.",
    ),
    DeclareLaunchArgument(
        "fixed_frame", default_value="camera_optical_frame",
        description="RViz: frame_id of the images, in which the ray is drawn.",
    ),
]

PARAMETER_TYPES = {
    "use_sim_time": bool, "autostart": bool, "model": str, "engine": str, "device": str,
    "audio_type": str,
}

# Topics of rviz/avs.rviz, which is written for the root namespace.
RVIZ_TOPICS = [
    "image",
    "segmentation_node/overlay",
    "segmentation_node/mask",
    "segmentation_node/label_mask_color",
    "segmentation_node/attention",
    "attention_node/target",
    "attention_node/ray",
]


def log_level(context: LaunchContext, node: str) -> str:
    """Set the level of this node's logger and of no other (rcl's debug messages are a flood)."""
    pushed = context.launch_configurations.get("ros_namespace", "")
    name = logger_name(node, pushed, LaunchConfiguration("namespace").perform(context))
    return f"{name}:={LaunchConfiguration('log_level').perform(context)}"


def segmentation_node(context: LaunchContext) -> list:
    """Pass on what was given and nothing else."""
    parameters = {
        name: ParameterValue(LaunchConfiguration(name), value_type=value_type)
        for name, value_type in PARAMETER_TYPES.items()
        if LaunchConfiguration(name).perform(context)
    }
    remappings = [
        (name, topic)
        for name in ("image", "audio")
        if (topic := LaunchConfiguration(name).perform(context))
    ]
    return [
        Node(
            package="avs_ros",
            executable="segmentation_node",
            name="segmentation_node",
            namespace=LaunchConfiguration("namespace"),
            parameters=[LaunchConfiguration("params_file"), parameters],
            remappings=remappings,
            arguments=["--ros-args", "--log-level", log_level(context, "segmentation_node")],
            output="screen",
            emulate_tty=True,
        )
    ]


def microphone() -> GroupAction:
    """Include the microphone; every argument that means something else there is set."""
    audio_type = LaunchConfiguration("audio_type")
    passed = ("namespace", "use_sim_time", "params_file", "log_level", "audio")
    return GroupAction(
        condition=IfCondition(LaunchConfiguration("microphone")),
        actions=[
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(
                    PathJoinSubstitution([SHARE, "launch", "microphone.launch.py"])
                ),
                launch_arguments=[
                    *((name, LaunchConfiguration(name)) for name in passed),
                    ("device", LaunchConfiguration("microphone_device")),
                    ("audio_type", audio_type),
                ],
            )
        ],
    )


def rviz(context: LaunchContext) -> list:
    """Show the topics of this namespace."""
    image = LaunchConfiguration("image").perform(context) or "image"
    return [
        Node(
            package="rviz2",
            executable="rviz2",
            name="rviz",
            namespace=LaunchConfiguration("namespace"),
            arguments=[
                "-d", PathJoinSubstitution([SHARE, "rviz", "avs.rviz"]),
                "-f", LaunchConfiguration("fixed_frame"),
            ],
            parameters=[
                {"use_sim_time": ParameterValue(
                    LaunchConfiguration("use_sim_time"), value_type=bool)}
            ],
            remappings=[
                ("/" + topic, image if topic == "image" else topic) for topic in RVIZ_TOPICS
            ],
            condition=IfCondition(LaunchConfiguration("rviz")),
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Tell ``ros2 launch`` what to start."""
    return LaunchDescription(
        [
            SetEnvironmentVariable("RCUTILS_LOGGING_BUFFERED_STREAM", "1"),
            *ARGUMENTS,
            microphone(),
            OpaqueFunction(function=segmentation_node),
            OpaqueFunction(function=rviz),
        ]
    )
