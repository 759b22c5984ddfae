"""One process, or several started by torchrun that share each batch."""

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
    """This process among `world`; the main one, of rank 0, writes files and reports."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and reports."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """Gradients averaged over all processes; each keeps its own batch statistics."""
        if self.world == 1:
            return network
        known = inspect.signature(DistributedDataParallel).parameters
        name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        options: dict[str, Any] = {name: False}
        return DistributedDataParallel(network, **options)

    def mean(self, value: Tensor) -> Tensor:
        """A scalar's mean over all processes."""
        if self.world == 1:
            return value
        total = value.detach().clone()
        dist.all_reduce(total)
        return total / self.world

    def from_main(self, value: float) -> float:
        """The main process's number, for decisions that all must take alike."""
        if self.world == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        if dist.get_backend() == "nccl":
            shared = shared.cuda()
        dist.broadcast(shared, 0)
        return float(shared)


def is_main_process() -> bool:
    """Whether this process is torchrun's first, or the only one."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def join_group(device: torch.device) -> Iterator[ProcessGroup]:
    """The group that torchrun's environment describes; alone without it.

    Raises:
        RefusedError: `no-gpu-for-process` where there are more processes than graphics cards.
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
        # The main one may still be writing: none leaves before all are done.
        dist.barrier()
    finally:
        dist.destroy_process_group()
