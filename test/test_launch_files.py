"""Launch files, RViz and Foxglove layouts against the tables of parameters and topics."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from launch_stand_ins import LAUNCH, Started

from avs_ros.nodes.launching import logger_name
from avs_ros.nodes.parameters import TABLES
from avs_ros.nodes.topics import TOPICS

ROOT = LAUNCH.parent
FILES = sorted(path.name for path in LAUNCH.glob("*.launch.py"))
# What a camera driver, a microphone or a bag publishes.
FROM_OUTSIDE = {"/image", "/camera_info", "/audio", "/diagnostics", "/rosout"}


def published() -> set[str]:
    return {
        topic.name.replace("~", "/" + node)
        for node, sides in TOPICS.items()
        for topic in sides.get("publishes", ())
    }


@pytest.fixture
def bag(tmp_path: Path) -> str:
    """What passes for a bag: nothing is played here."""
    (tmp_path / "metadata.yaml").touch()
    return str(tmp_path)


def test_the_expected_files_are_there() -> None:
    assert FILES == ["attention.launch.py", "avs.launch.py", "evaluate.launch.py",
                     "microphone.launch.py"]


@pytest.mark.parametrize("name", FILES)
def test_every_argument_is_described(
    monkeypatch: pytest.MonkeyPatch, bag: str, name: str
) -> None:
    arguments = Started(monkeypatch, name, bag=bag).arguments
    for argument, options in arguments.items():
        assert options["description"].endswith("."), argument
        default = options.get("default_value")
        assert default is not None or argument == "bag"
        assert default in options.get("choices", [default]), argument


def test_the_arguments_that_everybody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = Started(monkeypatch, "avs.launch.py").arguments
    assert {
        "namespace", "use_sim_time", "params_file", "autostart", "log_level", "model", "engine",
        "device", "image", "audio", "audio_type", "microphone", "rviz"} <= set(arguments)


@pytest.mark.parametrize("name", FILES)
def test_nodes_get_only_parameters_that_they_have(
    monkeypatch: pytest.MonkeyPatch, bag: str, name: str
) -> None:
    options = Started(monkeypatch, name, bag=bag).arguments
    everything = {
        argument: options[argument].get("choices", ["1"])[-1] for argument in options}
    everything.update({"bag": bag} if "bag" in options else {})
    started = Started(monkeypatch, name, **everything)
    for node in started.of("Node", "LifecycleNode"):
        executable = node.kwargs["executable"]
        if executable in TABLES:
            declared = {spec.name: type(spec.default) for spec in TABLES[executable]}
            for parameter, value in started.parameters(executable).items():
                wanted = bool if parameter == "use_sim_time" else declared[parameter]
                assert (value[1] if isinstance(value, tuple) else type(value)) is wanted


def test_what_is_not_given_is_left_to_the_parameter_file(monkeypatch: pytest.MonkeyPatch) -> None:
    started = Started(monkeypatch, "avs.launch.py")
    assert len(started.of("Node", "IncludeLaunchDescription")) == 1
    assert started.parameters("segmentation_node") == {"use_sim_time": ("false", bool)}
    assert started.node("segmentation_node")["remappings"] == []
    microphone = Started(monkeypatch, "microphone.launch.py", audio_type="auto")
    assert microphone.parameters("microphone_node") == {"use_sim_time": ("false", bool)}


def test_what_is_given_reaches_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    started = Started(
        monkeypatch, "avs.launch.py", model="c3n_light", device="0", autostart="false",
        image="/camera/image_raw", audio="/audio/audio_stamped", audio_type="AudioDataStamped")
    assert started.parameters("segmentation_node") == {
        "use_sim_time": ("false", bool), "autostart": ("false", bool), "model": ("c3n_light", str),
        "device": ("0", str), "audio_type": ("AudioDataStamped", str)}
    assert started.node("segmentation_node")["remappings"] == [
        ("image", "/camera/image_raw"), ("audio", "/audio/audio_stamped")]
    microphone = Started(monkeypatch, "microphone.launch.py", device="USB", block="0.1", audio="x")
    assert microphone.parameters("microphone_node") == {
        "use_sim_time": ("false", bool), "device": ("USB", str), "block": ("0.1", float)}
    assert microphone.node("microphone_node")["remappings"] == [("audio", "x")]


def test_the_microphone_does_not_take_the_computing_device(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Started(
        monkeypatch, "avs.launch.py", microphone="true", device="cuda:0", microphone_device="USB")
    [include] = started.of("IncludeLaunchDescription")
    passed = {name: value.perform(started.context)
              for name, value in include.kwargs["launch_arguments"]}
    assert passed["device"] == "USB"
    inner = Started(monkeypatch, "microphone.launch.py").arguments
    assert set(passed) <= set(inner)
    shared = set(inner) & set(started.arguments)
    assert shared <= set(passed), "arguments of the same name must be passed, or they leak in"


def test_camera_info_is_beside_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    for image, camera_info in (("", "camera_info"), ("/cam/image_raw", "/cam/camera_info"),
                               ("left/image", "left/camera_info"), ("/image", "/camera_info")):
        started = Started(monkeypatch, "attention.launch.py", image=image)
        assert dict(started.node("attention_node")["remappings"])["camera_info"] == camera_info
    started = Started(monkeypatch, "attention.launch.py", image="/a/b", camera_info="/c",
                      segmentation="false")
    assert dict(started.node("attention_node")["remappings"])["camera_info"] == "/c"
    assert not started.of("IncludeLaunchDescription")


def test_the_bag_starts_when_the_node_is_active(
    monkeypatch: pytest.MonkeyPatch, bag: str
) -> None:
    started = Started(monkeypatch, "evaluate.launch.py", bag=bag, rate="2.0",
                      output="/tmp/report", ground_truth="/truth/mask")
    assert started.parameters("segmentation_node") == {"use_sim_time": True, "autostart": False}
    assert started.parameters("evaluator_node") == {
        "use_sim_time": True, "output": ("/tmp/report", str)}
    rules = dict(started.node("evaluator_node")["remappings"])
    assert rules["ground_truth/mask"] == "/truth/mask"
    assert rules["ground_truth/detections"] == "/truth/detections"
    inputs = {topic.name for topic in TOPICS["evaluator_node"]["subscribes"]}
    assert set(rules) == inputs
    handlers = [one.args[0].kwargs for one in started.of("RegisterEventHandler")]
    [active] = [one for one in handlers if one.get("goal_state") == "active"]
    [player] = active["entities"]
    command = [one.perform(started.context) if not isinstance(one, str) else one
               for one in player.kwargs["cmd"]]
    assert command[:4] == ["ros2", "bag", "play", bag] and "--clock" in command
    assert command[command.index("--rate") + 1] == "2.0"
    assert not started.of("ExecuteProcess"), "the player must not start by itself"
    ends = [one for one in handlers if "goal_state" in one
            and any(type(action).__name__ == "OpaqueFunction" for action in one["entities"])]
    assert {one["goal_state"] for one in ends} == {"unconfigured", "inactive", "errorprocessing"}
    with pytest.raises(RuntimeError, match="see its log"):
        ends[0]["entities"][0].kwargs["function"](started.context)


def test_a_bag_that_is_not_there_is_told_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for bag, told in ((tmp_path / "no", "no such file"), (tmp_path, "ros2 bag reindex")):
        with pytest.raises(FileNotFoundError, match=told):
            Started(monkeypatch, "evaluate.launch.py", bag=str(bag))


def test_what_ends_too_early_is_a_failure(monkeypatch: pytest.MonkeyPatch, bag: str) -> None:
    started = Started(monkeypatch, "evaluate.launch.py", bag=bag)
    exits = {
        handler["target_action"].kwargs.get("executable", "bag"): handler["on_exit"]
        for one in started.of("RegisterEventHandler")
        if "on_exit" in (handler := one.args[0].kwargs)}
    assert set(exits) == {"segmentation_node", "evaluator_node", "bag"}
    event = SimpleNamespace(returncode=0, process_name="it")
    # When the bag is over, the evaluator writes; when that is done, everything ends.
    [timer] = exits["bag"](event, started.context)
    [emitted] = timer.kwargs["actions"]
    assert type(emitted.kwargs["event"]).__name__ == "SignalProcess"
    [end] = exits["evaluator_node"](event, started.context)
    assert type(end).__name__ == "Shutdown"
    event.returncode = 1
    for ended in exits.values():
        [action] = ended(event, started.context)
        with pytest.raises(RuntimeError, match=r"ended|could not score"):
            action.kwargs["function"](started.context)
    started.context.is_shutdown = True  # as after Ctrl-C
    assert not any(ended(event, started.context) for ended in exits.values())


@pytest.mark.parametrize("name", FILES)
def test_the_log_level_is_the_nodes_own(
    monkeypatch: pytest.MonkeyPatch, bag: str, name: str
) -> None:
    started = Started(monkeypatch, name, bag=bag, namespace="robot/left", log_level="debug")
    for node in started.of("Node", "LifecycleNode"):
        logger = f"robot.left.{node.kwargs['name']}"
        assert node.kwargs["arguments"] == ["--ros-args", "--log-level", f"{logger}:=debug"]


def test_a_logger_is_called_by_its_namespaces() -> None:
    assert logger_name("n") == logger_name("n", "", "/") == "n"
    assert logger_name("n", "a/b", "c") == "a.b.c.n"
    assert logger_name("n", "a", "/c") == "c.n"


def test_rviz_shows_topics_that_exist_and_launch_moves_them(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    config = yaml.safe_load((ROOT / "rviz" / "avs.rviz").read_text())
    displays = config["Visualization Manager"]["Displays"]
    topics = {one["Topic"]["Value"] for one in displays if "Topic" in one}
    assert topics <= published() | FROM_OUTSIDE
    started = Started(monkeypatch, "avs.launch.py", rviz="true", image="/cam/image")
    rules = dict(started.node("rviz2")["remappings"])
    assert set(rules) == topics
    assert rules["/image"] == "/cam/image"
    assert not any(value.startswith("/") for key, value in rules.items() if key != "/image")


def leaves(layout: Any) -> list[str]:
    if isinstance(layout, str):
        return [layout]
    return [*leaves(layout["first"]), *leaves(layout["second"])]


def mentioned(config: Any) -> set[str]:
    """Topics in a panel's settings; of a message path, the part before the first dot."""
    if isinstance(config, dict):
        return {name for pair in config.items() for one in pair for name in mentioned(one)}
    if isinstance(config, list):
        return {name for one in config for name in mentioned(one)}
    is_topic = isinstance(config, str) and config.startswith("/")
    return {config.partition(".")[0]} if is_topic else set()


def test_foxglove_shows_topics_that_exist() -> None:
    layout = json.loads(Path(ROOT / "config" / "foxglove_layout.json").read_text())
    assert sorted(leaves(layout["layout"])) == sorted(layout["configById"])
    assert mentioned(layout["configById"]) <= published() | FROM_OUTSIDE
