"""Replay a bag through the node and score what it answers against the bag's ground truth.

ros2 launch avs_ros evaluate.launch.py bag:=/data/clip output:=/tmp/report

The bag starts when the model is loaded and active, on simulated time; when it is over, the
evaluator writes its report and everything ends.
"""

import signal
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessExit, OnProcessStart
from launch.events import matches_action
from launch.events.process import ProcessExited, SignalProcess
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

from avs_ros.nodes.topic_names import logger_name

ARGUMENTS = [
    DeclareLaunchArgument("bag", description="The rosbag2 to replay (folder, .mcap or .db3)."),
    DeclareLaunchArgument(
        "output", default_value="evaluation",
        description="Folder for metrics.json and the report.",
    ),
    DeclareLaunchArgument(
        "rate", default_value="1.0", description="Speed of the replay; 1 is real time."
    ),
    DeclareLaunchArgument(
        "linger", default_value="3.0",
        description="Seconds to wait for the last answers after the end of the bag.",
    ),
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of all nodes."),
    DeclareLaunchArgument(
        "params_file",
        default_value=PathJoinSubstitution([FindPackageShare("avs_ros"), "config", "avs.yaml"]),
        description="YAML file with the parameters of all nodes.",
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
        "engine", default_value="", description="Inference engine; empty: as in params_file."
    ),
    DeclareLaunchArgument(
        "device", default_value="", description="Computing device; empty: as in params_file."
    ),
    DeclareLaunchArgument(
        "image", default_value="", description="The bag's image topic; empty: 'image'."
    ),
    DeclareLaunchArgument(
        "audio", default_value="", description="The bag's sound topic; empty: 'audio'."
    ),
    DeclareLaunchArgument(
        "audio_type", default_value="",
        choices=["", "auto", "AudioDataStamped", "AudioStamped", "RawAudio", "AudioData"],
        description="Message type of the sound; empty: as in params_file (auto).",
    ),
    DeclareLaunchArgument(
        "ground_truth", default_value="",
        description="The bag's topic of true masks, names in 'detections' beside it; "
        "empty: 'ground_truth/mask'.",
    ),
]


def given(context: LaunchContext, *names: str) -> dict:
    """The string parameters that were given; an empty value means "not given"."""
    return {
        name: ParameterValue(LaunchConfiguration(name), value_type=str)
        for name in names
        if LaunchConfiguration(name).perform(context)
    }


def remappings(context: LaunchContext, **topics: str) -> list:
    """Rules for the topics that were given, from the nodes' own names of them."""
    return [
        (own, topic)
        for argument, own in topics.items()
        if (topic := LaunchConfiguration(argument).perform(context))
    ]


def truth(context: LaunchContext) -> list:
    """Rules for the true masks and, beside them, the names of the sounding object."""
    mask = LaunchConfiguration("ground_truth").perform(context)
    folder = mask.rpartition("/")[0]
    if not mask:
        return []
    return [
        ("ground_truth/mask", mask),
        ("ground_truth/detections", f"{folder}/detections" if folder else "detections"),
    ]


def log_level(context: LaunchContext, node: str) -> str:
    """Set the level of this node's logger and of no other (rcl's debug messages are a flood)."""
    pushed = context.launch_configurations.get("ros_namespace", "")
    name = logger_name(node, pushed, LaunchConfiguration("namespace").perform(context))
    return f"{name}:={LaunchConfiguration('log_level').perform(context)}"


def existing_bag(context: LaunchContext) -> str:
    """The bag's path; fails before a model is loaded for nothing.

    An exception makes `ros2 launch` return 1.
    """
    bag = Path(LaunchConfiguration("bag").perform(context)).expanduser()
    if not bag.exists():
        raise FileNotFoundError(f"bag:={bag}: there is no such file or folder")
    if bag.is_dir() and not (bag / "metadata.yaml").is_file():
        raise FileNotFoundError(
            f"bag:={bag}: no metadata.yaml in this folder; if it is a bag: ros2 bag reindex {bag}"
        )
    return str(bag)


def fail(reason: str) -> OpaqueFunction:
    """End everything, with exit status 1 (a Shutdown event would give 0)."""

    def fail_now(context: LaunchContext) -> list:
        raise RuntimeError(reason)

    return OpaqueFunction(function=fail_now)


