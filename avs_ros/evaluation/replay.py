"""Deterministic replay of a bag: every frame with a truth, no clock, the same numbers twice.

Many bags at once: in this process, in several on this machine, or on a Ray cluster.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from typing import TypeVar

from avs_ros.errors import AvsError, ParameterError, optional
from avs_ros.evaluation.frame_scores import ScoredFrame
from avs_ros.evaluation.label_sets import LabelSets
from avs_ros.evaluation.score_sheet import ScoreSheet
from avs_ros.evaluation.truth import Truth, read_truth
from avs_ros.evaluation.worst import WorstFrame, WorstFrames
from avs_ros.inference.segmenter import Segmenter
from avs_ros.media.bag import BagOptions, BagSource
from avs_ros.media.source import Frame
from avs_ros.segmentation import Segmentation
from avs_ros.streaming.inputs import Pair
from avs_ros.streaming.pipeline import Pipeline

KEPT_WORST = 10


@dataclass
class ReplayOptions:
    """``truth``: topic of the true masks or boxes ("" finds it); ``every_frame``: also run frames
    without a truth (slower; needed where the model's memory matters at camera rate); ``names``:
    which labels are right.
    """

    bag: BagOptions = field(default_factory=BagOptions)
    truth: str = ""
    every_frame: bool = True
    names: LabelSets | None = None


class Replay:
    """Scores bags one after the other on one segmenter; keeps images of the worst frames."""

    def __init__(
        self, segmenter: Segmenter, options: ReplayOptions | None = None, batch_frames: int = 5
    ) -> None:
        """``batch_frames``: see :class:`ScoreSheet`."""
        self.segmenter = segmenter
        self.options = options or ReplayOptions()
        self.sheet = ScoreSheet(batch_frames, self.options.names)
        self.worst = WorstFrames(KEPT_WORST)

    def run(self, path: Path, name: str = "") -> int:
        """Score one bag, called ``name`` ("": as its file); returns the count of scored frames."""
        name = name or path.stem
        truths = read_truth(path, self.options.truth)
        source = BagSource(path, self.options.bag)
        self.sheet.begin(name)
        scored = set()
        with closing(source):
            wanted = (
                event for event in source.events()
                if self.options.every_frame or not isinstance(event, Frame)
                or event.stamp_ns in truths
            )  # fmt: skip
            for answer, pair in Pipeline(self.segmenter).run(wanted):
                if answer.stamp_ns in truths:
                    self._score(answer, pair, truths[answer.stamp_ns], name)
                    scored.add(answer.stamp_ns)
        for stamp_ns in sorted(set(truths) - scored):
            truth = truths[stamp_ns]
            self.sheet.add(ScoredFrame(
                stamp_ns, None, truth.mask, true_labels=truth.labels, true_boxes=truth.boxes,
                shape=(source.info.height, source.info.width),
            ))  # fmt: skip
        return len(scored)

    def _score(self, answer: Segmentation, pair: Pair, truth: Truth, name: str) -> None:
        likeness = self.sheet.add(ScoredFrame(
            answer.stamp_ns, answer.mask(), truth.mask,
            probability=answer.probability(),
            labels=tuple(dict.fromkeys(one.label for one in answer.instances)),
            true_labels=truth.labels,
            boxes=[one.box for one in answer.instances],
            point=answer.point,
            sync_error_ms=pair.sync_error_ms,
            true_boxes=truth.boxes,
            heard=answer.audio_label,
        ))  # fmt: skip
        true = truth.shown(pair.image.shape)
        description = (
            f"{name}: IoU {likeness:.2f}, marked {answer.label or 'nothing'}, true "
            f"{', '.join(truth.labels) or ('something' if true.any() else 'nothing')}, "
            f"{answer.level_dbfs:.0f} dB"
        )
        self.worst.keep(1.0 - likeness, description, pair.image, answer.mask(), true)


J = TypeVar("J")
R = TypeVar("R")


@dataclass(frozen=True)
class Job:
    """One bag on one model: everything that another process or machine needs to know.

    ``load``: see :func:`open_segmenter`.
    """

    path: str
    model: str
    engine: str
    device: str
    options: ReplayOptions
    batch_frames: int
    threads: int = 1
    name: str = ""
    load: Callable[..., Segmenter] | None = None


@dataclass
class Done:
    """A bag's sheet and its worst frames; ``engine``: what the model really ran on."""

    sheet: ScoreSheet
    worst: list[WorstFrame]
    engine: str = ""


def use_threads(threads: int) -> None:
    """Compute with ``threads`` threads from here on.

    Sums depend on how they are shared out in their last digits: only the same number of threads
    gives the same scores to the last digit.
    """
    import torch

    torch.set_num_threads(threads)


def open_segmenter(
    model: str, engine: str, device: str, threads: int = 1,
    load: Callable[..., Segmenter] | None = None,
) -> Segmenter:
    """The segmenter ``model``, to compute with ``threads`` threads; the caller closes it.

    ``load``: makes it out of ``model``, ``engine`` and ``device``, and then threads are its own
    affair (None: ``avs_ros.inference.create_segmenter``).
    """
    if load is None:
        from avs_ros.inference import create_segmenter

        use_threads(threads)
        load = create_segmenter
    return load(model=model, engine=engine, device=device)


def run_job(job: Job) -> Done:
    """Score one bag; the segmenter is made anew, so bags cannot influence each other."""
    chosen = (job.model, job.engine, job.device, job.threads, job.load)
    with closing(open_segmenter(*chosen)) as segmenter:
        replay = Replay(segmenter, job.options, job.batch_frames)
        replay.run(Path(job.path), job.name)
        return Done(replay.sheet, replay.worst.frames, segmenter.engine)


def spread(
    work: Callable[[J], R], jobs: Sequence[J], workers: int = 1, ray_address: str = ""
) -> Iterator[R]:
    """Results in the order of ``jobs``, whatever order they are computed in.

    ``work``: a function of a module, so that other processes can find it.  ``workers``: processes
    on this machine; ``ray_address``: an existing Ray cluster instead, whose machines must have
    this package and see the same files.  Raises MissingDependencyError without Ray,
    ParameterError when no cluster answers, and what ``work`` raises.
    """
    if ray_address:
        yield from _on_ray(work, jobs, ray_address)
    elif workers <= 1:
        yield from map(work, jobs)
    else:
        with _pool(min(workers, len(jobs))) as pool:
            yield from pool.imap(work, jobs)


def _pool(workers: int) -> Pool:
    """Processes that leave Ctrl-C to this one, which ends them."""
    main = threading.current_thread() is threading.main_thread()
    # What is ignored here stays so in a child, from its first moment.
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    try:
        # A forked child must not inherit torch's threads: spawn.
        return get_context("spawn").Pool(workers)
    finally:
        if main:
            signal.signal(signal.SIGINT, previous)


def _on_ray(work: Callable[[J], R], jobs: Sequence[J], address: str) -> Iterator[R]:
    ray = optional("ray", "Evaluation on a cluster")
    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
    except (ConnectionError, ValueError) as error:
        raise ParameterError(
            f"no Ray cluster at {address} ({str(error).splitlines()[0]}); start one with "
            "`ray start --head`, or leave --ray away"
        ) from error
    try:
        remote = ray.remote(_kept)
        for reference in [remote.remote(work, job) for job in jobs]:
            answer = ray.get(reference)
            if isinstance(answer, AvsError):
                raise answer
            yield answer
    finally:
        ray.shutdown()


def _kept(work: Callable[[J], R], job: J) -> R | AvsError:
    """The result or the error: Ray would wrap an error and lose its one message."""
    try:
        return work(job)
    except AvsError as error:
        return error
