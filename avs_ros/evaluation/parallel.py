"""Many bags at once: in this process, in several on this machine, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from avs_ros.errors import MissingDependencyError, ParameterError
from avs_ros.evaluation.replay import Replay, ReplayOptions
from avs_ros.evaluation.score_sheet import ScoreSheet
from avs_ros.report.evaluation_report import WorstFrame


@dataclass(frozen=True)
class Job:
    """One bag on one model: everything that another process or machine needs to know."""

    path: str
    model: str
    engine: str
    device: str
    options: ReplayOptions
    batch_frames: int
    threads: int = 0


@dataclass
class Done:
    """A bag's sheet and its worst frames."""

    path: str
    sheet: ScoreSheet
    worst: list[WorstFrame]


def run_job(job: Job) -> Done:
    """Score one bag; the segmenter is made anew, so bags cannot influence each other."""
    from avs_ros.inference import create_segmenter

    if job.threads:
        import torch

        # Several processes share the cores; this one is the job's own.
        torch.set_num_threads(job.threads)
    segmenter = create_segmenter(job.model, job.engine, job.device)
    try:
        replay = Replay(segmenter, job.options, job.batch_frames)
        replay.run(Path(job.path))
        return Done(job.path, replay.sheet, replay.worst())
    finally:
        segmenter.close()


def run_jobs(jobs: Sequence[Job], workers: int = 1, ray_address: str = "") -> Iterator[Done]:
    """Results in the order of ``jobs``, whatever order they are computed in.

    ``workers``: processes on this machine; ``ray_address``: an existing Ray cluster instead, whose
    machines must see the same files.  Raises MissingDependencyError without Ray, ParameterError
    when no cluster answers.
    """
    if ray_address:
        yield from _on_ray(jobs, ray_address)
    elif workers <= 1:
        for job in jobs:
            yield run_job(job)
    else:
        # A forked child must not inherit torch's threads: spawn.
        with get_context("spawn").Pool(workers) as pool:
            yield from pool.imap(run_job, jobs)


def _on_ray(jobs: Sequence[Job], address: str) -> Iterator[Done]:
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError(
            "ray", "Evaluation on a cluster", "pip install 'avs_ros[ray]'"
        ) from error
    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
    except (ConnectionError, ValueError) as error:
        raise ParameterError(
            f"no Ray cluster at {address} ({str(error).splitlines()[0]}); start one with "
            "`ray start --head`, or leave --ray away"
        ) from error
    remote: Any = ray.remote(run_job)
    for reference in [remote.remote(job) for job in jobs]:
        yield ray.get(reference)
