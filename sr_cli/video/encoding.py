"""Which encoder writes a clip, with what settings."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction

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
    "hevc": Encoder(
        "libx265",
        {"preset": "fast"},
        19,
        {"x265-params": "lossless=1"},
        tag="hvc1",
    ),
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
            if encoded_format(layout) in _formats(codec):
                return codec, layout
    able = [c for c in ENCODERS if encoded_format(clip.layout) in _formats(c)]
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
    keys = {
        "hevc": ("x265-params", "master-display", "max-cll"),
        "h264": ("x264-params", "mastering-display", "cll"),
    }
    if codec not in keys:
        return {}
    key, display, light = keys[codec]
    parts = [settings[key]] if key in settings else []
    parts += ["log-level=none"] if codec == "hevc" else []
    if mastering is not None and mastering.display:
        parts.append(f"{display}={mastering.display}")
    if mastering is not None and mastering.light:
        parts.append(f"{light}={mastering.light[0]},{mastering.light[1]}")
    return {key: ":".join(parts)} if parts else {}


def encoded_format(layout: Layout) -> str:
    """FFmpeg's name of the pixel format that encoders take: FFV1 takes 8-bit RGB as bytes."""
    return "bgr0" if layout == Layout("rgb", 8) else layout.pixel_format


def carries_mastering(codec: str) -> bool:
    """Whether HDR10's static metadata is written with a codec."""
    return codec in ("hevc", "h264")
