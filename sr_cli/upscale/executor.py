"""Executors, which take groups of jobs and yield results as they are written.

`InProcess` overlaps decoding, upscaling and encoding in this process. Groups are plain data, so
that other executors (worker processes, a cluster) could take the same groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from sr_cli.engine.options import EngineOptions
from sr_cli.engine.pipeline import Pipeline, build_pipeline
from sr_cli.engine.size import passes_for
from sr_cli.imaging.provenance import UsedModel
from sr_cli.registry.ref import ModelRef
from sr_cli.system.start import without_collection
from sr_cli.upscale.batch import Batch
from sr_cli.upscale.groups import Group
from sr_cli.upscale.provenance import used_models
from sr_cli.upscale.request import OnEvent, PipelineReady, Result

_PipelineKey = tuple[tuple[ModelRef, ...], float, EngineOptions]


class Executor(Protocol):
    """Anything that upscales the images of a group."""

    def run(self, group: Group, on_event: OnEvent) -> Iterator[Result]:
        """Upscale the images of a group, yielding results in order as they are written.

        An image that fails becomes a result with an error. Errors that affect all images, such as
        a model that cannot be loaded, are raised.
        """
        ...


class InProcess:
    """Upscales images in this process.

    While one image is upscaled, the next is decoded and those before are encoded; large images are
    processed one at a time. An interruption finishes the files that are being written, and
    leaves no partial ones.

    Args:
        keep: How many pipelines stay loaded for later groups.
    """

    def __init__(self, keep: int = 0) -> None:
        self._keep = keep
        self._kept: list[tuple[_PipelineKey, Pipeline, tuple[UsedModel, ...]]] = []

    def run(self, group: Group, on_event: OnEvent) -> Iterator[Result]:
        """As `Executor.run`."""
        pipeline, used = self._load(group, on_event)
        yield from Batch(group, pipeline, used, on_event).run()

    def _load(self, group: Group, on_event: OnEvent) -> tuple[Pipeline, tuple[UsedModel, ...]]:
        """The pipeline of a group and the models in it; described where it was not kept."""
        key = group.refs, group.factor, group.options.engine
        for kept, pipeline, used in self._kept:
            if kept == key:
                return pipeline, used
        if self._keep:
            # Before the next one is loaded: both might not fit into memory.
            del self._kept[: max(0, 1 + len(self._kept) - self._keep)]
        with without_collection():
            # PyTorch is imported here, if it is needed.
            pipeline, used = build_pipeline(*key), used_models(group)
        if ready := describe_pipeline(pipeline, group):
            on_event(ready)
        if self._keep:
            self._kept.append((key, pipeline, used))
        return pipeline, used


def describe_pipeline(pipeline: Pipeline, group: Group) -> PipelineReady | None:
    """Describe how the images are computed; None for bicubic."""
    if not pipeline.upscalers:
        return None
    from sr_cli.engine.device import DTYPE_NAMES

    first, last = pipeline.upscalers[0], pipeline.upscalers[-1]
    factor = None if group.size.max_side else group.size.factor
    return PipelineReady(
        factor,
        last.scale,
        1 if factor is None or last.scale == 1 else passes_for(factor, last.scale, once=last.once),
        first.device_name,
        DTYPE_NAMES[first.dtype],
        first.tile,
        first.halo,
        tuple(note for u in pipeline.upscalers for note in u.notes),
    )
