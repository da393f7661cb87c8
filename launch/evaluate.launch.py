"""Replay a bag through the node and score what it answers against the bag's ground truth.

ros2 launch avs_ros evaluate.launch.py bag:=/data/clip output:=/tmp/report

The bag starts when the model is loaded and active, on simulated time; when it is over, the
evaluator writes its report and everything ends.
"""

import signal
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessExit, OnProcessStart
from launch.events import matches_action
from launch.events.process import ProcessExited, SignalProcess
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from avs_ros.nodes import launching
from avs_ros.nodes.launching import argument


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


def replay(context: LaunchContext) -> list:
    """Evaluator and node first; the bag when the node is active."""
    bag = existing_bag(context)
    texts = dict.fromkeys(("model", "engine", "device", "audio_type"), str)
    parameters = {
        "use_sim_time": True,
        # This file leads the node through its states, to know when it is ready.
        "autostart": False,
        **launching.given(context, texts),
    }
    rules = launching.remappings(context, "image", "audio")
    node = launching.node(context, "segmentation_node", parameters, rules, LifecycleNode)
    evaluator = launching.node(
        context, "evaluator_node",
        {"use_sim_time": True, **launching.given(context, {"output": str})},
        [
            ("mask", "segmentation_node/mask"),
            ("detections", "segmentation_node/detections"),
            ("probability", "segmentation_node/probability"),
            *truth(context),
        ],
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

    def ended(process: ExecuteProcess, then: object, failure: str) -> RegisterEventHandler:
        """When it ends by itself: ``then``; ``failure`` for a bad status, or without ``then``."""

        def on_exit(event: ProcessExited, context: LaunchContext) -> list:
            if context.is_shutdown:
                return []
            bad = then is None or event.returncode
            return [fail(failure.format(event)) if bad else then]

        return RegisterEventHandler(OnProcessExit(target_action=process, on_exit=on_exit))

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
        ended(player, over, "`ros2 bag play` ended with {0.returncode}: see what it says above"),
        ended(node, None, "{0.process_name} ended too early"),
        ended(evaluator, Shutdown(reason="the report is written"),
              "{0.process_name} could not score: see what it says above"),
        evaluator,
        node,
    ]


def generate_launch_description() -> LaunchDescription:
    """Tell ``ros2 launch`` what to start."""
    arguments = [
        argument("bag", "The rosbag2 to replay (folder, .mcap or .db3).", None),
        argument("output", "Folder for metrics.json and the report.", "evaluation"),
        argument("rate", "Speed of the replay; 1 is real time.", "1.0"),
        argument("linger", "Seconds to wait for the last answers after the end of the bag.",
                 "3.0"),
        *launching.shared("namespace", "params_file", "log_level", "model", "engine", "device"),
        argument("image", "The bag's image topic; empty: 'image'."),
        argument("audio", "The bag's sound topic; empty: 'audio'."),
        *launching.shared("audio_type"),
        argument("ground_truth", "The bag's topic of true masks, names in 'detections' beside it; "
                 "empty: 'ground_truth/mask'."),
    ]
    return launching.described(arguments, replay)
