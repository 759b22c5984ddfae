"""Planning: from a request to jobs, before any image is decoded."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sr_cli.engine.pipeline import check_chains
from sr_cli.engine.size import Size
from sr_cli.errors import RefusedError, SrError
from sr_cli.registry.downloads import fetch_download
from sr_cli.registry.ref import AddressRef, Download, ModelRef, parse_model
from sr_cli.registry.strength import with_strength
from sr_cli.store.pins import pinned
from sr_cli.upscale.adaptation import check_adaptable
from sr_cli.upscale.inputs import STDIO, Inputs, Search, find_inputs
from sr_cli.upscale.outputs import Job, Naming, plan_jobs, plan_sequence_job
from sr_cli.upscale.remote import Mirror, address_of, mirror, name_addresses
from sr_cli.upscale.request import (
    AUTO,
    Downloaded,
    DownloadProgress,
    LeftOut,
    OnEvent,
    UpscaleOptions,
    UpscaleRequest,
)

DEFAULT_SCALE = 4.0


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
        return AUTO if self.chooses else join_names(self.refs)

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
    jobs, found = _jobs_for(request, found, label, several=several)
    _check_jobs(jobs, options)
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


def _jobs_for(
    request: UpscaleRequest, found: Inputs, label: str, *, several: bool
) -> tuple[list[Job], Inputs]:
    """The jobs for the inputs that were found, and the inputs without what belongs to others.

    Images that become a clip are one job.
    """
    options = request.options
    several = several or len(request.inputs) > 1 or len(found.files) > 1
    first = next(iter(request.inputs), "")
    sequence = plan_sequence_job(found.files, first, request.output or "")
    if sequence is not None:
        timed = options.clip.fps is not None
        return [sequence], found if timed else _without_timestamps(found, sequence)
    if options.clip.fps is not None:
        raise RefusedError("fps-without-images")
    naming = Naming(
        request.output,
        label,
        options.suffix,
        options.format,
        preview=options.clip.preview is not None,
        # One that was found by a pattern is one of several that happen not to be there.
        as_images=not several and os.path.isfile(first) and options.clip.of_clip_alone is None,
    )
    several = several or any(os.path.isdir(name) for name in request.inputs)
    return plan_jobs(found.files, naming, several=several, compare=options.compare), found


def _check_jobs(jobs: Sequence[Job], options: UpscaleOptions) -> None:
    """Check that the options go together with what the jobs read and write.

    Raises:
        RefusedError: `conflicting-options`.
    """
    of_clip = options.clip.of_clip_alone
    if of_clip is not None and any(job.into_folder for job in jobs):
        raise RefusedError("conflicting-options", of_clip, other="images of a clip")
    if options.compare and any(job.target == STDIO for job in jobs):
        raise RefusedError("conflicting-options", "compare", other="an output on stdout")
    adapts = options.adapt is not None
    for name, asked in {"compare": options.compare, "adapt": adapts}.items():
        if asked and any(job.is_archive for job in jobs):
            raise RefusedError("conflicting-options", name, other="an archive")
    checks = {"verify": options.verify, "consistent": options.engine.consistent, "adapt": adapts}
    for name, asked in checks.items():
        if asked and any(job.is_clip for job in jobs):
            raise RefusedError("conflicting-options", name, other="a clip")


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


def join_names(refs: Sequence[ModelRef]) -> str:
    """The names of models, joined by `+`."""
    return "+".join(ref.name for ref in refs)


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
