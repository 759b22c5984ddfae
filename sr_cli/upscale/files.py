"""`upscale_files`: `sr upscale` from Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from sr_cli.errors import SrError
from sr_cli.upscale.executor import Executor, InProcess
from sr_cli.upscale.groups import Group, group_jobs
from sr_cli.upscale.plan import Plan, plan_files
from sr_cli.upscale.remote import event_with_addresses, name_addresses, named, with_addresses
from sr_cli.upscale.request import Event, OnEvent, Planned, Result, UpscaleOptions, UpscaleRequest

if TYPE_CHECKING:
    from sr_cli.upscale.cluster.options import WorkerOptions


def upscale_files(
    inputs: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    *,
    model: str | Path | Sequence[str | Path] | None = None,
    scale: float | None = None,
    options: UpscaleOptions | None = None,
    workers: WorkerOptions | None = None,
    on_event: OnEvent | None = None,
) -> Iterator[Result]:
    """Upscale image files; existing files are not overwritten unless the options say so.

    A request that cannot work is refused at once, before any image is opened. Images are upscaled
    as you iterate over the results. An image that fails is a result with an error; the others
    continue.

    Args:
        inputs: Files (images and .cbz archives), folders and patterns; with fsspec also addresses
            such as `s3://bucket/folder/`.
        output: A file, or a folder (existing, ending in a slash, or required for several
            results), or the address of one; None writes results next to their inputs as
            `NAME_x4.EXT`.
        model: A network, an id, a checkpoint file, an address, or a chain `a+b`; the results of
            several models are averaged. None takes the general model.
        scale: The factor, above 1, up to 16. None takes the model's own scale, or 4.
        options: All other options.
        workers: Worker processes that upscale the images; None for this process.
        on_event: Called with progress (`sr_cli.upscale.request.Event`).

    Returns:
        A result for each input, as it is written: in order, except with workers.

    Raises:
        RefusedError: For a request that cannot work.
        SrError: For a checkpoint that cannot be downloaded or read.

    Example:
        >>> from sr_cli import UpscaleOptions, upscale_files
        >>> options = UpscaleOptions(format="png")
        >>> for result in upscale_files("photo.jpg", model="espcn", scale=2, options=options):
        ...     print(result.status, result.target, result.output_width, result.output_height)
        done photo_x2.png 64 48
    """
    request = UpscaleRequest(
        inputs=tuple(str(i) for i in _as_sequence(inputs)),
        output=None if output is None else str(output),
        models=tuple(str(m) for m in _as_sequence(model)) if model is not None else (),
        scale=scale,
        options=options or UpscaleOptions(),
    )
    if workers is not None:
        workers.check(request)
    notify = on_event or (lambda _: None)
    return run_plan(plan_files(request, notify), notify, workers)


def run_plan(
    plan: Plan, on_event: OnEvent, workers: WorkerOptions | None = None
) -> Iterator[Result]:
    """Upscale the images of a plan.

    Args:
        plan: From `plan_files`.
        on_event: Called with progress.
        workers: Where to compute; None for this process.

    Returns:
        A result for each input, beginning with skipped results of earlier runs and with inputs
        that were not found.

    Raises:
        RefusedError, SrError: As `group_jobs` and `Executor.run`.
    """

    def notify(event: Event) -> None:
        on_event(event_with_addresses(event))

    return _results(plan, group_jobs(plan, notify), notify, workers)


def _results(
    plan: Plan, groups: list[Group], on_event: OnEvent, workers: WorkerOptions | None
) -> Iterator[Result]:
    """The results, with addresses in place of the paths that stand for them."""
    try:
        for result in _run_groups(plan, groups, on_event, workers):
            yield with_addresses(result)
    except SrError as error:
        raise name_addresses(error)  # noqa: B904 - it is the same error
    finally:
        plan.close()


def _run_groups(
    plan: Plan, groups: list[Group], on_event: OnEvent, workers: WorkerOptions | None
) -> Iterator[Result]:
    if plan.left_out:
        on_event(plan.left_out)
    for path in plan.earlier_results:
        yield Result(path, None, "skipped", plan.model, reason="earlier-result")
    for name, error in plan.problems:
        yield Result(named(name), None, "failed", plan.model, error=error)
    on_event(Planned(len(plan.jobs)))
    with _executor(workers) as executor:
        for group in groups:
            yield from executor.run(group, on_event)


def _executor(workers: WorkerOptions | None) -> AbstractContextManager[Executor]:
    if workers is None:
        return nullcontext(InProcess())
    from sr_cli.upscale.cluster.executor import OnWorkers

    return OnWorkers(workers)


def _as_sequence(names: str | Path | Sequence[str | Path]) -> Sequence[str | Path]:
    return [names] if isinstance(names, str | Path) else names
