"""Pipelines, which resize pixels with bicubic, networks or chains of networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sr_cli.engine.options import OPENVINO, EngineOptions
from sr_cli.engine.rows import RowSource
from sr_cli.engine.size import best_scale, passes_for
from sr_cli.engine.tiling import Axis, plan_spans
from sr_cli.errors import RefusedError, SrError
from sr_cli.imaging.consistency import project
from sr_cli.imaging.resize import (
    Edges,
    bicubic_taps,
    resize_bicubic,
    to_samples,
    vertical_first,
)
from sr_cli.registry.ref import AddressRef, BicubicRef, ModelRef, OnnxRef
from sr_cli.system.memory import empty_pixels

if TYPE_CHECKING:
    from sr_cli.engine.upscaler import Upscaler

OnShare = Callable[[float], None]
"""Called with the share of an image that is done, 0 to 1."""

_BAND = 256


class Pipeline(Protocol):
    """Anything that resizes the pixels of an image.

    Attributes:
        restores: Whether it also changes images that keep their size.
        upscalers: The networks that it applies, in order; none for bicubic.
        wrap: As in `EngineOptions`.
    """

    @property
    def restores(self) -> bool: ...

    @property
    def upscalers(self) -> list[Upscaler]: ...

    @property
    def wrap(self) -> str: ...

    def run(
        self,
        lr: NDArray[Any],
        size: tuple[int, int],
        on_share: OnShare | None = None,
        *,
        exact: bool = False,
    ) -> NDArray[Any]:
        """Resize an image.

        Args:
            lr: (h, w) or (h, w, 3), uint8, uint16, or float32 in [0, 1].
            size: (height, width) of the result.
            on_share: Called with the share that is done, 0 to 1.
            exact: Compute in float32 whatever the precision is.

        Returns:
            (height, width[, 3]) of the same type.
        """
        ...


class BicubicPipeline:
    """MATLAB's imresize to any size, rounded between the passes, in bands of rows."""

    restores = False

    def __init__(self, wrap: str = "none") -> None:
        self.wrap = wrap

    @property
    def upscalers(self) -> list[Upscaler]:
        return []

    def run(
        self,
        lr: NDArray[Any],
        size: tuple[int, int],
        on_share: OnShare | None = None,
        *,
        exact: bool = False,
    ) -> NDArray[Any]:
        """As `Pipeline.run`."""
        h, w = lr.shape[:2]
        height, width = size
        if not vertical_first(h, w, height, width):
            return resize_bicubic(lr, height, width, edges=self.edges)
        sr = empty_pixels((height, width, *lr.shape[2:]), lr.dtype)
        stop = 0
        for band in self.bands(lr, size, rows=_BAND):
            sr[stop : stop + len(band)] = band
            stop += len(band)
            if on_share is not None:
                on_share(stop / height)
        return sr

    @property
    def edges(self) -> tuple[Edges, Edges]:
        """What lies above and below an image, and at its sides."""
        vertical: Edges = "wrap" if self.wrap in ("y", "both") else "mirror"
        horizontal: Edges = "wrap" if self.wrap in ("x", "both") else "mirror"
        return vertical, horizontal

    def bands(
        self, lr: NDArray[Any] | RowSource, size: tuple[int, int], *, rows: int
    ) -> Iterator[NDArray[Any]]:
        """The rows of the result from top to bottom, in bands.

        Args:
            lr: As in `Pipeline.run`, or its rows.
            size: (height, width) of the result.
            rows: Of a band, at most.
        """
        (h, w), (height, width) = lr.shape[:2], size
        down = bicubic_taps(h, height, height / h, edges=self.edges[0])
        across = bicubic_taps(w, width, width / w, edges=self.edges[1])
        for span in plan_spans(Axis(height), tile=rows, halo=0):
            taps = down.rows(span.start, span.stop)
            first = int(taps.index.min())
            read = lr[first : int(taps.index.max()) + 1]
            if vertical_first(h, w, height, width):
                tall = to_samples(taps.apply(read, offset=first), lr.dtype)
                yield to_samples(across.apply(tall.swapaxes(0, 1)), lr.dtype).swapaxes(0, 1)
            else:
                wide = to_samples(across.apply(read.swapaxes(0, 1)), lr.dtype).swapaxes(0, 1)
                yield to_samples(taps.apply(wide, offset=first), lr.dtype)


