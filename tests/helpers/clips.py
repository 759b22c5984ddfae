"""Small clips, made frame by frame, and what is in a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

KR_KB = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""By MatrixCoefficients: ITU-R BT.709, BT.601 and BT.2020."""

LOSSLESS = {
    "libx264": {"qp": "0"},
    "libx265": {"x265-params": "lossless=1:log-level=none:ctu=16"},
}


@dataclass
class Made:
    """How a clip is made.

    Attributes:
        codec: FFmpeg's name of the encoder; lossless where it can be.
        pixel_format: FFmpeg's name.
        width, height: In pixels.
        times: Of the frames, in `time_base`.
        time_base: Of the video.
        tags: colorspace, color_range, color_primaries, color_trc.
        options: Of the encoder.
    """

    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    width: int = 32
    height: int = 32
    times: Sequence[int] = tuple(range(0, 2000, 500))
    time_base: Fraction = Fraction(1, 12800)
    tags: dict[str, int] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)

    def frame(self, planes: Sequence[NDArray[Any] | int], pts: int) -> av.VideoFrame:
        """A frame of planes (h, w), or of one value each."""
        frame = av.VideoFrame(self.width, self.height, self.pixel_format)
        deep = frame.format.components[0].bits > 8
        for target, values in zip(frame.planes, planes, strict=True):
            rows = np.frombuffer(target, np.uint16 if deep else np.uint8)
            rows = rows.reshape(-1, target.line_size // rows.itemsize)
            rows[: target.height, : target.width] = values
        frame.pts, frame.time_base = pts, self.time_base
        for name, value in self.tags.items():
            setattr(frame, name, value)
        return frame

    def add_to(self, container: Any) -> Any:
        """Add the encoder's stream to an output container."""
        options = LOSSLESS.get(self.codec, {}) | self.options
        stream = container.add_stream(self.codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = self.width, self.height, self.pixel_format
        stream.codec_context.time_base = stream.time_base = self.time_base
        for name, value in self.tags.items():
            setattr(stream.codec_context, name, value)
        return stream

    def write(self, path: Path, contents: Sequence[Sequence[Any]] | None = None) -> Path:
        """Write a clip; without contents, a gray ramp over the frames."""
        contents = contents or [(20 + 9 * (n % 24), 120, 140) for n in range(len(self.times))]
        with av.open(path, "w") as container:
            stream = self.add_to(container)
            for planes, pts in zip(contents, self.times, strict=True):
                container.mux(stream.encode(self.frame(planes, pts)))
            container.mux(stream.encode())
        return path


def moving(count: int, width: int, height: int) -> list[list[NDArray[Any]]]:
    """4:2:0 contents of frames: a smooth texture that moves, and jumps every 40 frames."""
    noise = np.random.default_rng(1).integers(0, 256, (height + 40, width + 400), np.uint8)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 16, 235, cv2.NORM_MINMAX)
    views = [
        texture[n % 40 :, n // 40 * 90 % 300 + n % 40 :][:height, :width] for n in range(count)
    ]
    return [[view, view[::2, ::2] // 2 + 64, 192 - view[::2, ::2] // 2] for view in views]


def frames_of(path: Path) -> list[av.VideoFrame]:
    """All frames of the first video stream."""
    with av.open(path) as container:
        return list(container.decode(video=0))


def times_of(path: Path) -> list[Fraction]:
    """When each frame is shown, in seconds."""
    return [frame.pts * frame.time_base for frame in frames_of(path)]


def plane_of(frame: av.VideoFrame, index: int) -> NDArray[Any]:
    """A plane of a frame as (h, w)."""
    plane = frame.planes[index]
    deep = frame.format.components[0].bits > 8
    rows = np.frombuffer(plane, np.uint16 if deep else np.uint8)
    return rows.reshape(-1, plane.line_size // rows.itemsize)[: plane.height, : plane.width]


def yuv_of(rgb: Sequence[int], matrix: int, full: bool, depth: int) -> list[int]:
    """8-bit RGB as integers of video (ITU-T H.273, section 8.3)."""
    r, g, b = (v / 255 for v in rgb)
    kr, kb = KR_KB[matrix]
    y = kr * r + (1 - kr - kb) * g + kb * b
    chroma = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    middle = 1 << (depth - 1)
    if full:
        top = (1 << depth) - 1
        values = [y * top, *(c * top + middle for c in chroma)]
    else:
        step = 1 << (depth - 8)
        values = [(16 + 219 * y) * step, *(224 * step * c + middle for c in chroma)]
    return [min(max(round(v), 0), (1 << depth) - 1) for v in values]


def rgb_of(yuv: Sequence[float], matrix: int, full: bool, depth: int) -> NDArray[Any]:
    """Integers of video as RGB, 0 to 255, not rounded: what a correct player shows."""
    kr, kb = KR_KB[matrix]
    yuv = [float(value) for value in yuv]
    middle, step = 1 << (depth - 1), 1 << (depth - 8)
    if full:
        top = (1 << depth) - 1
        y, cb, cr = yuv[0] / top, (yuv[1] - middle) / top, (yuv[2] - middle) / top
    else:
        y = (yuv[0] / step - 16) / 219
        cb, cr = (yuv[1] - middle) / step / 224, (yuv[2] - middle) / step / 224
    r, b = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    g = (y - kr * r - kb * b) / (1 - kr - kb)
    return np.array([r, g, b]) * 255


def add_tone(container: Any, codec: str = "aac", language: str = "fra") -> Any:
    """Add an audio stream; `tone_packets` fills it."""
    stream = container.add_stream(codec, rate=48000, layout="mono")
    stream.metadata["language"] = language
    return stream


def tone_packets(stream: Any, seconds: float, start: float = 0.0) -> list[Any]:
    """A tone, encoded."""
    packets: list[Any] = []
    size, count = 960, round(seconds * 50)
    for index in range(count):
        time = (np.arange(size) + index * size) / 48000
        wave = (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, index * size + round(start * 48000)
        frame.time_base = Fraction(1, 48000)
        packets += stream.encode(frame)
    return packets + list(stream.encode(None))


def subtitle_packet(stream: Any, text: bytes, begin: int, length: int) -> Any:
    """One line of subtitles; times in milliseconds."""
    packet = av.Packet(text)
    packet.pts = packet.dts = begin
    packet.duration, packet.time_base, packet.stream = length, Fraction(1, 1000), stream
    return packet


def packets_of(path: Path, kind: str) -> list[tuple[Fraction, Fraction, bytes]]:
    """Time, duration and content of all packets of a kind of stream."""
    with av.open(path) as container:
        streams = [s for s in container.streams if s.type == kind]
        return [
            (p.pts * p.time_base, (p.duration or 0) * p.time_base, bytes(p))
            for p in container.demux(*streams)
            if p.size
        ]
