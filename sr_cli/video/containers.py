"""Container formats: suffixes, signatures, and which codecs each of them holds. No PyAV."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath

from sr_cli.imaging.formats import sniff_format


@dataclass(frozen=True)
class Container:
    """A container format.

    Attributes:
        name: Its name in messages.
        suffixes: Of its files; the first one, without the dot, is its name in `-f`.
        muxer: FFmpeg's name of the writer; None if clips are only read from it.
        codecs: Values of `--codec` that it holds, the default first.
    """

    name: str
    suffixes: tuple[str, ...]
    muxer: str | None = None
    codecs: tuple[str, ...] = ()

    @property
    def writable(self) -> bool:
        """Whether results can be written in it."""
        return self.muxer is not None


CONTAINERS = (
    Container("MP4", (".mp4", ".m4v"), "mp4", ("h264", "hevc", "av1", "vp9")),
    Container("Matroska", (".mkv",), "matroska", ("h264", "hevc", "av1", "vp9", "ffv1", "prores")),
    Container("WebM", (".webm",), "webm", ("vp9", "av1")),
    Container("QuickTime", (".mov", ".qt"), "mov", ("h264", "hevc", "prores")),
    Container("AVI", (".avi",)),
    Container("MPEG", (".mpg", ".mpeg", ".vob", ".m2ts", ".mts", ".m2t", ".ts")),
    Container("other", (".wmv", ".flv", ".3gp", ".ogv", ".y4m")),
)

_BY_SUFFIX = {suffix: c for c in CONTAINERS for suffix in c.suffixes}

_AMBIGUOUS = (".ts",)
"""Suffixes that programs' sources have, too."""

SNIFFED = 4 + 2 * 192 + 1
"""Bytes of a file by which its container is known."""


def container_of_name(name: str | PurePath) -> Container | None:
    """The container of a file name's suffix, or None."""
    return _BY_SUFFIX.get(PurePath(name).suffix.lower())


def container_by_option(option: str) -> Container | None:
    """The container of `-f mp4`, or None."""
    return _BY_SUFFIX.get("." + option.lower().lstrip("."))


def sniff_container(start: bytes) -> Container | None:
    """The container of a file by its first `SNIFFED` bytes, or None.

    EBML (RFC 8794, section 11.2.1) for Matroska, `ftyp` (ISO/IEC 14496-12, section 4.3) for MP4,
    RIFF with the form `AVI `, and the synchronisation bytes of transport streams (ISO/IEC 13818-1,
    section 2.4.3.2), whose packets may follow four bytes with a time, as on Blu-ray discs.
    """
    if start[:4] == b"\x1a\x45\xdf\xa3":
        return _BY_SUFFIX[".mkv"]
    if start[4:8] == b"ftyp" and sniff_format(start) is None:
        return _BY_SUFFIX[".mov" if start[8:12] == b"qt  " else ".mp4"]
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return _BY_SUFFIX[".avi"]
    for before, step in ((0, 188), (4, 192)):
        if start[before : before + 2 * step + 1 : step] == b"GGG":
            return _BY_SUFFIX[".ts"]
    return None


def is_clip(path: Path) -> bool:
    """Whether a file is a clip by its name, and by its content where names say too little."""
    if container_of_name(path) is None or path.suffix.lower() not in _AMBIGUOUS:
        return container_of_name(path) is not None
    try:
        with path.open("rb") as file:
            return sniff_container(file.read(SNIFFED)) is not None
    except OSError:
        return False


def writable_containers() -> list[str]:
    """Values of `-f` that are clips, one for each container."""
    return [c.suffixes[0].lstrip(".") for c in CONTAINERS if c.writable]


def result_container(source: Container) -> Container:
    """The container of a result: the source's, or Matroska, which holds nearly everything."""
    return source if source.writable else _BY_SUFFIX[".mkv"]
