"""Planning: from a request to jobs, grouped by network, before any image is decoded."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sr_cli.engine.pipeline import check_chains, network_scale
from sr_cli.engine.size import MAX_FACTOR, Size
from sr_cli.errors import Note, RefusedError, SrError
from sr_cli.registry.downloads import fetch_download
from sr_cli.registry.faithful import FAITHFUL, is_faithful
from sr_cli.registry.ref import AddressRef, BicubicRef, Download, ModelRef, parse_model
from sr_cli.registry.strength import with_strength
from sr_cli.store.pins import pinned
from sr_cli.upscale.adaptation import check_adaptable
from sr_cli.upscale.archive import is_archive, is_whole, page_contents
from sr_cli.upscale.automatic import choose_model
from sr_cli.upscale.inputs import STDIO, Inputs, Search, find_inputs
from sr_cli.upscale.outputs import Job, Naming, plan_jobs, plan_sequence_job
from sr_cli.upscale.remote import Mirror, address_of, fetched, mirror, name_addresses
from sr_cli.upscale.request import (
    AUTO,
    Downloaded,
    DownloadProgress,
    LeftOut,
    OnEvent,
    Replacing,
    UpscaleOptions,
    UpscaleRequest,
)
from sr_cli.video.containers import container_of_name

DEFAULT_SCALE = 4.0


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


@dataclass(frozen=True)
class Plan:
    """The plan for a request.

    Attributes:
        jobs: A job for each image.
        refs: The models.
        size: The size of each result.
        options: Of the request.
        earlier_results: Inputs that are results of earlier runs, which are skipped.
        problems: Inputs that were not found, with the error.
        left_out: What folders and patterns hold that is not upscaled.
        chooses: Whether each image's model is chosen from its statistics; `refs` are the general
            model then, which has the same scales.
        by_default: Whether no model was named.
        mirror: Holds the names of stores as long as the plan is there; None without any.
    """

    jobs: tuple[Job, ...]
    refs: tuple[ModelRef, ...]
    size: Size
    options: UpscaleOptions
    earlier_results: tuple[Path, ...]
    problems: tuple[tuple[str, SrError], ...]
    left_out: LeftOut
    by_default: bool = False
    mirror: Mirror | None = None
    chooses: bool = False

    @property
    def model(self) -> str:
        """The names of the models, joined by `+`."""
        return AUTO if self.chooses else _names(self.refs)

    def close(self) -> None:
        """Forget the names of stores."""
        if self.mirror is not None:
            self.mirror.close()


def plan_files(
    request: UpscaleRequest,
    on_event: OnEvent,
    *,
    refs: tuple[ModelRef, ...] = (),
    several: bool = False,
) -> Plan:
    """Find the inputs, name the outputs, and determine model and factor.

    Checkpoints at addresses are downloaded, because they determine the factor.

    Args:
        request: What to do.
        on_event: Called with the progress of downloads.
        refs: The models of the request, from an earlier plan; empty if there was none.
        several: Whether there are results of other requests, so that an output must be a folder.

    Raises:
        RefusedError: For a request that cannot work, before any image is opened.
        SrError: What downloading a checkpoint and listing a store raise.
    """
    request.check()
    request, kept = mirror(request)
    try:
        refs = refs or _parse_models(request, on_event)
        return replace(_plan(request, refs, several=several), mirror=kept)
    except SrError as error:
        if kept is not None:
            kept.close()
        raise name_addresses(error)  # noqa: B904 - it is the same error


def _parse_models(request: UpscaleRequest, on_event: OnEvent) -> tuple[ModelRef, ...]:
    """The models of a request; checkpoints at addresses are downloaded."""
    chooses = AUTO in request.models
    if chooses and len(request.models) > 1:
        raise RefusedError("conflicting-options", f"-m {AUTO}", other="another model")
    named_models = () if chooses else request.models
    refs = tuple(
        with_strength(parse_model(name), request.options.strength)
        for name in (named_models or (None,))
    )
    for ref in refs:
        addresses = [part for part in ref.steps if isinstance(part, AddressRef)]
        fetch([d for part in addresses for d in part.missing(1)], on_event)
    check_chains(refs)
    if request.options.adapt is not None:
        check_adaptable(refs)
    return refs


def _plan(request: UpscaleRequest, refs: tuple[ModelRef, ...], *, several: bool) -> Plan:
    options = request.options
    chooses = AUTO in request.models
    factor = _factor(request, refs)
    size = request.bounds or Size(factor, max_side=options.max_side)
    label = _label(factor, options)
    named = request.output not in (None, "-")
    output = Path(request.output) if named and request.output else None
    search = Search(options.recursive, output, options.suffix or label, size)
    found = find_inputs(request.inputs, search)
    several = several or len(request.inputs) > 1 or len(found.files) > 1
    first = next(iter(request.inputs), "")
    sequence = plan_sequence_job(found.files, first, request.output or "")
    if options.clip.fps is not None and sequence is None:
        raise RefusedError("fps-without-images")
    if sequence is not None:
        jobs = [sequence]
        if options.clip.fps is None:
            found = _without_timestamps(found, sequence)
    else:
        jobs = plan_jobs(
            found.files,
            Naming(
                request.output,
                label,
                options.suffix,
                options.format,
                preview=options.clip.preview is not None,
                # One that was found by a pattern is one of several that happen not to be there.
                as_images=not several
                and os.path.isfile(first)
                and options.clip.of_clip_alone is None,
            ),
            several=several or any(os.path.isdir(name) for name in request.inputs),
            compare=options.compare,
        )
    of_clip = options.clip.of_clip_alone
    if of_clip is not None and any(job.into_folder for job in jobs):
        raise RefusedError("conflicting-options", of_clip, other="images of a clip")
    if options.compare and any(job.target == STDIO for job in jobs):
        raise RefusedError("conflicting-options", "compare", other="an output on stdout")
    if options.compare and any(job.is_archive for job in jobs):
        raise RefusedError("conflicting-options", "compare", other="an archive")
    adapts = options.adapt is not None
    if adapts and any(job.is_archive for job in jobs):
        raise RefusedError("conflicting-options", "adapt", other="an archive")
    checks = {"verify": options.verify, "consistent": options.engine.consistent, "adapt": adapts}
    for name, asked in checks.items():
        if asked and any(job.is_clip for job in jobs):
            raise RefusedError("conflicting-options", name, other="a clip")
    return Plan(
        tuple(jobs),
        refs,
        size,
        options,
        tuple(found.earlier_results),
        tuple((address_of(name) or name, name_addresses(e)) for name, e in found.problems),
        found.left_out,
        chooses or not request.models,
        chooses=chooses,
    )


def _without_timestamps(found: Inputs, sequence: Job) -> Inputs:
    """The inputs of a clip that is made of images, whose times are in a file beside them.

    Raises:
        RefusedError: `missing-option` if there is no such file.
    """
    from sr_cli.video.sequence import in_order
    from sr_cli.video.timestamps import timestamps_beside

    first = in_order(sequence.images)[0]
    if timestamps_beside(first) is None:
        raise RefusedError("missing-option", "fps", example="--fps 25")
    if found.files[0].named:
        return found
    return replace(found, left_out=replace(found.left_out, other=found.left_out.other - 1))


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
        model = _names(refs)
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


def _names(refs: Sequence[ModelRef]) -> str:
    return "+".join(ref.name for ref in refs)


def output_exists(job: Job, options: UpscaleOptions) -> bool:
    """Whether the output exists and must not be overwritten, so that nothing is computed.

    What is skipped must be readable: a part of a file is not the result of an image. A folder of
    images is no such output: each of them is looked at when its turn comes.
    """
    if job.target == STDIO or options.overwrite or job.into_folder:
        return False
    outputs = job.outputs(compare=options.compare)
    if options.skip_existing:
        return all(is_readable_result(p, options.max_pixels) for p in outputs)
    return any(os.path.exists(p) for p in outputs)


def fetch(downloads: Sequence[Download], on_event: OnEvent) -> None:
    """Download weights.

    Args:
        downloads: What to download.
        on_event: Called with progress.

    Raises:
        RefusedError: `licence-not-accepted`.
        SrError: As `store.get`; `insecure-address` before `on_event` is called.
    """
    for download in downloads:
        if download.accept:
            raise RefusedError("licence-not-accepted", download.name, licence=download.licence)

        download.remote.check_secure()

        def report(done: int, total: int | None, d: Download = download) -> None:
            on_event(DownloadProgress(d.name, d.licence, done, total))

        report(0, download.remote.size)
        fetch_download(download, report)
        known = download.remote.sha256
        sha256 = known or pinned(download.remote.address)
        on_event(Downloaded(download.name, sha256, pinned=known is None))


def _factor(request: UpscaleRequest, refs: Sequence[ModelRef]) -> float:
    """The requested factor, or that of the model or of its id, or 4."""
    if request.scale is not None:
        return request.scale
    if request.bounds is None and len(refs) == 1 and (own := refs[0].native_scale) is not None:
        return float(own)
    ids = {
        found.group(1)
        for name in request.models
        if (found := re.search(r"-x(\d+)(\.safetensors)?$", name))
    }
    return float(ids.pop()) if len(ids) == 1 else DEFAULT_SCALE


def _label(factor: float, options: UpscaleOptions) -> str:
    width, height = options.width, options.height
    if width or height:
        return "_" + (f"w{width}" if width else "") + (f"h{height}" if height else "")
    return f"_x{factor:g}"


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


def is_readable_result(output: Path, max_pixels: int) -> bool:
    """Whether a result is there and no part of one.

    Args:
        output: An image, which is decoded; an archive, whose checksums are compared; or a clip.
        max_pixels: Of an image; larger ones are not decoded.
    """
    if container_of_name(output) is not None and not address_of(output):
        from sr_cli.video.probe import read_clip_size

        return read_clip_size(output) is not None
    from sr_cli.imaging.decode import is_readable, read_size

    if address_of(output):
        # What is in a store is complete.
        return os.path.exists(output)
    if is_archive(output):
        return is_whole(output, max_pixels, lambda page: read_size(page) is not None)
    return is_readable(output, max_pixels)


def is_same_file(a: Path, b: Path) -> bool:
    """Whether both are one file that exists, also through links, so that writing one changes both.

    Hard links are not: writing gives one of the names a new file.
    """
    try:
        names_it_twice = os.path.realpath(a) != os.path.realpath(b)
        return os.path.samefile(a, b) and not (names_it_twice and a.stat().st_nlink > 1)
    except OSError:
        return False
