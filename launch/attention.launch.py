"""Give a robot something to look at: segmentation, and a node that chooses a target.

ros2 launch avs_ros attention.launch.py image:=/camera/image_raw microphone:=true

Arguments of avs.launch.py (model, engine, device, audio, microphone, rviz, ...) work here as well.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
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

ARGUMENTS = [
    DeclareLaunchArgument(
        "namespace", default_value="", description="Namespace of all nodes."
    ),
    DeclareLaunchArgument(
        "use_sim_time", default_value="false", choices=["true", "false"],
        description="Take the time from /clock, as for a bag that is played with --clock.",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=PathJoinSubstitution([SHARE, "config", "avs.yaml"]),
        description="YAML file with the parameters of all nodes.",
    ),
    DeclareLaunchArgument(
        "log_level", default_value="info", choices=["debug", "info", "warn", "error", "fatal"],
        description="Least severe messages of our nodes to log.",
    ),
    DeclareLaunchArgument(
        "segmentation", default_value="true", choices=["true", "false"],
        description="Also start avs.launch.py; false: it runs already.",
    ),
    DeclareLaunchArgument(
        "image", default_value="",
        description="Topic of the images; camera_info beside it is used for the direction. "
        "Empty: 'image' in the namespace.",
    ),
    DeclareLaunchArgument(
        "camera_info", default_value="",
        description="Topic of the camera's calibration; empty: camera_info beside the images.",
    ),
    DeclareLaunchArgument(
        "detections", default_value="segmentation_node/detections",
        description="Topic of the sounding object (vision_msgs/Detection2DArray).",
    ),
    DeclareLaunchArgument(
        "label_mask", default_value="segmentation_node/label_mask",
        description="Topic of the masks of these detections (sensor_msgs/Image).",
    ),
    DeclareLaunchArgument(
        "choose", default_value="", choices=["", "highest_score", "largest", "label_priority"],
        description="Which of several to look at; empty: as in params_file (highest_score).",
    ),
]


def log_level(context: LaunchContext, node: str) -> str:
    """Set the level of this node's logger and of no other (rcl's debug messages are a flood)."""
    pushed = context.launch_configurations.get("ros_namespace", "")
    name = logger_name(node, pushed, LaunchConfiguration("namespace").perform(context))
    return f"{name}:={LaunchConfiguration('log_level').perform(context)}"


def attention_node(context: LaunchContext) -> list:
    """Pass on what was given; find camera_info where camera drivers put it."""
    value = {
        name: LaunchConfiguration(name).perform(context)
        for name in ("image", "camera_info", "detections", "label_mask", "choose")
    }
    folder, slash, _ = value["image"].rpartition("/")
    camera_info = value["camera_info"] or f"{folder}{slash}camera_info"
    parameters = {
        "use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)
    }
    if value["choose"]:
        parameters["choose"] = ParameterValue(LaunchConfiguration("choose"), value_type=str)
    return [
        Node(
            package="avs_ros",
            executable="attention_node",
            name="attention_node",
            namespace=LaunchConfiguration("namespace"),
            parameters=[LaunchConfiguration("params_file"), parameters],
            remappings=[
                ("detections", value["detections"]),
                ("label_mask", value["label_mask"]),
                ("camera_info", camera_info),
            ],
            arguments=["--ros-args", "--log-level", log_level(context, "attention_node")],
            output="screen",
            emulate_tty=True,
        )
    ]


def segmentation() -> IncludeLaunchDescription:
    """Include the rest; arguments that both know go there, others by their own defaults."""
    passed = ("namespace", "use_sim_time", "params_file", "log_level", "image")
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "avs.launch.py"])),
        launch_arguments=[(name, LaunchConfiguration(name)) for name in passed],
        condition=IfCondition(LaunchConfiguration("segmentation")),
    )


def generate_launch_description() -> LaunchDescription:
    """Tell ``ros2 launch`` what to start."""
    return LaunchDescription(
        [
            SetEnvironmentVariable("RCUTILS_LOGGING_BUFFERED_STREAM", "1"),
            *ARGUMENTS,
            segmentation(),
            OpaqueFunction(function=attention_node),
        ]
    )
