"""Encoders: which one writes a clip, with what settings, and frames in its pixel format."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import RefusedError, SrError
from sr_cli.video.colour import BT709, LIMITED, Colour
from sr_cli.video.containers import Container
from sr_cli.video.hdr import Mastering
from sr_cli.video.options import ClipOptions
from sr_cli.video.probe import Clip, Layout
from sr_cli.video.pyav import load_av


@dataclass(frozen=True)
class Encoder:
    """An encoder of FFmpeg.

    Attributes:
        name: FFmpeg's name of it.
        options: Always given.
        crf: The default of `--crf`; None if it has none.
        lossless: What makes it lossless; None if nothing does.
        tags: Four characters that MP4 and QuickTime files have; "" for FFmpeg's own.
    """

    name: str
    options: dict[str, str] = field(default_factory=dict)
    crf: int | None = None
    lossless: dict[str, str] | None = None
    tag: str = ""


ENCODERS = {
    "h264": Encoder("libx264", {"preset": "veryfast"}, 16, {"qp": "0"}),
    "hevc": Encoder("libx265", {"preset": "fast"}, 19, {"x265-params": "lossless=1"}, tag="hvc1"),
    "av1": Encoder("libsvtav1", {"preset": "8"}, 24),
    "vp9": Encoder(
        "libvpx-vp9",
        {"deadline": "good", "cpu-used": "4", "row-mt": "1"},
        22,
        {"lossless": "1"},
    ),
    "ffv1": Encoder("ffv1", {"level": "3", "slicecrc": "1"}, None, {}),
    "prores": Encoder("prores_ks", {"profile": "3"}),
}
"""By the values of `--codec`."""

SITED_LEFT = ("h264", "hevc", "mpeg2video", "mpeg4")
"""Codecs whose chroma lies on the left luma column unless it is tagged otherwise."""


@dataclass(frozen=True)
class Encoding:
    """How the result of a clip is encoded.

    Attributes:
        codec: A value of `--codec`.
        options: Of the encoder.
        layout: How samples are stored.
        colour: The tags of the result.
        width, height: In pixels.
        aspect: Of a pixel; None if unknown.
        time_base: Of all times.
        rate: Frames a second on average; None if unknown.
        sited_left: Whether chroma lies on the left luma column, else in the middle.
        display_matrix: The nine numbers of the rotation; None if there is none.
    """

    codec: str
    options: tuple[tuple[str, str], ...]
    layout: Layout
    colour: Colour
    width: int
    height: int
    aspect: Fraction | None
    time_base: Fraction
    rate: Fraction | None
    sited_left: bool
    display_matrix: tuple[int, ...] | None


def plan_encoding(
    clip: Clip,
    size: tuple[int, int],
    container: Container,
    options: ClipOptions,
    *,
    lossless: bool,
    layouts: tuple[Layout, ...] | None = None,
) -> Encoding:
    """Choose codec and settings for a clip.

    Args:
        clip: From `probe`.
        size: (width, height) of the result.
        container: Of the result.
        options: Of the request.
        lossless: Whether the result must be lossless.
        layouts: What may be written, the best first; None for the clip's own, or 4:4:4 for RGB.

    Raises:
        RefusedError: `codec-not-in-container`, `encoder-missing`.
        SrError: `never-lossless`, `pixel-format-not-supported`.
    """
    codec, layout = _choose(clip, layouts or _layouts(clip), container, options, lossless)
    encoder = ENCODERS[codec]
    settings = dict(encoder.options)
    if lossless:
        settings |= encoder.lossless or {}
    elif encoder.crf is not None:
        settings["crf"] = str(encoder.crf if options.crf is None else options.crf)
    elif options.crf is not None:
        raise SrError("codec-without-crf", clip.source, codec=codec)
    if codec == "prores" and layout.kind == "444":
        settings["profile"] = "4"
    settings |= _mastering_options(codec, clip.mastering, settings)
    colour = clip.colour
    if clip.layout.kind == "rgb" and layout.kind != "rgb":
        colour = replace(colour, matrix=BT709, range=LIMITED)
    return Encoding(
        codec,
        tuple(settings.items()),
        layout,
        colour,
        *size,
        clip.aspect,
        clip.time_base,
        clip.rate,
        sited_left=codec in SITED_LEFT or clip.codec in SITED_LEFT,
        display_matrix=clip.display_matrix,
    )


def check_codec(codec: str, container: Container) -> None:
    """Check that a codec can be encoded here, and that the container holds it.

    Raises:
        RefusedError: `codec-not-in-container`, `encoder-missing`.
    """
    if codec not in container.codecs:
        raise RefusedError(
            "codec-not-in-container", codec, container=container.name, known=container.codecs
        )
    name = ENCODERS[codec].name
    if name not in load_av().codecs_available:
        raise RefusedError("encoder-missing", codec, encoder=name)


def _choose(
    clip: Clip,
    layouts: tuple[Layout, ...],
    container: Container,
    options: ClipOptions,
    lossless: bool,
) -> tuple[str, Layout]:
    """The codec that was asked for, or the first that fits: the clip's own, the container's."""
    if options.codec is not None:
        check_codec(options.codec, container)
        codecs: tuple[str, ...] = (options.codec,)
    else:
        own = (clip.codec,) if clip.codec in container.codecs else ()
        codecs = (*own, *container.codecs)
    available = [c for c in codecs if ENCODERS[c].name in load_av().codecs_available]
    if not available:
        raise RefusedError("encoder-missing", codecs[0], encoder=ENCODERS[codecs[0]].name)
    if lossless:
        available = [c for c in available if ENCODERS[c].lossless is not None]
        if not available:
            raise SrError("never-lossless", clip.source, format=codecs[0], hint="codec")
    for codec in available:
        for layout in layouts:
            if _encoded_format(layout) in _formats(codec):
                return codec, layout
    able = [c for c in ENCODERS if _encoded_format(clip.layout) in _formats(c)]
    raise SrError(
        "pixel-format-not-supported",
        clip.source,
        codec=available[0],
        format=clip.layout.pixel_format,
        codecs=able,
    )


def _layouts(clip: Clip) -> tuple[Layout, ...]:
    """The clip's own layout; RGB may become 4:4:4."""
    if clip.layout.kind == "rgb":
        return clip.layout, Layout("444", clip.layout.depth)
    return (clip.layout,)