class NetworkPipeline:
    """A network, applied as often as its scale requires to reach the size."""

    restores = False

    def __init__(self, upscaler: Upscaler, wrap: str = "none") -> None:
        self.upscaler = upscaler
        self.wrap = wrap

    @property
    def upscalers(self) -> list[Upscaler]:
        return [self.upscaler]

    def run(
        self,
        lr: NDArray[Any],
        size: tuple[int, int],
        on_share: OnShare | None = None,
        *,
        exact: bool = False,
    ) -> NDArray[Any]:
        """As `Pipeline.run`: passes of the network, then exact bicubic scaling."""
        passes, reaches = self.passes(lr.shape[:2], size)
        # Each pass processes scale^2 times the pixels of the previous one.
        costs = [float(self.upscaler.scale ** (2 * i)) for i in range(passes)]
        for index in range(passes):
            before, own, whole = sum(costs[:index]), costs[index], sum(costs)

            def report(
                done: int, total: int, b: float = before, o: float = own, a: float = whole
            ) -> None:
                if on_share is not None:
                    on_share((b + o * done / total) / a)

            last = size if index == passes - 1 and reaches else None
            lr = self.upscaler(lr, report, size=last, exact=exact)
        return lr if reaches else BicubicPipeline(self.wrap).run(lr, size)

    def passes(self, lr: tuple[int, ...], size: tuple[int, int]) -> tuple[int, bool]:
        """How often the network is applied, and whether it reaches the size.

        Args:
            lr: (h, w) of the image.
            size: (height, width) of the result.
        """
        factor, scale = max(size[0] / lr[0], size[1] / lr[1]), self.upscaler.scale
        passes = passes_for(factor, scale, once=self.upscaler.once)
        return passes, factor <= scale**passes + 1e-9


class ChainPipeline:
    """Networks that keep the size (denoising, deblocking), then one that upscales or bicubic."""

    restores = True

    def __init__(self, first: Sequence[Upscaler], last: Pipeline) -> None:
        self.first = first
        self.last = last
        self.wrap = last.wrap

    @property
    def upscalers(self) -> list[Upscaler]:
        return [*self.first, *self.last.upscalers]

    def run(
        self,
        lr: NDArray[Any],
        size: tuple[int, int],
        on_share: OnShare | None = None,
        *,
        exact: bool = False,
    ) -> NDArray[Any]:
        """As `Pipeline.run`."""
        steps = len(self.first) + 1
        for number, upscaler in enumerate(self.first):
            lr = upscaler(lr, exact=exact)
            if on_share is not None:
                on_share((number + 1) / steps)
        return lr if lr.shape[:2] == size else self.last.run(lr, size, on_share, exact=exact)


