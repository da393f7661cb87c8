"""What the benchmark compares is one and the same function."""

from __future__ import annotations

import os
from dataclasses import asdict

import numpy as np
import pytest
import torch

from avs_ros.benchmarks.forms import AUTHORS, StepOutput, StreamForm, difference, make_form
from avs_ros.benchmarks.measuring import ProcessWatch, listed_mib, peak_mib
from avs_ros.benchmarks.networks import build
from avs_ros.benchmarks.subject import AUDIOS, VISUALS, Subject
from avs_ros.errors import ModelError, ParameterError
from avs_ros.models import audio
from avs_ros.models.c3n.backbone import BACKBONES

SMALL = Subject("pvt_v2_b0", "efficientat_mn04", frames_per_clip=3, image_size=64, channels=16)


def stream_until(form, number):
    for earlier in range(number):
        form.step(earlier)
    return form.step(number)


def test_stream_gives_the_published_forms_newest_mask():
    authors = make_form(AUTHORS, SMALL, "cpu")
    stream = make_form("torch", SMALL, "cpu")
    for number in range(5):  # the window fills, then rolls
        found = stream.step(number)
        expected = authors.step(number)
        # Float32, in standard deviations of untrained logits: processors differ in last bits.
        assert difference(found, expected) < 1e-4, number
        assert found.label == expected.label
    # The past matters: without it the mask is another.
    assert difference(make_form("torch", SMALL, "cpu").step(4), expected) > 1e-3


def test_published_form_keeps_the_graph_of_the_whole_clip():
    """The backward pass for the class-activated weights reaches the parameters too."""
    form = make_form(AUTHORS, SMALL, "cpu")
    graphs = []
    decoder = form._network.decoder
    decoder.register_forward_hook(lambda _, inputs, out: graphs.append(out[0].grad_fn))
    form.step(3)
    assert graphs[0] is not None
    first = form._network.backbone.net.stages[0].blocks[0].mlp.fc1.weight
    assert first.grad is not None and float(first.grad.abs().max()) > 0
    before = first.grad.clone()
    form.step(3)  # emptied, not added up
    assert torch.equal(first.grad, before)


def test_published_form_builds_the_whole_affinity_and_hears_twice():
    form = make_form(AUTHORS, SMALL, "cpu")
    assert all(block.full_affinity for block in form._network.tpavi)
    heard = []
    form._audio_encoder.register_forward_hook(lambda _, inputs, out: heard.append(len(inputs[0])))
    form.step(5)
    assert heard == [3, 3]


def test_a_subject_is_the_same_at_each_call_and_in_plain_values():
    first, second = build(SMALL).network, build(Subject(**asdict(SMALL))).network
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert np.array_equal(one.numpy(), other.numpy())
    with pytest.raises(ModelError, match="multiples of 32"):
        Subject(image_size=100)
    with pytest.raises(ModelError, match="unknown visual backbone 'resnet'"):
        Subject("resnet")


def test_a_subject_knows_the_names_that_networks_have():
    assert set(VISUALS) == set(BACKBONES) and set(AUDIOS) == set(audio.names())


def test_difference_is_in_standard_deviations():
    expected = StepOutput(np.array([[0.0, 4.0]], np.float32), 0)
    assert difference(StepOutput(np.array([[0.0, 5.0]], np.float32), 0), expected) == 0.5
    assert difference(StepOutput(np.array([[0.0, np.nan]], np.float32), 0), expected) == np.inf
    assert difference(StepOutput(np.zeros((1, 3), np.float32), 0), expected) == np.inf


def test_memory_and_processor_time_of_a_process():
    watch = ProcessWatch(os.getpid())
    assert sum(range(2_000_000)) and (usage := watch.usage()).cpu_percent >= 0
    assert 0 < usage.rss_mib <= peak_mib() + 1
    free = listed_mib("meminfo", "MemAvailable")
    assert free is None or free > 0
    assert listed_mib("meminfo", "Nothing") is None and listed_mib("nothing", "VmRSS") is None
    with pytest.raises(ParameterError, match="is not there"):
        ProcessWatch(2**22 + 1)


def test_stream_keeps_a_bounded_past():
    form = make_form("torch", SMALL, "cpu")
    assert isinstance(form, StreamForm)
    for number in range(6):
        form.step(number)
    # C channels per stage give 2C + 1 numbers, for four stages, in float32.
    assert len(form.memory) == 3 and form.state_bytes == 4 * 33 * 4


@pytest.mark.parametrize("name", ["avsc_light", "c3n_light"])
def test_a_bundled_model_streams_on_engines_alike(name):
    pytest.importorskip("onnxruntime")
    subject = Subject(name, image_size=64)
    one, other = (StreamForm(subject, engine).step(0) for engine in ("torch", "onnxruntime"))
    assert one.logits.shape == other.logits.shape == (8, *[20 if name == "avsc_light" else 16] * 2)
    assert difference(other, one) < 1e-3