def common(context: LaunchContext, node: str) -> dict:
    """What both nodes are started with."""
    return {
        "package": "avs_ros",
        "executable": node,
        "name": node,
        "namespace": LaunchConfiguration("namespace"),
        "arguments": ["--ros-args", "--log-level", log_level(context, node)],
        "output": "screen",
        "emulate_tty": True,
    }


def replay(context: LaunchContext) -> list:
    """Evaluator and node first; the bag when the node is active."""
    bag = existing_bag(context)
    parameters = {
        "use_sim_time": True,
        # This file leads the node through its states, to know when it is ready.
        "autostart": False,
        **given(context, "model", "engine", "device", "audio_type"),
    }
    node = LifecycleNode(
        parameters=[LaunchConfiguration("params_file"), parameters],
        remappings=remappings(context, image="image", audio="audio"),
        **common(context, "segmentation_node"),
    )
    evaluator = Node(
        parameters=[
            LaunchConfiguration("params_file"),
            {"use_sim_time": True, **given(context, "output")},
        ],
        remappings=[
            ("mask", "segmentation_node/mask"),
            ("detections", "segmentation_node/detections"),
            ("probability", "segmentation_node/probability"),
            *truth(context),
        ],
        **common(context, "evaluator_node"),
    )
    player = ExecuteProcess(
        cmd=[
            "ros2", "bag", "play", bag, "--clock", "100",
            "--rate", LaunchConfiguration("rate"), "--disable-keyboard-controls",
        ],
        output="screen",
    )

    def change(transition: int) -> EmitEvent:
        return EmitEvent(
            event=ChangeState(
                lifecycle_node_matcher=matches_action(node), transition_id=transition
            )
        )

    def at(actions: list, **states: str) -> RegisterEventHandler:
        return RegisterEventHandler(
            OnStateTransition(target_lifecycle_node=node, entities=actions, **states)
        )

    def bag_ended(event: ProcessExited, context: LaunchContext) -> list:
        if context.is_shutdown:
            return []
        if event.returncode:
            return [fail(f"`ros2 bag play` ended with {event.returncode}: see what it says above")]
        return [over]

    def node_ended(event: ProcessExited, context: LaunchContext) -> list:
        return [] if context.is_shutdown else [fail(f"{event.process_name} ended too early")]

    def evaluator_ended(event: ProcessExited, context: LaunchContext) -> list:
        if context.is_shutdown:
            return []
        if event.returncode:
            return [fail(f"{event.process_name} could not score: see what it says above")]
        return [Shutdown(reason="the report is written")]

    failed = [fail("the node could not be configured or activated: see its log")]
    # The evaluator alone, which may take its time to write: a Shutdown kills after ten seconds.
    finish = SignalProcess(
        signal_number=signal.SIGINT, process_matcher=matches_action(evaluator)
    )
    over = TimerAction(
        period=float(LaunchConfiguration("linger").perform(context)),
        actions=[EmitEvent(event=finish)],
    )
    return [
        RegisterEventHandler(
            OnProcessStart(
                target_action=node, on_start=[change(Transition.TRANSITION_CONFIGURE)]
            )
        ),
        at([change(Transition.TRANSITION_ACTIVATE)],
           start_state="configuring", goal_state="inactive"),
        at([player], goal_state="active"),
        at(failed, start_state="configuring", goal_state="unconfigured"),
        at(failed, start_state="activating", goal_state="inactive"),
        at(failed, goal_state="errorprocessing"),
        RegisterEventHandler(OnProcessExit(target_action=player, on_exit=bag_ended)),
        RegisterEventHandler(OnProcessExit(target_action=node, on_exit=node_ended)),
        RegisterEventHandler(OnProcessExit(target_action=evaluator, on_exit=evaluator_ended)),
        evaluator,
        node,
    ]


def generate_launch_description() -> LaunchDescription:
    """Tell ``ros2 launch`` what to start."""
    return LaunchDescription(
        [
            SetEnvironmentVariable("RCUTILS_LOGGING_BUFFERED_STREAM", "1"),
            *ARGUMENTS,
            OpaqueFunction(function=replay),
        ]
    )
