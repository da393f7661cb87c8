"""The few things a run on several processes (torchrun) needs; all are no-ops on one process."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def start(device: str = "auto") -> torch.device:
    """Join the group that torchrun announces in the environment; return this process's device."""
    cuda = torch.cuda.is_available() if device == "auto" else device.startswith("cuda")
    if "LOCAL_RANK" in os.environ and not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo")
    if not cuda:
        return torch.device("cpu" if device == "auto" else device)
    local = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(local)
    return local


def finish() -> None:
    """Leave the group."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process, 0 on a single one."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """Count of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this process writes files and reports."""
    return rank() == 0


def barrier() -> None:
    """Wait for the other processes."""
    if dist.is_initialized():
        dist.barrier()


def share(order: NDArray[np.int64], *, pad: bool = True) -> NDArray[np.int64]:
    """Every world-th entry; padded from the start so that all processes do equally many steps."""
    if pad and len(order) % world():
        order = np.concatenate([order, np.resize(order, world() - len(order) % world())])
    return order[rank() :: world()]


def wrap(network: nn.Module, device: torch.device) -> nn.Module:
    """SyncBatchNorm on CUDA and DistributedDataParallel, as the authors train; else unchanged."""
    if world() == 1:
        return network
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return DistributedDataParallel(network, [device.index], find_unused_parameters=True)
    return DistributedDataParallel(network, find_unused_parameters=True)


def mean(values: Sequence[float], device: torch.device) -> float:
    """Mean over all processes' values; 0 when there is none."""
    total = torch.tensor([sum(values), len(values)], dtype=torch.float64)
    if dist.is_initialized():
        total = total.to(device)
        dist.all_reduce(total)
    return float(total[0] / total[1]) if total[1] else 0.0
