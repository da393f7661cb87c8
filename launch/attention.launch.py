"""Give a robot something to look at: segmentation, and a node that chooses a target.

ros2 launch avs_ros attention.launch.py image:=/camera/image_raw microphone:=true

Arguments of avs.launch.py (model, engine, device, audio, microphone, rviz, ...) work here as well.
"""

from launch import LaunchContext, LaunchDescription
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration

from avs_ros.nodes import launching
from avs_ros.nodes.launching import argument


def attention_node(context: LaunchContext) -> list:
    """Pass on what was given; find camera_info where camera drivers put it."""
    value = context.launch_configurations
    folder, slash, _ = value["image"].rpartition("/")
    rules = [
        ("detections", value["detections"]),
        ("label_mask", value["label_mask"]),
        ("camera_info", value["camera_info"] or f"{folder}{slash}camera_info"),
    ]
    parameters = launching.given(context, {"use_sim_time": bool, "choose": str})
    return [launching.node(context, "attention_node", parameters, rules)]


def generate_launch_description() -> LaunchDescription:
    """Tell ``ros2 launch`` what to start."""
    shared = ("namespace", "use_sim_time", "params_file", "log_level")
    arguments = [
        *launching.shared(*shared),
        argument("segmentation", "Also start avs.launch.py; false: it runs already.", "true",
                 launching.BOOLEAN),
        argument("image", "Topic of the images; camera_info beside it is used for the direction. "
                 "Empty: 'image' in the namespace."),
        argument("camera_info", "Topic of the camera's calibration; empty: camera_info beside the "
                 "images."),
        argument("detections", "Topic of the sounding object (vision_msgs/Detection2DArray).",
                 "segmentation_node/detections"),
        argument("label_mask", "Topic of the masks of these detections (sensor_msgs/Image).",
                 "segmentation_node/label_mask"),
        argument("choose", "Which of several to look at; empty: as in params_file "
                 "(highest_score).",
                 choices=("", "highest_score", "largest", "label_priority")),
    ]
    # Arguments that both files know go there, others by their own defaults.
    segmentation = launching.included(
        "avs.launch.py", *shared, "image",
        condition=IfCondition(LaunchConfiguration("segmentation")),
    )
    return launching.described(arguments, segmentation, attention_node)
