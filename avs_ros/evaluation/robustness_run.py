"""The robustness suite over many recordings and models, in one process or several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from avs_ros.evaluation.replay import spread, use_threads
from avs_ros.evaluation.robustness import (
    ConditionScores,
    FrameScore,
    RobustnessSuite,
    clean_condition,
)
from avs_ros.evaluation.robustness_conditions import (
    CLEAN,
    Condition,
    RobustnessBag,
    another_class,
    choose_conditions,
)
from avs_ros.inference.segmenter import Segmenter
from avs_ros.media.bag import BagOptions

Load = Callable[..., Segmenter]


@dataclass(frozen=True)
class SuiteJob:
    """One recording on one model, under the conditions of one axis.

    ``other``: a recording of another class, its truth left out; ``seed``: the recording's number;
    ``load``: makes the segmenter out of ``model``, ``engine`` and ``device``.
    """

    axis: str
    own: RobustnessBag
    other: RobustnessBag | None
    seed: int
    model: str
    engine: str
    device: str
    threads: int
    bag: BagOptions
    load: Load | None = None


@dataclass(frozen=True)
class SuiteDone:
    """``scores``: condition -> its frames, None if it was left out; ``engine`` it ran on."""

    job: SuiteJob
    engine: str
    scores: dict[str, list[FrameScore] | None]


# The last model of this process: loading one takes longer than playing a short recording.
_loaded: dict[tuple[str, str, str, int], Segmenter] = {}


def release() -> None:
    """Free the model that this process has loaded."""
    while _loaded:
        _loaded.popitem()[1].close()


def _segmenter(job: SuiteJob) -> Segmenter:
    key = (job.model, job.engine, job.device, job.threads)
    if key not in _loaded:
        release()
        load = job.load
        if load is None:
            from avs_ros.inference import create_segmenter

            use_threads(job.threads)
            load = create_segmenter
        _loaded[key] = load(model=job.model, engine=job.engine, device=job.device)
    return _loaded[key]


def _conditions(axis: str) -> list[Condition]:
    return [clean_condition()] if axis == CLEAN else choose_conditions([axis])


def run_suite_job(job: SuiteJob) -> SuiteDone:
    """Play one recording under the conditions of one axis."""
    segmenter, conditions = _segmenter(job), _conditions(job.axis)
    scores = RobustnessSuite(segmenter, job.bag).run(job.own, job.other, job.seed, conditions)
    names = [condition.name for condition in conditions]
    # The truth need not travel back.
    light = replace(job, own=replace(job.own, truths={}), other=None, load=None)
    return SuiteDone(light, segmenter.engine, dict(zip(names, scores, strict=True)))


def jobs_of(
    recordings: Sequence[RobustnessBag],
    only: Sequence[str] = (),
    *,
    models: Sequence[str],
    engine: str,
    device: str = "auto",
    threads: int = 1,
    bag: BagOptions | None = None,
    load: Load | None = None,
) -> list[SuiteJob]:
    """Model by model, recording by recording: the clean one, then each of the axes ``only``."""
    axes = [CLEAN, *dict.fromkeys(condition.axis for condition in choose_conditions(only))]
    found = []
    for model in models:
        for seed, own in enumerate(recordings):
            other = another_class(recordings, seed)
            light = None if other is None else replace(other, truths={})
            found += [
                SuiteJob(
                    axis, own, light, seed, model, engine, device, threads,
                    bag or BagOptions(), load,
                )
                for axis in axes
            ]  # fmt: skip
    return found


def run_suite(
    jobs: Sequence[SuiteJob], workers: int = 1, ray_address: str = ""
) -> Iterator[SuiteDone]:
    """Results in the order of ``jobs``; see :func:`avs_ros.evaluation.replay.spread`."""
    return spread(run_suite_job, jobs, workers, ray_address)


def gathered(done: Sequence[SuiteDone], model: str) -> list[ConditionScores]:
    """What each condition came to over all recordings of ``model``, in the table's order."""
    own = [one for one in done if one.job.model == model]
    axes = dict.fromkeys(one.job.axis for one in own)
    sheets = {c.name: ConditionScores(c) for axis in axes for c in _conditions(axis)}
    for one in own:
        for name, scores in one.scores.items():
            if scores is not None:
                sheets[name].frames += scores
                sheets[name].recordings += 1
    return list(sheets.values())
