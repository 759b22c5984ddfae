"""Encoders and containers of PyAV, and frames in their pixel format."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sr_cli.video.encoding import ENCODERS, Encoding, encoded_format
from sr_cli.video.pyav import load_av

_AVX512 = 256
"""OpenCV's CPU_AVX512_SKX: the parts of AVX-512 that x264 uses."""

_NARROW = {16: "keyint=1", 32: "ctu=16", 64: "ctu=16"}
"""By width: frames one coding tree unit wide come out wrong at times (x265 4.2)."""


def open_encoder(encoding: Encoding) -> Any:
    """An encoder without a container.

    Containers and their streams refer to each other: those of finished segments, with all their
    frames, would stay in memory until Python looks for cycles.

    Returns:
        PyAV's codec context.
    """
    av = load_av()
    context = av.CodecContext.create(ENCODERS[encoding.codec].name, "w")
    context.options = _options(encoding)
    if encoding.rate is not None:
        context.framerate = encoding.rate
    context.flags |= av.codec.context.Flags.global_header
    _configure(context, encoding)
    return context


def add_encoder(container: Any, encoding: Encoding) -> Any:
    """Add a stream for the packets of `open_encoder` to an output container.

    Returns:
        PyAV's stream.
    """
    encoder = ENCODERS[encoding.codec]
    stream = container.add_stream(encoder.name, rate=encoding.rate, options=_options(encoding))
    _configure(stream.codec_context, encoding)
    stream.time_base = encoding.time_base
    if encoder.tag and container.format.name in ("mp4", "mov"):
        stream.codec_context.codec_tag = encoder.tag
    if encoding.display_matrix is not None:
        stream.set_display_matrix(encoding.display_matrix)
    return stream


def _options(encoding: Encoding) -> dict[str, str]:
    """The encoder's options, with what its library needs here to be right in every run."""
    options = dict(encoding.options)
    more = {}
    if encoding.codec == "h264" and cv2.checkHardwareSupport(_AVX512):
        # With AVX-512, its macroblock tree (core 165) reads memory that was never written to:
        # results differ from run to run.
        more["x264-params"] = "asm=avx2"
    if encoding.codec == "hevc" and encoding.width in _NARROW:
        more["x265-params"] = _NARROW[encoding.width]
    return options | {key: ":".join(filter(None, (options.get(key), more[key]))) for key in more}


def _configure(context: Any, encoding: Encoding) -> None:
    context.width, context.height = encoding.width, encoding.height
    context.pix_fmt = encoded_format(encoding.layout)
    # The quality is set by a rate factor, or the codec has none.
    context.bit_rate = 0
    # Without it, times are rounded to the frame rate.
    context.time_base = encoding.time_base
    if encoding.aspect is not None:
        context.sample_aspect_ratio = encoding.aspect
    _tag(context, encoding)


def _tag(target: Any, encoding: Encoding) -> None:
    colour = encoding.colour
    target.color_range = colour.range
    target.colorspace = colour.matrix
    target.color_primaries = colour.primaries
    target.color_trc = colour.transfer


def make_frame(
    encoding: Encoding, planes: tuple[NDArray[Any], ...], pts: int, duration: int
) -> Any:
    """A frame in the encoder's pixel format.

    Args:
        encoding: Of the result.
        planes: In its layout, not rounded.
        pts: When it is shown, in the encoding's time base.
        duration: How long; 0 if unknown.
    """
    import av

    frame = av.VideoFrame(encoding.width, encoding.height, encoding.layout.pixel_format)
    for target, plane in zip(frame.planes, planes, strict=True):
        store(target, plane, encoding.layout.depth)
    frame.pts, frame.duration, frame.time_base = pts, duration, encoding.time_base
    _tag(frame, encoding)
    return frame.reformat(format=encoded_format(encoding.layout))


def subsampled(plane: NDArray[Any], kind: str, *, left: bool) -> NDArray[Any]:
    """Chroma of 4:4:4 at the resolution of 4:2:0 or 4:2:2.

    Args:
        plane: (h, w) in float32.
        kind: Of a layout.
        left: Whether samples lie on the left column of their pair (ITU-T H.264, annex E,
            chroma_sample_loc_type 0), else between both. In 4:2:0 they lie between two rows.
    """
    if kind not in ("420", "422"):
        return plane
    h, w = plane.shape
    plane = cv2.copyMakeBorder(plane, 0, h % 2, 0, w % 2, cv2.BORDER_REPLICATE)
    if left:
        kernel = np.array([[0.25, 0.5, 0.25]], np.float32)
        plane = cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_REPLICATE)[:, ::2]
    else:
        plane = (plane[:, ::2] + plane[:, 1::2]) / 2
    if kind == "420":
        plane = (plane[::2] + plane[1::2]) / 2
    return plane


def store(target: Any, plane: NDArray[Any], depth: int) -> None:
    """Round a plane (h, w) into a plane of a frame."""
    dtype: Any = np.uint8 if depth == 8 else np.uint16
    item = np.dtype(dtype).itemsize
    rows = np.frombuffer(target, dtype).reshape(-1, target.line_size // item)
    into = rows[: target.height, : target.width]
    into[...] = plane if plane.dtype.kind == "u" else np.clip(plane + 0.5, 0, (1 << depth) - 1)
