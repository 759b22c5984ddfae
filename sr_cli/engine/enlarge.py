"""A whole enlargement: which passes reach the size asked for, alpha beside colour, all frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sr_cli.engine.tiling import plan_spans
from sr_cli.errors import SrError
from sr_cli.imaging.picture import Frame, Picture
from sr_cli.imaging.resize import bicubic_taps, resize_bicubic, to_integers, vertical_first
from sr_cli.system.pages import empty_pixels

if TYPE_CHECKING:
    from sr_cli.engine.upscaler import Upscaler

OnShare = Callable[[float], None]
"""Called with the share of a picture that is done, 0 to 1."""


MAX_FACTOR = 16.0

_BAND = 256
_PIECE = 1 << 20


class Enlarger(Protocol):
    """Anything that makes pixels larger: (h, w[, 3]) integers to `size` (height, width).

    restores: whether it does something to a picture even where the size stays.
    """

    @property
    def restores(self) -> bool: ...

    def enlarge(
        self, lr: NDArray[Any], size: tuple[int, int], on_share: OnShare | None
    ) -> NDArray[Any]:
        """The picture at `size`; `on_share` is called as it gets done."""
        ...


class BicubicEnlarger:
    """MATLAB's imresize to any size, rounded between the directions, in bands of rows."""

    restores = False

    def enlarge(
        self, lr: NDArray[Any], size: tuple[int, int], on_share: OnShare | None = None
    ) -> NDArray[Any]:
        """(h, w[, 3]) -> (height, width[, 3]) of the same type."""
        h, w = lr.shape[:2]
        height, width = size
        if not vertical_first(h, w, height, width):
            return resize_bicubic(lr, height, width)
        rows, columns = bicubic_taps(h, height, height / h), bicubic_taps(w, width, width / w)
        sr = empty_pixels((height, width, *lr.shape[2:]), lr.dtype)
        for span in plan_spans(height, tile=_BAND, halo=0):
            tall = to_integers(rows.rows(span.start, span.stop).apply(lr), lr.dtype)
            both = to_integers(columns.apply(tall.swapaxes(0, 1)), lr.dtype)
            sr[span.start : span.stop] = both.swapaxes(0, 1)
            if on_share is not None:
                on_share(span.stop / height)
        return sr


class NetworkEnlarger:
    """An Upscaler applied once, or as often as its scale needs to reach the size."""

    restores = False

    def __init__(self, upscaler: Upscaler) -> None:
        self.upscaler = upscaler

    def enlarge(
        self, lr: NDArray[Any], size: tuple[int, int], on_share: OnShare | None = None
    ) -> NDArray[Any]:
        """(h, w[, 3]) -> (height, width[, 3]): passes of the network, then exact bicubic down."""
        passes = passes_for(max(size[0] / lr.shape[0], size[1] / lr.shape[1]), self.upscaler.scale)
        weights = [float(self.upscaler.scale ** (2 * i)) for i in range(passes)]
        for index in range(passes):
            before, own, whole = sum(weights[:index]), weights[index], sum(weights)

            def report(
                done: int, total: int, b: float = before, o: float = own, a: float = whole
            ) -> None:
                if on_share is not None:
                    on_share((b + o * done / total) / a)

            lr = self.upscaler(lr, report, size=size if index == passes - 1 else None)
        return lr


class RestoringEnlarger:
    """Networks that keep the size (denoising, deblocking), then one that enlarges, or bicubic."""

    restores = True

    def __init__(self, first: Sequence[Upscaler], then: Enlarger) -> None:
        self.first = first
        self.then = then

    def enlarge(
        self, lr: NDArray[Any], size: tuple[int, int], on_share: OnShare | None = None
    ) -> NDArray[Any]:
        """(h, w[, 3]) -> (height, width[, 3])."""
        steps = len(self.first) + 1
        for number, upscaler in enumerate(self.first):
            lr = upscaler(lr)
            if on_share is not None:
                on_share((number + 1) / steps)
        return lr if lr.shape[:2] == size else self.then.enlarge(lr, size, on_share)


def upscalers_of(enlarger: Enlarger) -> list[Upscaler]:
    """The networks that work on a picture, in their order; none for bicubic."""
    if isinstance(enlarger, RestoringEnlarger):
        return [*enlarger.first, *upscalers_of(enlarger.then)]
    return [enlarger.upscaler] if isinstance(enlarger, NetworkEnlarger) else []


def passes_for(factor: float, scale: int) -> int:
    """How often a network of `scale` must be applied to reach `factor`."""
    passes, reached = 1, scale
    while reached < factor - 1e-9:
        passes, reached = passes + 1, reached * scale
    return passes


def best_scale(factor: float, scales: list[int]) -> int:
    """The smallest scale that reaches `factor`, else the largest (to be applied several times)."""
    return min((s for s in scales if s >= factor - 1e-9), default=max(scales))