class ConsistentPipeline:
    """A pipeline whose results give back their input when they are reduced with bicubic."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.restores = pipeline.restores
        self.wrap = pipeline.wrap

    @property
    def upscalers(self) -> list[Upscaler]:
        return self.pipeline.upscalers

    def run(
        self,
        lr: NDArray[Any],
        size: tuple[int, int],
        on_share: OnShare | None = None,
        *,
        exact: bool = False,
    ) -> NDArray[Any]:
        """As `Pipeline.run`. Where nothing becomes larger, there is nothing to give back."""
        if size[0] < lr.shape[0] or size[1] < lr.shape[1]:
            return self.pipeline.run(lr, size, on_share, exact=exact)
        # Rounded to 8 bits only once, at the end.
        fine = lr.astype(np.uint16) * np.uint16(257) if lr.dtype == np.uint8 else lr
        return project(lr, self.pipeline.run(fine, size, on_share, exact=exact), wrap=self.wrap)


def build_pipeline(refs: Sequence[ModelRef], factor: float, options: EngineOptions) -> Pipeline:
    """Load models at the scale for a factor; several models are averaged.

    Consistent results are computed in float32 unless a precision is named.

    For bicubic alone, torch is only imported if a device is named.

    Args:
        refs: The models.
        factor: The factor of the result.
        options: How to compute.

    Raises:
        RefusedError: `no-common-scale`, `chain-order`, `chain-in-average`, `conflicting-options`
            (consistent results of a model that restores), `device-not-available`,
            `precision-not-supported`, `unsupported-by-openvino`.
        SrError: What loading the weights raises.
    """
    check_runtime(refs, options.device)
    if options.consistent:
        precision = "fp32" if options.precision == "auto" else options.precision
        plain = replace(options, precision=precision, consistent=False)
        pipeline = build_pipeline(refs, factor, plain)
        if pipeline.restores:
            # It would bring back what they remove.
            raise RefusedError("conflicting-options", "consistent", other="a model that restores")
        return ConsistentPipeline(pipeline)
    networks = [ref for ref in refs if not isinstance(ref, BicubicRef)]
    if not networks and options.device in ("auto", "cpu"):
        return BicubicPipeline(options.wrap)

    from sr_cli.engine.device import pick_host, prepare_cpu

    pick_host(options.device)
    if not networks:
        return BicubicPipeline(options.wrap)
    prepare_cpu(options.threads)
    if any(len(ref.steps) > 1 or ref.scales() == [1] for ref in networks):
        return _build_chain(refs, factor, options)
    scale = network_scale(networks, factor)
    if scale is None:
        raise RefusedError("no-common-scale", ", ".join(ref.name for ref in networks))
    return NetworkPipeline(_load_upscaler(refs, scale, options), options.wrap)


def check_runtime(refs: Iterable[ModelRef], device: str) -> None:
    """Check that the runtime that a device stands for runs the models, as far as names tell.

    Raises:
        RefusedError: `unsupported-by-openvino`.
    """
    if device != OPENVINO:
        return
    for step in (step for ref in refs for step in ref.steps):
        if not isinstance(step, OnnxRef | BicubicRef | AddressRef):
            raise RefusedError(
                "unsupported-by-openvino", step.name, hint="not-onnx", reason="not an ONNX file"
            )


def check_chains(refs: Sequence[ModelRef]) -> None:
    """Check that only the last model of a chain changes the size.

    Raises:
        RefusedError: `chain-order`; `chain-in-average` for a chain among several models.
        SrError: What reading a checkpoint raises.
    """
    for ref in refs:
        if len(ref.steps) > 1 and len(refs) > 1:
            raise RefusedError("chain-in-average", ", ".join(r.name for r in refs))
        for step in ref.steps[:-1]:
            if isinstance(step, BicubicRef) or step.scales() != [1]:
                raise RefusedError("chain-order", step.name)


def network_scale(refs: Sequence[ModelRef], factor: float) -> int | None:
    """The scale at which `build_pipeline` loads the networks for a factor.

    Returns:
        None if they have no scale in common, or for bicubic alone.
    """
    networks = [ref for ref in refs if not isinstance(ref, BicubicRef)]
    if not networks:
        return None
    common = set.intersection(*(set(ref.scales()) for ref in networks))
    return best_scale(factor, sorted(common)) if common else None


def _load_upscaler(refs: Sequence[ModelRef], scale: int, options: EngineOptions) -> Upscaler:
    from sr_cli.engine.upscaler import Upscaler

    try:
        return Upscaler(
            [ref.load(scale) for ref in refs],
            device=options.device,
            precision=options.precision,
            tile=options.tile,
            tta=options.tta,
            wrap=options.wrap,
        )
    except SrError as error:
        raise error.about(", ".join(ref.name for ref in refs)) from error.__cause__


def _build_chain(refs: Sequence[ModelRef], factor: float, options: EngineOptions) -> Pipeline:
    """Build a chain: networks that keep the size, then at most one that upscales."""
    check_chains(refs)
    if len(refs) > 1:
        raise RefusedError("chain-in-average", ", ".join(ref.name for ref in refs))
    *first, last = refs[0].steps
    if not isinstance(last, BicubicRef) and last.scales() == [1]:
        first, last = [*first, last], BicubicRef()
    upscalers = [_load_upscaler([step], 1, options) for step in first]
    return ChainPipeline(upscalers, build_pipeline([last], factor, options))
