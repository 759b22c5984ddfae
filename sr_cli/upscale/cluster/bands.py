"""Large images: bands of tiles, computed by several workers into files, which one of them joins.

A worker prepares the image: it reads the samples of a TIFF in windows, or decodes another image and
writes its pixels to the disk. For a band, only its rows and those that it sees are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.engine.frames import maps_values
from sr_cli.engine.pipeline import NetworkPipeline, OnShare, Pipeline
from sr_cli.engine.raster import examine, upscale_raster_share
from sr_cli.engine.rows import ReadRows, RowSource
from sr_cli.engine.windows import Share
from sr_cli.errors import SrError
from sr_cli.imaging.picture import Picture
from sr_cli.imaging.provenance import UsedModel
from sr_cli.imaging.raster import opened_raster
from sr_cli.system.memory import trim_freed_memory
from sr_cli.upscale.batch import Batch, RunJob
from sr_cli.upscale.cluster.steps import Band, Join, Pixels, Prepared, Rows
from sr_cli.upscale.groups import Group
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.preparation import is_raster_job, prepare_output, read_input, target_of
from sr_cli.upscale.raster_job import (
    prepared_raster,
    samples_of,
    upscale_raster_job,
)
from sr_cli.upscale.request import OnEvent, Result

if TYPE_CHECKING:
    from sr_cli.engine.upscaler import Upscaler

_WHOLE_PIXELS = 3 << 18
"""Bytes: pixels of any type, none of them in part."""


def prepare(job: Job, group: Group, pipeline: Pipeline, file: Path) -> Prepared | str:
    """Prepare an image for its bands.

    Args:
        job: Of the image.
        group: Of the job.
        pipeline: Of the group.
        file: For the pixels, if they have to be decoded at once.

    Returns:
        Or why the image is not computed in bands, as a word for a note.

    Raises:
        SrError: `unwritable-file`, and what `read_input` and `prepared_raster` raise.
        OSError: If the input cannot be read.
    """
    if not isinstance(pipeline, NetworkPipeline):
        return "model"
    tile = pipeline.upscaler.tile
    if is_raster_job(job, group.options, pipeline):
        with prepared_raster(job, group) as (raster, _, _):
            if reason := _reason_against(raster.picture, pipeline, group):
                return reason
            return Prepared(tile, examine(samples_of(raster)))
    picture = read_input(job, group.options)
    measured = picture.measured
    prepare_output(picture, job, group)
    if measured and not picture.measured:
        # Afterwards, nothing tells that it was.
        picture.notes += group.notes_on_measured()
    if reason := _reason_against(picture, pipeline, group) or _reason_for_whole(picture):
        return reason
    (frame,) = picture.frames
    with _writing(job), file.open("wb") as written:
        written.write(np.ascontiguousarray(frame.pixels).data)
    pixels = Pixels(file, frame.pixels.shape, frame.pixels.dtype.str)
    picture.frames = [replace(frame, pixels=np.empty((0, 0), frame.pixels.dtype))]
    del frame
    trim_freed_memory(beyond=0)
    return Prepared(tile, pixels=pixels, picture=picture)


def _reason_against(picture: Picture, pipeline: NetworkPipeline, group: Group) -> str | None:
    """Why no image of such a size is computed in bands, as a word for a note."""
    width, height = group.size.of(picture.width, picture.height)
    passes, reaches = pipeline.passes((picture.height, picture.width), (height, width))
    is_larger = width > picture.width or height > picture.height
    return None if is_larger and passes == 1 and reaches else "factor"


def _reason_for_whole(picture: Picture) -> str | None:
    """Why an image that is not read in windows is not computed in bands."""
    frame = picture.frames[0]
    if len(picture.frames) > 1:
        return "frames"
    if frame.alpha is not None:
        return "alpha"
    if frame.bands:
        return "bands"
    return "values" if maps_values(picture) or frame.nodata is not None else None


def compute_band(
    job: Job, group: Group, pipeline: Pipeline, band: Band, file: Path, on_share: OnShare
) -> Rows:
    """Compute a band, and write its samples.

    Args:
        job: Of the image.
        group: Of the job.
        pipeline: Of the group.
        band: Which part.
        file: What to write.
        on_share: Called with the share of the whole image that is done.

    Raises:
        SrError: `unwritable-file`, and what `opened_raster` and the network raise.
        OSError: If the input cannot be read.
    """
    assert isinstance(pipeline, NetworkPipeline)
    options, prepared = group.options, band.prepared
    with _tile_of(pipeline.upscaler, prepared.tile):
        if prepared.pixels is not None:
            height, start, rows = _rows_of_pixels(group, pipeline, prepared.pixels, band.share)
            return _written(job, rows, start, height, file, on_share)
        assert prepared.findings is not None
        with opened_raster(
            job.source, options.max_pixels, allow_truncated=options.allow_truncated
        ) as raster:
            width, height = group.size.of(raster.picture.width, raster.picture.height)
            start, rows = upscale_raster_share(
                samples_of(raster), prepared.findings, pipeline, (height, width), band.share
            )
            return _written(job, rows, start, height, file, on_share)


@contextmanager
def _tile_of(upscaler: Upscaler, tile: int) -> Iterator[None]:
    """The upscaler with the tile of all bands."""
    own, upscaler.tile = upscaler.tile, tile
    try:
        yield
    finally:
        upscaler.tile = own


def _rows_of_pixels(
    group: Group, pipeline: NetworkPipeline, pixels: Pixels, share: Share
) -> tuple[int, int, Iterator[NDArray[Any]]]:
    """The height of a result, the first row of a share in it, and the rows of the share."""
    upscaler, mapped = pipeline.upscaler, pixels.mapped()
    h, w = pixels.shape[:2]
    width, height = group.size.of(w, h)
    lr = RowSource(pixels.shape, mapped.dtype, lambda first, last: mapped[first:last])
    spans = share.of(upscaler.tile_rows(h, w, (height, width)))
    rows = (
        upscaler(lr, size=(height, width), lr_rows=slice(span.start, span.stop)) for span in spans
    )
    return height, round(spans[0].start * height / h) if spans else 0, rows


@contextmanager
def _writing(job: Job) -> Iterator[None]:
    """What is written here is for the result of a job, and an error is about that."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise SrError("unwritable-file", job.target, reason=reason) from error


