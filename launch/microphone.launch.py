"""Start a microphone as an audio topic.

ros2 launch avs_ros microphone.launch.py device:=USB audio_type:=RawAudio
"""

from launch import LaunchContext, LaunchDescription

from avs_ros.nodes import launching
from avs_ros.nodes.launching import argument

PARAMETER_TYPES = {
    "use_sim_time": bool, "device": str, "rate": int, "channels": int, "block": float,
    "audio_type": str,
}


def microphone_node(context: LaunchContext) -> list:
    """Pass on what was given and nothing else."""
    parameters = launching.given(context, PARAMETER_TYPES, empty=("", "auto"))
    rules = launching.remappings(context, "audio")
    return [launching.node(context, "microphone_node", parameters, rules)]


def generate_launch_description() -> LaunchDescription:
    """Tell ``ros2 launch`` what to start."""
    arguments = [
        *launching.shared("namespace", "use_sim_time", "params_file", "log_level"),
        argument("device", "Name (or part of it) or index of the input device; "
                 "`ros2 run avs_ros microphone_node --list-devices` shows them. "
                 "Empty: as in params_file (the system's default)."),
        argument("rate", "Samples per second, 0 for the device's own; empty: as in params_file."),
        argument("channels", "Channels; empty: as in params_file."),
        argument("block", "Seconds of sound per message; empty: as in params_file."),
        argument("audio", "Topic to publish; empty: 'audio' in the namespace."),
        *launching.shared("audio_type"),
    ]
    return launching.described(arguments, microphone_node)
