"""Process groups: one process, or several under torchrun that share each batch."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sr_cli.errors import RefusedError


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that share a batch, and the rank of this one.

    Attributes:
        rank: The index of this process; 0 is the main one.
        world: The number of processes.
        local_rank: The index of this process on its machine.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and reports."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """Wrap a network to average its gradients; batch statistics stay per process."""
        if self.world == 1:
            return network
        known = inspect.signature(DistributedDataParallel).parameters
        name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        options: dict[str, Any] = {name: False}
        return DistributedDataParallel(network, **options)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a scalar over all processes."""
        if self.world == 1:
            return value
        total = value.detach().clone()
        dist.all_reduce(total)
        return total / self.world

    def from_main(self, value: float) -> float:
        """The value of the main process, for decisions that all processes must share."""
        if self.world == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        if dist.get_backend() == "nccl":
            shared = shared.cuda()
        dist.broadcast(shared, 0)
        return float(shared)


@contextmanager
def join_group(device: torch.device) -> Iterator[ProcessGroup]:
    """Join the group that torchrun's environment describes; one process without torchrun.

    Raises:
        RefusedError: `no-gpu-for-process` if there are more processes than GPUs.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield ProcessGroup()
        return
    group = ProcessGroup(int(os.environ["RANK"]), world, int(os.environ.get("LOCAL_RANK", "0")))
    on_cuda = device.type == "cuda"
    if on_cuda:
        if group.local_rank >= torch.cuda.device_count():
            raise RefusedError("no-gpu-for-process", str(group.rank))
        torch.cuda.set_device(group.local_rank)
    dist.init_process_group("nccl" if on_cuda else "gloo")
    try:
        yield group
        # The main process may still be writing: all leave together.
        dist.barrier()
    finally:
        dist.destroy_process_group()
