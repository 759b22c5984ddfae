"""Two ways of a frame through the networks: as RGB, or as luma with bicubic chroma."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sr_cli.engine.pipeline import BicubicPipeline, Pipeline
from sr_cli.video.chroma import resize_chroma
from sr_cli.video.colour import FULL, Converter
from sr_cli.video.encode import subsampled
from sr_cli.video.encoding import Encoding
from sr_cli.video.frames import Planes
from sr_cli.video.plan import ClipPlan
from sr_cli.video.probe import Clip

_ROUNDED_AWAY = 0.49
"""Levels of a plane that rounding may bring back; more of it is lost in RGB."""

_MOST_WORKERS = 4
"""Frames that are computed at the same time; more need more memory."""


class FramePath(Protocol):
    """How frames are computed, in three steps for three threads.

    Attributes:
        at_full_resolution: Whether planes are read without subsampling.
        dtype: Of the pixels that the networks get.
        pipeline: What upscales them.
        workers: How many frames are computed at the same time, each with its share of the threads:
            that is faster for small networks, which leave threads waiting for each other.
    """

    at_full_resolution: bool
    dtype: Any
    pipeline: Pipeline
    workers: int

    def prepare(self, planes: Planes) -> Planes:
        """What the networks need of a decoded frame."""
        ...

    def compute(self, prepared: Planes) -> Planes:
        """The result of the networks."""
        ...

    def finish(self, computed: Planes) -> Planes:
        """The planes that are encoded: integers, or floats that are not rounded."""
        ...


def choose_path(plan: ClipPlan, pipeline: Pipeline) -> FramePath:
    """Luma for networks on luma alone, which need not see RGB; otherwise RGB.

    Args:
        plan: From `plan_clip`. What does not become larger is resized with bicubic, unless the
            pipeline restores.
        pipeline: What upscales frames.
    """
    if not (plan.grows or pipeline.restores):
        pipeline = BicubicPipeline(pipeline.wrap)
    clip, encoding = plan.clip, plan.encoding
    networks = [model for upscaler in pipeline.upscalers for model in upscaler.models]
    on_luma = bool(networks) and all(network.channels == 1 for network in networks)
    same_samples = clip.layout == encoding.layout and not clip.is_rgb
    # Chroma is mirrored at the edges, and does not wrap.
    if on_luma and same_samples and pipeline.wrap == "none":
        return LumaPath(clip, encoding, pipeline, lossy=not plan.is_lossless)
    return RgbPath(clip, encoding, pipeline)


class RgbPath:
    """Frames as RGB, as images are computed.

    What does not fit into RGB is resized by itself and added again: limited ranges have room above
    white and below black, and the integers of saturated colours lie outside by up to a level.
    """

    at_full_resolution = True

    def __init__(self, clip: Clip, encoding: Encoding, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.workers = 1 if pipeline.upscalers else _MOST_WORKERS
        self._decoder = Converter(clip.colour, clip.layout.depth)
        self.dtype = self._decoder.dtype
        self._encoder = Converter(encoding.colour, encoding.layout.depth)
        self._encoding = encoding
        # RGB fits into itself, and only the same planes can be added again.
        self._adds = clip.colour == encoding.colour and not clip.is_rgb

    def prepare(self, planes: Planes) -> Planes:
        """As `FramePath.prepare`."""
        rgb = self._decoder.to_rgb(planes)
        return (rgb, self._outside(planes, rgb)) if self._adds else (rgb,)

    def _outside(self, planes: Planes, rgb: NDArray[Any]) -> NDArray[np.float16]:
        """What RGB lacks of planes, (h, w, 3); 0 where rounding brings it back."""
        lost = np.dstack(planes).astype(np.float32) - np.dstack(self._decoder.to_planes(rgb))
        lost *= np.any(np.abs(lost) >= _ROUNDED_AWAY, axis=2, keepdims=True)
        kept: NDArray[np.float16] = lost.astype(np.float16)
        return kept

    def compute(self, prepared: Planes) -> Planes:
        """As `FramePath.compute`."""
        size = self._encoding.height, self._encoding.width
        return (self.pipeline.run(prepared[0], size), *prepared[1:])

    def finish(self, computed: Planes) -> Planes:
        """As `FramePath.finish`."""
        planes = self._encoder.to_planes(computed[0])
        if self._adds and computed[1].any():
            size = self._encoding.width, self._encoding.height
            lost = cv2.resize(computed[1].astype(np.float32), size)
            planes = tuple(plane + lost[..., index] for index, plane in enumerate(planes))
        luma, *chroma = planes
        kind, left = self._encoding.layout.kind, self._encoding.sited_left
        return (luma, *(subsampled(plane, kind, left=left) for plane in chroma))


class LumaPath:
    """Luma through the networks, chroma by bicubic at its own resolution.

    Chroma of 4:2:0 is a quarter of luma, and needs neither networks nor a conversion to RGB and
    back: this is about what such networks do with RGB, for less.
    """

    at_full_resolution = False

    def __init__(self, clip: Clip, encoding: Encoding, pipeline: Pipeline, *, lossy: bool) -> None:
        from sr_cli.engine.luma import for_luma

        self._clip = clip
        self._encoding = encoding
        depth = clip.layout.depth
        self.dtype: Any = np.uint8 if depth == 8 else np.uint16
        self._shift = 0 if depth == 8 else 16 - depth
        top = 255 if depth == 8 else 65535
        black, white = (level * 2**self._shift / top for level in _luma_range(clip))
        self.pipeline = for_luma(pipeline, black, white, lossy=lossy and depth == 8)
        on_cpu = all(upscaler.device.type == "cpu" for upscaler in self.pipeline.upscalers)
        self.workers = _MOST_WORKERS if on_cpu else 1

    def prepare(self, planes: Planes) -> Planes:
        """As `FramePath.prepare`: luma in the upper bits of its type."""
        return (planes[0] << self._shift, *planes[1:])

    def compute(self, prepared: Planes) -> Planes:
        """As `FramePath.compute`."""
        size = self._encoding.height, self._encoding.width
        return (self.pipeline.run(prepared[0], size), *prepared[1:])

    def finish(self, computed: Planes) -> Planes:
        """As `FramePath.finish`."""
        luma = computed[0]
        if self._shift:
            luma = luma.astype(np.float32) / np.float32(2**self._shift)
        chroma = (resize_chroma(plane, self._clip, self._encoding) for plane in computed[1:])
        return (luma, *chroma)


def _luma_range(clip: Clip) -> tuple[float, float]:
    """Black and white (ITU-T H.273, section 8.3)."""
    if clip.colour.range == FULL:
        return 0.0, float((1 << clip.layout.depth) - 1)
    step = 1 << (clip.layout.depth - 8)
    return 16.0 * step, 235.0 * step