@dataclass(frozen=True)
class Size:
    """The result's size: a factor, or bounds to fit inside; `max_side` caps either."""

    factor: float | None = None
    width: int | None = None
    height: int | None = None
    max_side: int | None = None

    def factor_for(self, width: int, height: int) -> float:
        """The factor by which a picture of this size is enlarged (below 1: reduced)."""
        factor = self.factor
        if factor is None:
            factor = min(b / side for b, side in ((self.width, width), (self.height, height)) if b)
        if self.max_side is not None:
            factor = min(factor, self.max_side / max(width, height))
        return factor

    def of(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the result for a picture of this size; at least 1x1."""
        factor = self.factor_for(width, height)
        return max(1, round(width * factor)), max(1, round(height * factor))


def enlarge_picture(
    picture: Picture, enlarger: Enlarger, size: Size, on_share: OnShare | None = None
) -> Picture:
    """All frames of `picture` at the size asked for; metadata stays as it is.

    A result no larger than the picture is made by bicubic alone.
    """
    frames = []
    count = len(picture.frames)
    for index, frame in enumerate(picture.frames):

        def report(share: float, done: int = index) -> None:
            if on_share is not None:
                on_share((done + share) / count)

        width, height = size.of(frame.width, frame.height)
        shrinks = width <= frame.width and height <= frame.height and not enlarger.restores
        frames.append(
            _frame(frame, BicubicEnlarger() if shrinks else enlarger, (height, width), report)
        )
    return Picture(
        frames, picture.format, picture.metadata, picture.animation, picture.loop, picture.notes
    )


def _frame(frame: Frame, enlarger: Enlarger, size: tuple[int, int], on_share: OnShare) -> Frame:
    if frame.alpha is None:
        return Frame(enlarger.enlarge(frame.pixels, size, on_share), None, frame.duration)
    colour = spread_colour(frame.pixels, frame.alpha)
    pixels = enlarger.enlarge(colour, size, lambda share: on_share(share * 0.75))
    alpha = _enlarge_alpha(frame.alpha, enlarger, size)
    on_share(1.0)
    return Frame(pixels, alpha, frame.duration)


def spread_colour(pixels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Invisible pixels take the colour of the nearest visible one, so that edges get no fringe."""
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return pixels
    _, labels = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # In pieces, and no wider than it must be: a large picture has room for little else.
    kind = np.int32 if hidden.size < 1 << 31 else np.int64
    nearest = np.zeros(int(labels.max()) + 1, dtype=kind)
    spread = np.array(pixels, order="C")
    source, target = pixels.reshape(hidden.size, -1), spread.reshape(hidden.size, -1)
    pieces = [slice(i, i + _PIECE) for i in range(0, hidden.size, _PIECE)]
    for piece in pieces:
        visible = piece.start + np.flatnonzero(~hidden.ravel()[piece])
        nearest[labels.ravel()[visible]] = visible
    for piece in pieces:
        unseen = piece.start + np.flatnonzero(hidden.ravel()[piece])
        target[unseen] = source[nearest[labels.ravel()[unseen]]]
    return spread


def _enlarge_alpha(alpha: NDArray[Any], enlarger: Enlarger, size: tuple[int, int]) -> NDArray[Any]:
    """Alpha as a gray picture; where it is flat in the input it stays exactly that value."""
    if (alpha == alpha.flat[0]).all():
        return np.full(size, alpha.flat[0], alpha.dtype)
    sr = enlarger.enlarge(alpha, size, None)
    if size[0] < alpha.shape[0] or size[1] < alpha.shape[1]:
        return sr
    window = np.ones((5, 5), np.uint8)
    flat = cv2.erode(alpha, window) == cv2.dilate(alpha, window)
    (h, w), (height, width) = alpha.shape, size
    columns = np.arange(width) * w // width
    for y in range(0, height, _BAND):
        rows = np.arange(y, min(y + _BAND, height)) * h // height
        nearest = np.ix_(rows, columns)
        np.copyto(sr[y : y + _BAND], alpha[nearest], where=flat[nearest])
    return sr


def check_result(picture: Picture, size: Size, max_pixels: int) -> tuple[int, int]:
    """The result's (width, height).

    Raises SrError when it exceeds `max_pixels` in all or MAX_FACTOR times the input.
    """
    factor = max(size.factor_for(f.width, f.height) for f in picture.frames)
    if factor > MAX_FACTOR:
        raise SrError(f"the result would be x{factor:.4g}, more than x{MAX_FACTOR:g}")
    results = [size.of(f.width, f.height) for f in picture.frames]
    total = sum(w * h for w, h in results)
    width, height = max(w for w, _ in results), max(h for _, h in results)
    if total > max_pixels:
        raise SrError(
            f"the result would be {width}x{height}, {total} pixels in all, more than {max_pixels}",
            "--max-pixels raises the limit, --max-side caps the result",
        )
    return width, height
