"""`benchmark`: measure models on test sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sr_cli.engine.pipeline import Pipeline, build_pipeline
from sr_cli.errors import SrError
from sr_cli.evaluation.costs import PeakMemory, count_multiply_adds, count_parameters
from sr_cli.evaluation.datasets import TestImage, TestSet
from sr_cli.evaluation.measure import Measured, Protocol, measure_set
from sr_cli.evaluation.plan import (
    DEFAULT_SETS,
    BenchmarkModel,
    BenchmarkOptions,
    BenchmarkPlan,
    ImageProgress,
    OnEvent,
    Pairs,
    plan_benchmark,
    saved_file,
)
from sr_cli.evaluation.report import Comparison, Report, Row
from sr_cli.evaluation.sheet import write_png
from sr_cli.registry.ref import BicubicRef


def benchmark(
    sets: Sequence[str | Path | Pairs] = DEFAULT_SETS,
    *,
    models: str | Path | Sequence[str | Path] | None = None,
    scale: int = 4,
    options: BenchmarkOptions | None = None,
    on_event: OnEvent | None = None,
) -> Report:
    """Measure models on test sets by the papers' protocol, next to the published figures.

    An image or a model that cannot be measured does not stop the others: see
    `Report.image_errors` and `Report.model_errors`.

    Args:
        sets: Names of test sets, folders of originals, or `Pairs`.
        models: Networks, ids or files; None for all with weights. Bicubic is always included.
        scale: The scale to measure: 2, 3 or 4.
        options: How to measure, and what to keep.
        on_event: Called with progress.

    Raises:
        RefusedError: Before anything is measured, for unknown names, options that do not fit
            together and devices that are not available.
        SrError: For sets that cannot be downloaded or read.

    Example:
        >>> from sr_cli import benchmark
        >>> report = benchmark(["photos/"], models=["espcn"], scale=2)
        >>> {row.model: row.sets["photos"].mean("psnr_y") for row in report.rows}
        {...}
    """
    plan = plan_benchmark(
        sets, models=models, scale=scale, options=options or BenchmarkOptions(), on_event=on_event
    )
    return run_benchmark(plan, on_event)


def run_benchmark(plan: BenchmarkPlan, on_event: OnEvent | None = None) -> Report:
    """Run a planned benchmark.

    Args:
        plan: From `plan_benchmark`.
        on_event: Called with progress.

    Raises:
        RefusedError: For errors that affect all models, such as a missing device.
    """
    _check_engine(plan)
    collector = _Collector(plan, on_event)
    rows = []
    for degradation in plan.options.degradations:
        found = [_measure(plan, model, degradation, collector) for model in plan.models]
        rows += sorted(found, key=lambda row: row.quality)
    return Report(plan.scale, rows, list(collector.comparisons.values()))


def _check_engine(plan: BenchmarkPlan) -> None:
    options = plan.options.engine
    # Bicubic alone on the CPU needs no torch.
    if options.device in ("auto", "cpu") and all(
        isinstance(m.ref, BicubicRef) for m in plan.models
    ):
        return
    from sr_cli.engine.device import pick_host, pick_precision

    pick_precision(pick_host(options.device), options.precision)


def _measure(
    plan: BenchmarkPlan, model: BenchmarkModel, degradation: str, collector: _Collector
) -> Row:
    row = Row(model.name, model.family, plan.scale, degradation)
    row.known_sets = {s.name for s in plan.sets if s.known}
    options = plan.options
    protocol = Protocol(options.luma, options.rgb, plan.distances, options.niqe, degradation)
    try:
        pipeline = build_pipeline([model.ref], plan.scale, options.engine)
        _record_costs(row, pipeline)
        memory = PeakMemory(row.device)
        for test_set in plan.sets:
            on_image = collector.on_image_callback(model, degradation, test_set)
            row.sets[test_set.name] = measure_set(
                pipeline, test_set, plan.scale, protocol, on_image
            )
        row.peak_memory = memory.bytes()
    except SrError as error:
        row.error = error
    return row


def _record_costs(row: Row, pipeline: Pipeline) -> None:
    for upscaler in pipeline.upscalers:
        from sr_cli.engine.device import DTYPE_NAMES

        row.parameters += count_parameters(upscaler.models)
        # In a chain, the first networks work at lr resolution.
        share = (upscaler.scale / row.scale) ** 2
        row.multiply_adds += count_multiply_adds(upscaler.models) * share
        row.device = upscaler.device_name
        row.precision = DTYPE_NAMES[upscaler.dtype]


class _Collector:
    """Saves or keeps the images of a benchmark, and reports progress."""

    def __init__(self, plan: BenchmarkPlan, on_event: OnEvent | None) -> None:
        self.comparisons: dict[tuple[str, TestImage], Comparison] = {}
        self._plan = plan
        self._on_event = on_event
        self._done = 0

    def on_image_callback(
        self, model: BenchmarkModel, degradation: str, test_set: TestSet
    ) -> Callable[[TestImage, Measured | SrError], None]:
        """A function to call after each image of a model on a set."""

        def on_image(image: TestImage, outcome: Measured | SrError) -> None:
            if isinstance(outcome, Measured):
                self._keep(model, degradation, test_set, image, outcome)
            self._done += 1
            if self._on_event is not None:
                error = outcome if isinstance(outcome, SrError) else None
                self._on_event(
                    ImageProgress(
                        model.name,
                        test_set.name,
                        image.name,
                        self._done,
                        self._plan.steps,
                        error,
                    )
                )

        return on_image

    def _keep(
        self,
        model: BenchmarkModel,
        degradation: str,
        test_set: TestSet,
        image: TestImage,
        measured: Measured,
    ) -> None:
        options = self._plan.options
        if options.save is not None:
            write_png(measured.sr, saved_file(options.save, test_set, image, model))
        if options.keep_images:
            comparison = self.comparisons.setdefault(
                (degradation, image), Comparison(image.name, degradation, measured.hr, {})
            )
            comparison.results[model.name] = measured.sr
