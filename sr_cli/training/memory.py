"""Whether a batch fits, before the first step is tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sr_cli.engine.device import free_memory
from sr_cli.errors import RefusedError
from sr_cli.training.run import Run


def step_bytes(run: Run) -> int:
    """Memory for a step with the recipe's batch: what one crop keeps for its gradients, times
    the batch, and weights, gradients, averages and the optimiser's moments.
    """
    recipe = run.recipe
    kept: dict[int, int] = {}
    own = {p.untyped_storage().data_ptr() for p in run.model.parameters()}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def give(tensor: Tensor) -> Tensor:
        return tensor

    shape = (1, run.model.channels, recipe.lr_patch, recipe.lr_patch)
    crop = torch.zeros(shape, device=run.device)
    was_training = run.model.training
    run.model.eval()
    hooks: Any = torch.autograd.graph.saved_tensors_hooks(note, give)
    with hooks, torch.autocast(run.device.type, run.half, enabled=run.half is not None):
        run.model.scale = max(recipe.scales)
        sr = run.model(crop)
    run.model.train(was_training)
    for pointer in own & set(kept):
        del kept[pointer]
    weights = sum(p.numel() * p.element_size() for p in run.model.parameters())
    # Gradients of activations live beside them, but never all at once.
    share = recipe.batch / run.group.world
    return int(1.5 * share * (sum(kept.values()) + sr.numel() * 4)) + 5 * weights


def check_batch_fits(run: Run, warn: Callable[[str], None]) -> None:
    """Raises RefusedError where a CUDA device has no room; on a CPU it is said."""
    needed, free = step_bytes(run), free_memory(run.device)
    if needed <= free:
        return
    fitting = max(1, int(run.recipe.batch * free / needed * 0.9))
    said = (
        f"a batch of {run.recipe.batch} needs about {needed >> 20} MiB, {free >> 20} MiB are free: "
        f"batch={fitting} would fit"
    )
    if run.device.type == "cuda":
        raise RefusedError(said, f"--set batch={fitting}, or a smaller lr_patch")
    warn(said)
