"""`upscale_listed`: files whose names come one after the other, with what was loaded kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

from sr_cli.errors import RefusedError, SrError
from sr_cli.registry.ref import ModelRef
from sr_cli.upscale.claims import Claims
from sr_cli.upscale.executor import InProcess
from sr_cli.upscale.groups import group_jobs
from sr_cli.upscale.inputs import as_path
from sr_cli.upscale.plan import Plan, plan_files
from sr_cli.upscale.remote import (
    event_with_addresses,
    is_address,
    name_addresses,
    named,
    with_addresses,
)
from sr_cli.upscale.request import Event, OnEvent, Result, UpscaleRequest

_KEPT_PIPELINES = 4
"""More than one: with a width or a height, the scale of the network depends on the image."""


def upscale_listed(
    names: Iterable[str], request: UpscaleRequest, on_event: OnEvent
) -> Iterator[Result]:
    """Upscale files one at a time, as their names come.

    The next name is asked for after the result of the one before, so that whoever makes the names
    can wait for results.

    Args:
        names: Of images, clips and .cbz archives; no folders, and no patterns.
        request: What to do, without inputs. The output is a folder.
        on_event: Called with progress.

    Returns:
        One result for each name. A file that fails is a result with an error.

    Raises:
        RefusedError: For a request that cannot work, before the first name is asked for.
        SrError: For a model that cannot be downloaded or loaded.
    """
    if request.inputs:
        raise RefusedError("conflicting-options", "stdin-list", other="an input")
    if request.output == "-":
        raise RefusedError("conflicting-options", "stdin-list", other="an output on stdout")
    plan = plan_files(request, on_event, several=True)
    plan.close()

    def notify(event: Event) -> None:
        on_event(event_with_addresses(event))

    return _results(names, request, plan, notify)


def _results(
    names: Iterable[str], request: UpscaleRequest, empty: Plan, on_event: OnEvent
) -> Iterator[Result]:
    """The results; `empty` is the plan of no names, with the models of all."""
    executor, claims = InProcess(_KEPT_PIPELINES), Claims()
    for name in names:
        try:
            plan = _plan_one(name, request, empty.refs, on_event, claims)
        except SrError as error:
            yield Result(named(name), None, "failed", empty.model, error=error.about(name))
            continue
        try:
            for group in group_jobs(plan, on_event):
                for result in executor.run(group, on_event):
                    yield with_addresses(result)
        except SrError as error:
            raise name_addresses(error)  # noqa: B904 - it is the same error
        finally:
            plan.close()


def _plan_one(
    name: str,
    request: UpscaleRequest,
    refs: tuple[ModelRef, ...],
    on_event: OnEvent,
    claims: Claims,
) -> Plan:
    """The plan of one file, whose name is taken literally."""
    if not is_address(name):
        if not os.path.lexists(name):
            raise SrError("path-not-found", name)
        name = str(as_path(name))
    if os.path.isdir(name):
        raise SrError("not-a-regular-file", name)
    plan = plan_files(replace(request, inputs=(name,)), on_event, refs=refs, several=True)
    try:
        for _, problem in plan.problems:
            raise problem
        if len(plan.jobs) != 1:
            # The address of a folder, or a pattern.
            raise SrError("not-a-regular-file", name)
        (job,) = plan.jobs
        claims.read(job.source)
        for path in job.outputs(compare=request.options.compare):
            claims.write(path, job.source)
    except SrError as error:
        plan.close()
        raise name_addresses(error)  # noqa: B904 - it is the same error
    return plan