def _written(
    job: Job, rows: Iterator[NDArray[Any]], start: int, height: int, file: Path, on_share: OnShare
) -> Rows:
    """The rows of a band in a file."""
    stop = start
    with _writing(job):
        # An attempt may be repeated under its number.
        file.open("wb").close()
    for part in rows:
        # What computes the rows reads the input, whose errors are others.
        with _writing(job), file.open("ab") as written:
            written.write(np.ascontiguousarray(part).data)
        stop += len(part)
        on_share(stop / height)
    return Rows(file, start, stop, height)


class JoinedBatch(Batch):
    """An image, in place of whose pixels there are bands.

    Args:
        group: The image.
        pipeline: That computed the bands.
        used: From `used_models`.
        on_event: Called with progress.
        join: The bands.
        file: Where to put them one after the other, if they have to be encoded at once.
    """

    def __init__(
        self,
        group: Group,
        pipeline: Pipeline,
        used: tuple[UsedModel, ...],
        on_event: OnEvent,
        join: Join,
        file: Path,
    ) -> None:
        computed = _JoinedPipeline(pipeline, join, file, group.jobs[0])
        super().__init__(group, computed if join.prepared.pixels else pipeline, used, on_event)
        self._join = join

    def run(self) -> Iterator[Result]:
        # It is said of the result.
        with _tile_of(self._pipeline.upscalers[0], self._join.prepared.tile):
            yield from super().run()

    def _next_picture(self, job: Job) -> Picture:
        prepared = self._join.prepared
        assert prepared.picture is not None and prepared.pixels is not None
        frame = replace(prepared.picture.frames[0], pixels=prepared.pixels.mapped())
        return replace(prepared.picture, frames=[frame])

    def _run_of(self, job: Job) -> RunJob | None:
        findings = self._join.prepared.findings
        if findings is None:
            return None
        return partial(upscale_raster_job, computed=(findings, self._read))

    def _read(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> ReadRows:
        """What reads the rows of a result of this shape."""
        row = shape[1] * shape[2]

        def read(first: int, last: int) -> NDArray[Any]:
            parts = []
            for rows in self._join.bands:
                top, bottom = max(first, rows.start), min(last, rows.stop)
                if top < bottom:
                    before, count = top - rows.start, (bottom - top) * row
                    part = np.fromfile(
                        rows.file, dtype, count, offset=before * row * dtype.itemsize
                    )
                    parts.append(part.reshape(bottom - top, *shape[1:]))
            return parts[0] if len(parts) == 1 else np.concatenate(parts)

        return read


class _JoinedPipeline:
    """In place of a network's pipeline: the pixels that it would compute are in files."""

    def __init__(self, pipeline: Pipeline, join: Join, file: Path, job: Job) -> None:
        self._pipeline = pipeline
        self._join = join
        self._file = file
        self._job = job

    @property
    def restores(self) -> bool:
        return self._pipeline.restores

    @property
    def wrap(self) -> str:
        return self._pipeline.wrap

    @property
    def upscalers(self) -> list[Upscaler]:
        return self._pipeline.upscalers

    def run(
        self,
        lr: NDArray[Any],
        size: tuple[int, int],
        on_share: OnShare | None = None,
        *,
        exact: bool = False,
    ) -> NDArray[Any]:
        """As `Pipeline.run`; the pixels stay on the disk until they are needed."""
        picture = self._join.prepared.picture
        assert picture is not None
        shape = (*size, *lr.shape[2:])
        if lr.dtype == np.uint8 and lr.ndim == 3 and target_of(picture, self._job).name == "JPEG":
            # Its encoder takes them from the file, in Pillow's layout.
            return self._joined((*size, 4), lr.dtype, _with_fourth_bytes)[..., :3]
        return self._joined(shape, lr.dtype, bytes)

    def _joined(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], layout: Callable[[bytes], bytes]
    ) -> NDArray[Any]:
        """All bands in one file, in a layout for which their bytes are changed."""
        with _writing(self._job), self._file.open("wb") as whole:
            for rows in self._join.bands:
                with rows.file.open("rb") as part:
                    while read := part.read(_WHOLE_PIXELS):
                        whole.write(layout(read))
        return np.memmap(self._file, dtype, "c", shape=shape)


def _with_fourth_bytes(colours: bytes) -> bytes:
    """RGB of 8 bits as four bytes a pixel, of which the last one has no meaning."""
    three = np.frombuffer(colours, np.uint8).reshape(-1, 3)
    return np.pad(three, ((0, 0), (0, 1))).tobytes()
