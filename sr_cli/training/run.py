"""Setting up a run (network, data, state) and running its loop."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sr_cli.engine.device import free_memory, pick_device, prepare_cpu
from sr_cli.errors import Note, RefusedError
from sr_cli.registry.checkpoint import Header
from sr_cli.training.crop_processes import default_workers, prefetch_by_processes
from sr_cli.training.crops import Batch, Crops, prefetch
from sr_cli.training.data import DataReader, absolute_val, load_data
from sr_cli.training.distributed import ProcessGroup, join_group
from sr_cli.training.events import Noted, OnEvent
from sr_cli.training.loop import Limit, Loop
from sr_cli.training.monitoring import TensorBoard
from sr_cli.training.network import absolute_model, bytes_per_step
from sr_cli.training.recipe_files import as_table
from sr_cli.training.request import TrainingRequest, TrainingResult
from sr_cli.training.run_folder import RunFolder, RunSpec
from sr_cli.training.trainer import Trainer
from sr_cli.training.validation import FIGURES

_FOREVER = 1 << 40


def run_training(
    spec: RunSpec, folder: RunFolder, request: TrainingRequest, on_event: OnEvent
) -> TrainingResult:
    """Train a run, from the start or its last state, until its end or a signal.

    Args:
        spec: The definition of the run.
        folder: Its files.
        request: The request that started or resumed it.
        on_event: Called with every event.

    Raises:
        RefusedError, SrError: As `train`.
    """
    device = pick_device(request.device)
    prepare_cpu(spec.threads)
    if device.type == "cuda":
        # All crops have the same size; fp32 parts do not need full precision.
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    with ExitStack() as stack:
        group = stack.enter_context(join_group(device))
        if spec.recipe.batch % group.world:
            batch = spec.recipe.batch
            raise RefusedError("batch-not-divisible", batch=batch, processes=group.world)
        if group.is_main:
            stack.enter_context(folder.locked())
        board = TensorBoard(
            folder.path if request.tensorboard and group.is_main else None,
            FIGURES[spec.recipe.validate].name,
        )
        trainer = _make_trainer(spec, folder, request, device, group)
        reader = DataReader(spec.recipe, request.memory, folder.path, on_event)
        pairs, examples = load_data(reader, spec.data, spec.val)
        ensure_batch_fits(trainer, on_event)
        if request.resume:
            _load_state(trainer, folder, on_event)
        limit = Limit.of(spec, pairs)
        limit.check_not_exceeded(trainer.progress)
        if group.is_main:
            if not request.resume:
                folder.clear()
            folder.write_run(_with_absolute_paths(spec))
        crops = Crops(pairs, spec.recipe, channels=trainer.model.channels)
        crops.precompute_lr()
        loop = Loop(trainer, examples, limit, folder, _header(spec, trainer), board, on_event)
        batches = _batches(crops, trainer, limit, folder, request.workers, on_event)
        return loop.run(batches, save_seconds=request.save_seconds)


def _make_trainer(
    spec: RunSpec,
    folder: RunFolder,
    request: TrainingRequest,
    device: torch.device,
    group: ProcessGroup,
) -> Trainer:
    # A saved state has its own weights.
    init = None if request.resume and folder.has_state() else spec.init
    path = request.init_discriminator
    return Trainer(
        spec.recipe,
        device=device,
        group=group,
        init=init,
        trunk=spec.trunk,
        init_discriminator=None if path is None else Path(path),
    )


_HOPELESS = 8
"""A CPU's estimate is rough; a batch that needs so many times the free memory never fits."""


def ensure_batch_fits(trainer: Trainer, on_event: OnEvent) -> None:
    """Check that the batch fits into memory; on a CPU, report a note if it does not.

    Raises:
        RefusedError: `batch-too-large` on a GPU, or where it needs many times what is free.
    """
    recipe, device = trainer.recipe, trainer.device
    needed = bytes_per_step(trainer.model, recipe, trainer.precision, processes=trainer.group.world)
    free = free_memory(device)
    if needed <= free:
        return
    facts: dict[str, Any] = {
        "batch": recipe.batch,
        "needed_mib": needed >> 20,
        "free_mib": free >> 20,
        "fitting": max(1, int(recipe.batch * free / needed * 0.9)),
    }
    if device.type == "cuda" or needed > _HOPELESS * free:
        raise RefusedError("batch-too-large", **facts)
    on_event(Noted(Note("batch-may-not-fit", facts)))


def _batches(
    crops: Crops,
    trainer: Trainer,
    limit: Limit,
    folder: RunFolder,
    workers: int | None,
    on_event: OnEvent,
) -> Generator[Batch, None, None]:
    """Batches from the current step on, made by threads or processes."""
    group, start, stop = trainer.group, trainer.progress.step, limit.steps or _FOREVER
    if workers is None:
        workers = default_workers(crops, trainer.device)
    if not workers:
        return prefetch(crops, start, stop, rank=group.rank, world=group.world)
    return prefetch_by_processes(
        crops,
        start,
        stop,
        rank=group.rank,
        world=group.world,
        workers=workers,
        device=trainer.device,
        scratch=folder.path / f"{group.rank}-crops.bin",
        on_failure=lambda: on_event(Noted(Note("crop-process-died"))),
    )


def _load_state(trainer: Trainer, folder: RunFolder, on_event: OnEvent) -> None:
    state, note = folder.load_state()
    if note is not None:
        on_event(Noted(note))
    if state is not None:
        trainer.load_state(state)
        if trainer.group.is_main:
            folder.trim_log(trainer.progress.step)


def _header(spec: RunSpec, trainer: Trainer) -> Header:
    recipe = spec.recipe
    return Header(
        recipe.model,
        list(recipe.scales),
        dict(trainer.model.config),
        recipe=as_table(recipe),
        data=", ".join(sorted({Path(p).name for p in spec.data})),
        licence=spec.licence,
    )


def _with_absolute_paths(spec: RunSpec) -> RunSpec:
    """A copy with paths that are valid from any folder, and with the number of threads."""
    return replace(
        spec,
        data=tuple(p.resolve() for p in spec.data),
        val=absolute_val(spec.val),
        init=None if spec.init is None else absolute_model(spec.init),
        trunk=None if spec.trunk is None else spec.trunk.resolve(),
        threads=torch.get_num_threads(),
    )
