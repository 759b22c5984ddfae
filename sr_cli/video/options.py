"""Options of clips. Imports neither PyAV nor numpy, so that usage errors are reported quickly."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from sr_cli.errors import RefusedError

CODEC_NAMES = ("h264", "hevc", "av1", "vp9", "ffv1", "prores")
COLOUR_NAMES = ("bt601", "bt709", "bt2020", "bt601-full", "bt709-full", "bt2020-full")
MAX_CRF = 63
MAX_PREVIEW = 20
MAX_FPS = 1000

STEADY_MODELS = ("photo",)
"""Families that are made to invent detail, and do so from noise."""

_BROADCAST = {
    "23.976": Fraction(24000, 1001),
    "29.97": Fraction(30000, 1001),
    "59.94": Fraction(60000, 1001),
}
"""The rates behind their usual short forms."""


@dataclass(frozen=True)
class ClipOptions:
    """How clips are read and written.

    Attributes:
        codec: Of the result: `h264`, `hevc`, `av1`, `vp9`, `ffv1` or `prores`; None for that of
            the source where the container holds it.
        crf: Constant rate factor, 0 to 63, lower is better; None for the codec's default.
        colour: Matrix and range of the source, such as `bt709` or `bt709-full`, instead of its
            tags; None reads the tags, and untagged clips by their size.
        deinterlace: Deinterlace interlaced clips.
        allow_damaged: Replace damaged frames by what the decoder makes of them, and accept
            truncated clips.
        resume: Continue an interrupted run.
        preview: Write a sheet of this many frames, bicubic beside the result, and no clip.
        fps: Frames a second of images that become a clip, such as `25` or `30000/1001`.
        steady: Keep the result where a clip did not change beyond noise; None for the models
            that make noise flicker (`STEADY_MODELS`).
        segment: Frames of a segment, the most that an interruption loses.
    """

    codec: str | None = None
    crf: int | None = None
    colour: str | None = None
    deinterlace: bool = False
    allow_damaged: bool = False
    resume: bool = False
    preview: int | None = None
    fps: str | None = None
    steady: bool | None = None
    segment: int = 240

    @property
    def rate(self) -> Fraction | None:
        """`fps` as a number.

        Raises:
            RefusedError: `out-of-range`.
        """
        if self.fps is None:
            return None
        try:
            rate = _BROADCAST.get(self.fps) or Fraction(self.fps)
        except (ValueError, ZeroDivisionError):
            rate = Fraction(0)
        if not Fraction(1, 100) <= rate <= MAX_FPS:
            raise RefusedError(
                "out-of-range", "fps", value=f"'{self.fps}'", allowed=f"0.01 to {MAX_FPS}"
            )
        return rate.limit_denominator(100_000)

    @property
    def of_clip_alone(self) -> str | None:
        """The first option that is given and says that the result is a clip; None if none is."""
        given = {
            "codec": self.codec is not None,
            "crf": self.crf is not None,
            "resume": self.resume,
            "steady": bool(self.steady),
            "preview": self.preview is not None,
        }
        return next((name for name, is_given in given.items() if is_given), None)

    def steady_for(self, models: Iterable[str]) -> bool:
        """Whether clips of these models are steady."""
        if self.steady is not None:
            return self.steady
        return any(re.fullmatch(rf"{f}(-x\d)?", m) for f in STEADY_MODELS for m in models)

    def check(self) -> None:
        """Check the values.

        Raises:
            RefusedError: `unknown-value`, `out-of-range` or `conflicting-options`.
        """
        for name, value, known in (
            ("codec", self.codec, CODEC_NAMES),
            ("colour", self.colour, COLOUR_NAMES),
        ):
            if value is not None and value not in known:
                raise RefusedError("unknown-value", name, value=value, known=known)
        if self.crf is not None and not 0 <= self.crf <= MAX_CRF:
            raise RefusedError("out-of-range", "crf", value=self.crf, allowed=f"0 to {MAX_CRF}")
        _ = self.rate
        if self.preview is not None and not 1 <= self.preview <= MAX_PREVIEW:
            raise RefusedError(
                "out-of-range", "preview", value=self.preview, allowed=f"1 to {MAX_PREVIEW}"
            )
        for name, other in (
            ("deinterlace", self.deinterlace),
            ("fps", self.fps),
            ("steady", self.steady),
        ):
            if self.preview is not None and other:
                raise RefusedError("conflicting-options", "preview", other=name)
        if self.segment < 1:
            raise RefusedError("out-of-range", "segment", value=self.segment, allowed="at least 1")
