"""Start audio-visual segmentation, and if wished a microphone and RViz.

ros2 launch avs_ros avs.launch.py image:=/camera/image_raw microphone:=true rviz:=true
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import GroupAction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from avs_ros.nodes import launching
from avs_ros.nodes.launching import BOOLEAN, argument

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


def segmentation_node(context: LaunchContext) -> list:
    """Pass on what was given and nothing else."""
    parameters = launching.given(context, PARAMETER_TYPES)
    rules = launching.remappings(context, "image", "audio")
    return [launching.node(context, "segmentation_node", parameters, rules)]


def microphone() -> GroupAction:
    """Include the microphone; every argument that means something else there is set."""
    passed = ("namespace", "use_sim_time", "params_file", "log_level", "audio", "audio_type")
    device = {"device": LaunchConfiguration("microphone_device")}
    return GroupAction(
        condition=IfCondition(LaunchConfiguration("microphone")),
        actions=[launching.included("microphone.launch.py", *passed, also=device)],
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
                "-d", launching.in_share("rviz", "avs.rviz"),
                "-f", LaunchConfiguration("fixed_frame"),
            ],
            parameters=[launching.given(context, {"use_sim_time": bool})],
            remappings=[
                ("/" + topic, image if topic == "image" else topic) for topic in RVIZ_TOPICS
            ],
            condition=IfCondition(LaunchConfiguration("rviz")),
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Tell ``ros2 launch`` what to start."""
    arguments = [
        *launching.shared("namespace", "use_sim_time", "params_file"),
        argument("autostart", "Configure and activate at start; empty: as in params_file (true).",
                 choices=("", *BOOLEAN)),
        *launching.shared("log_level", "model", "engine", "device"),
        argument("image", "Topic of the images, for example /camera/image_raw; <image>/compressed "
                 "and camera_info beside it are found by themselves. "
                 "Empty: 'image' in the namespace."),
        argument("audio", "Topic of the sound, for example /audio/audio_stamped. "
                 "Empty: 'audio' in the namespace."),
        *launching.shared("audio_type"),
        argument("microphone", "Also start microphone_node, which publishes the topic 'audio'.",
                 "false", BOOLEAN),
        argument("microphone_device", "Name (or part of it) or index of the microphone; empty: "
                 "the default one."),
        argument("rviz", "Also start RViz with image, overlay, masks and the ray of attention.",
                 "false", BOOLEAN),
        argument("fixed_frame", "RViz: frame_id of the images, in which the ray is drawn.",
                 "camera_optical_frame"),
    ]
    return launching.described(arguments, microphone(), segmentation_node, rviz)
