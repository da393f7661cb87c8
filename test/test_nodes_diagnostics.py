"""What the diagnostics page says, and how loudly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avs_ros.conversions.messages import ERROR, OK, WARN, Status
from avs_ros.nodes import diagnostics
from avs_ros.nodes.diagnostics import DiagnosticsPage, StreamState, gpu_memory
from avs_ros.streaming.inputs import Frame, Pair
from avs_ros.streaming.pipeline import PipelineStats
from avs_ros.streaming.timing import RollingPercentiles


def stats(frame_rate: float = 10.0, audio_rate: float = 30.0) -> PipelineStats:
    latencies = RollingPercentiles()
    for value in range(1, 101):
        latencies.add(value)
    figures = latencies.percentiles()
    frame = Frame.of(0, np.zeros((2, 2, 3), np.uint8))
    last = Pair(frame, np.zeros(16000, np.float32), 1.0, True, -20.0, 0.0)
    return PipelineStats(figures, figures, {"model": 12.0}, frame_rate, audio_rate, 9.5, last=last)


def running(**changes: object) -> StreamState:
    state = StreamState(
        state="active", stats=stats(), counters={"results": 5, "frames_deadline": 0},
        model={"model": "c3n_light", "device": "cpu", "engine": "torch"},
        inputs={"image": "/image", "audio": "/audio"},
    )
    for name, value in changes.items():
        setattr(state, name, value)
    return state


def page() -> DiagnosticsPage:
    return DiagnosticsPage("node")


def by_name(statuses: list[Status]) -> dict[str, Status]:
    return {status.name.removeprefix("node: "): status for status in statuses}


def test_a_healthy_stream_is_ok_and_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "gpu_memory", lambda: {"gpu_memory_mb": "100"})
    statuses = by_name(page().write(running()))
    assert [status.level for status in statuses.values()] == [OK, OK, OK]
    assert statuses["model"].values["device"] == "cpu"
    assert statuses["model"].values["gpu_memory_mb"] == "100"
    assert statuses["inputs"].values["image_hz"] == "10.0"
    stream = statuses["stream"].values
    assert stream["processing_ms p50"] == "50.5" and stream["processing_ms max"] == "100.0"
    assert stream["audio_level_dbfs"] == "-20.0" and stream["sync_error_ms"] == "0.0"
    assert stream["stage model_ms"] == "12.0" and stream["results"] == "5"
    assert "9.5 Hz" in statuses["stream"].message
    assert "audio_encoder_hz" not in stream


def test_the_rate_of_an_audio_encoder_of_its_own_is_shown() -> None:
    shown = by_name(page().write(running(stats=replace(stats(), hearing_rate=5.0))))
    values = shown["stream"].values
    assert (values["output_hz"], values["audio_encoder_hz"]) == ("9.5", "5.0")


def test_before_the_first_frame_figures_are_unknown() -> None:
    unknown = running(stats=replace(stats(), last=None))
    values = by_name(page().write(unknown))["stream"].values
    assert values["audio_level_dbfs"] == "unknown"
    assert by_name(page().write(StreamState()))["model"].level == OK


def test_trouble_is_named_while_it_lasts() -> None:
    report = page()
    unheard = running(problems={"/image": "not heard"})
    assert by_name(report.write(unheard))["inputs"].level == ERROR
    refused = running(malformed={"image_step": 1}, messages={"image_step": "step 5 is wrong"})
    status = by_name(report.write(refused))["inputs"]
    assert status.level == WARN and status.message == "step 5 is wrong"
    # The same count a second later is history.
    assert by_name(report.write(refused))["inputs"].level == OK
    failing = running(counters={"worker_errors": 1}, last_error="RuntimeError: no memory")
    status = by_name(report.write(failing))["model"]
    assert status.level == ERROR and "no memory" in status.message
    assert by_name(report.write(failing))["model"].level == OK
    late = running(counters={"frames_deadline": 3})
    assert by_name(report.write(late))["stream"].level == WARN


def test_what_does_not_come_is_missed() -> None:
    silent = by_name(page().write(running(stats=stats(audio_rate=0.0))))["inputs"]
    assert silent.level == WARN and "no sound" in silent.message
    blind = by_name(page().write(running(stats=stats(frame_rate=0.0))))["inputs"]
    assert blind.level == WARN and "no images" in blind.message
    disabled = by_name(page().write(running(stats=stats(frame_rate=0.0), enabled=False)))
    assert disabled["inputs"].level == OK and "disabled" in disabled["model"].message


def test_a_model_that_could_not_be_loaded_is_an_error() -> None:
    state = StreamState(failure="no such file: model.safetensors")
    status = by_name(page().write(state))["model"]
    assert status.level == ERROR and "model.safetensors" in status.message


def test_gpu_memory_never_loads_torch() -> None:
    assert gpu_memory()["cuda"]