def _formats(codec: str) -> set[str]:
    av = load_av()
    name = ENCODERS[codec].name
    if name not in av.codecs_available:
        return set()
    # x264 and x265 list gbrp, which players of H.264 and HEVC rarely show.
    listed = {f.name for f in av.Codec(name, "w").video_formats or ()}
    return listed if codec == "ffv1" else {n for n in listed if not n.startswith("gbr")}


def _mastering_options(
    codec: str, mastering: Mastering | None, settings: dict[str, str]
) -> dict[str, str]:
    """Encoder options that carry HDR10's static metadata, and keep the encoder quiet."""
    parts: list[str] = []
    key = {"hevc": "x265-params", "h264": "x264-params"}.get(codec)
    if key is None:
        return {}
    if codec == "hevc":
        parts = [settings[key]] if key in settings else []
        parts.append("log-level=none")
    display, light = (
        ("master-display", "max-cll")
        if codec == "hevc"
        else (
            "mastering-display",
            "cll",
        )
    )
    if mastering is not None and mastering.display:
        parts.append(f"{display}={mastering.display}")
    if mastering is not None and mastering.light:
        parts.append(f"{light}={mastering.light[0]},{mastering.light[1]}")
    return {key: ":".join(parts)} if parts else {}


def _encoded_format(layout: Layout) -> str:
    """FFmpeg's name of the pixel format that encoders take: FFV1 takes 8-bit RGB as bytes."""
    return "bgr0" if layout == Layout("rgb", 8) else layout.pixel_format


def carries_mastering(codec: str) -> bool:
    """Whether HDR10's static metadata is written with a codec."""
    return codec in ("hevc", "h264")


def open_encoder(encoding: Encoding) -> Any:
    """An encoder without a container.

    Containers and their streams refer to each other: those of finished segments, with all their
    frames, would stay in memory until Python looks for cycles.

    Returns:
        PyAV's codec context.
    """
    av = load_av()
    context = av.CodecContext.create(ENCODERS[encoding.codec].name, "w")
    context.options = dict(encoding.options)
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
    stream = container.add_stream(encoder.name, rate=encoding.rate, options=dict(encoding.options))
    _configure(stream.codec_context, encoding)
    stream.time_base = encoding.time_base
    if encoder.tag and container.format.name in ("mp4", "mov"):
        stream.codec_context.codec_tag = encoder.tag
    if encoding.display_matrix is not None:
        stream.set_display_matrix(encoding.display_matrix)
    return stream


def _configure(context: Any, encoding: Encoding) -> None:
    context.width, context.height = encoding.width, encoding.height
    context.pix_fmt = _encoded_format(encoding.layout)
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
    return frame.reformat(format=_encoded_format(encoding.layout))


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
