"""Grouping: from a plan to jobs for each network, before anything is upscaled."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from sr_cli.engine.pipeline import network_scale
from sr_cli.engine.size import MAX_FACTOR, Size
from sr_cli.errors import Note, SrError
from sr_cli.registry.faithful import FAITHFUL, is_faithful
from sr_cli.registry.ref import BicubicRef, ModelRef, parse_model
from sr_cli.upscale.archive import page_contents
from sr_cli.upscale.automatic import choose_model
from sr_cli.upscale.existing import is_same_file, output_exists
from sr_cli.upscale.inputs import STDIO
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.plan import DEFAULT_SCALE, Plan, fetch, join_names
from sr_cli.upscale.remote import fetched
from sr_cli.upscale.request import OnEvent, Replacing, UpscaleOptions


@dataclass(frozen=True)
class Group:
    """Jobs for the same pipeline, as plain data that can be sent to another process.

    Attributes:
        jobs: The images.
        refs: The models; several are averaged.
        model: Their names, joined by `+`.
        factor: The factor for which the scale of the models is chosen.
        size: The size of each result.
        options: All other options.
        by_default: Whether no model was named.
    """

    jobs: tuple[Job, ...]
    refs: tuple[ModelRef, ...]
    model: str
    factor: float
    size: Size
    options: UpscaleOptions
    by_default: bool = False

    def notes_on_measured(self) -> list[Note]:
        """What is to be known about the models of a measured image."""
        if self.by_default:
            return [Note("faithful-model", {"model": self.model})]
        if not all(is_faithful(ref) for ref in self.refs):
            return [Note("may-invent", {"model": self.model})]
        return []


def group_jobs(plan: Plan, on_event: OnEvent) -> list[Group]:
    """Group jobs by network, and download missing weights if the options allow it.

    The network of an image depends only on its own factor, on whether it is measured where no
    model was named and, with `-m auto`, on its own statistics, not on the rest of the batch. Jobs
    with nothing to compute come first and need no network.

    Args:
        plan: From `plan_files`.
        on_event: Called with downloads and with inputs that will be overwritten.

    Raises:
        RefusedError: `licence-not-accepted`.
        SrError: What reading and downloading checkpoints raises.
    """
    o = plan.options
    for job in plan.jobs:
        if o.overwrite and job.source != STDIO and is_same_file(job.source, job.target):
            on_event(Replacing(job.source))
    make = partial(Group, size=plan.size, options=o, by_default=plan.by_default)
    idle: list[Job] = []
    refs_of: dict[str, tuple[ModelRef, ...]] = {}
    waiting: dict[tuple[float, str], list[Job]] = {}
    for job in plan.jobs:
        if output_exists(job, o):
            idle.append(job)
            continue
        refs, noted = _models_for(job, plan)
        model = join_names(refs)
        refs_of[model] = refs
        factor = _network_factor(job, plan.size, o.max_pixels)
        waiting.setdefault((factor, model), []).append(noted)
    if o.download:
        for factor, model in waiting:
            fetch([d for ref in refs_of[model] for d in ref.missing(factor)], on_event)
    by_scale: dict[tuple[int | None, str], list[Job]] = {}
    for (factor, model), jobs in waiting.items():
        by_scale.setdefault((network_scale(refs_of[model], factor), model), []).extend(jobs)
    groups = [make(tuple(idle), (BicubicRef(),), plan.model, factor=1.0)] if idle else []
    for (scale, model), jobs in by_scale.items():
        factor = scale or plan.size.factor or DEFAULT_SCALE
        groups.append(make(tuple(jobs), refs_of[model], model, factor=factor))
    return groups


def _models_for(job: Job, plan: Plan) -> tuple[tuple[ModelRef, ...], Job]:
    """The models for an image, and its job with what is said about the choice."""
    if plan.by_default and _is_measured(job):
        return (parse_model(FAITHFUL),), job
    if not plan.chooses:
        return plan.refs, job
    chosen, note = choose_model(job, plan.options, plan.refs[0])
    return (chosen,), replace(job, notes=(*job.notes, note))


def _is_measured(job: Job) -> bool:
    """Whether the header of an image says that it is measured; that of stdin cannot be asked."""
    from sr_cli.imaging.decode import holds_measurements

    if job.source == STDIO or job.is_archive or job.is_clip:
        return False
    return holds_measurements(job.source)


def _network_factor(job: Job, size: Size, max_pixels: int) -> float:
    """The factor for which the network is chosen; for varying factors, the next integer.

    That of an archive is the largest one of its pages.
    """
    factor = size.factor
    if factor is None or size.max_side is not None:
        factors = [size.factor_for(*found) for found in _sizes(job, max_pixels) if found]
        factor = math.ceil(max(factors, default=factor or DEFAULT_SCALE))
    return min(MAX_FACTOR, factor)


def _sizes(job: Job, max_pixels: int) -> Iterator[tuple[int, int] | None]:
    """The sizes of the image, clip or pages, as far as their headers can be read."""
    from sr_cli.imaging.decode import read_size

    if job.is_archive:
        with suppress(SrError, OSError):
            for content in page_contents(job.source, max_pixels):
                yield read_size(content)
    elif job.images:
        yield read_size(job.images[0])
    elif job.is_clip:
        from sr_cli.video.probe import read_clip_size

        yield read_clip_size(job.source)
    elif job.source != STDIO:
        with fetched(job.source) as source:
            yield read_size(source)
