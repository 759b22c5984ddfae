"""A decoded file: its frames as arrays, and its metadata."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import Note
from sr_cli.imaging.cicp import HLG, PQ, Cicp
from sr_cli.imaging.consistency import Deviation
from sr_cli.imaging.formats import Feature, Requirements
from sr_cli.imaging.georeference import Georeference
from sr_cli.imaging.provenance import Provenance
from sr_cli.imaging.values import is_wide


@dataclass
class Band:
    """A band of a TIFF beside gray or RGB and alpha.

    Attributes:
        pixels: (h, w) of the same type as the frame's.
        kind: Its value of ExtraSamples: 0 if it is not specified.
    """

    pixels: NDArray[Any]
    kind: int = 0


@dataclass
class Frame:
    """One image of a file, upright.

    Attributes:
        pixels: (h, w) gray or (h, w, 3) RGB: uint8, uint16, or the wide types of a TIFF, which are
            measurements of any range (`sr_cli.imaging.values`).
        alpha: (h, w) of the same type, straight (not premultiplied); None if opaque, and with wide
            types, where it is a band.
        duration: In an animation, in milliseconds.
        bands: All others.
        nodata: The value of pixels without a value.
    """

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None = None
    duration: float = 0.0
    bands: list[Band] = field(default_factory=list)
    nodata: float | None = None

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])


@dataclass(frozen=True)
class PageLabel:
    """What a page of a TIFF has of its own: ImageDescription and pixels per inch."""

    description: bytes | None = None
    dpi: tuple[float, float] | None = None


@dataclass(frozen=True)
class Calibration:
    """What a microscope image says of its planes and of the size of its pixels.

    Attributes:
        kind: Its name in notes.
        text: The description of the first page.
        size: (width, height) of the first page.
        resolution: Pixels per unit, across and down.
        unit: A value of ResolutionUnit.
        extra: What ImageJ stores beside its description, by name.
    """

    kind: str
    text: bytes
    size: tuple[int, int]
    resolution: tuple[float, float] | None
    unit: int
    extra: dict[str, Any] = field(default_factory=dict, hash=False)


@dataclass
class Metadata:
    """The metadata of a file, as bytes ready to be written.

    Attributes:
        exif: A TIFF block after `Exif\\0\\0`, without thumbnail and orientation.
        xmp: An XML packet.
        xmp_extension: A second packet for what does not fit into the first one in a JPEG.
        icc: A colour profile, of the first page where pages differ.
        page_icc: The profile of each TIFF page; empty if all have `icc`.
        page_labels: Of each TIFF page; empty if all have the description in `exif` and `dpi`.
        page_places: Where each TIFF page lies on the ground; empty if no page says so.
        cicp: Colour by code points. It takes precedence over a profile.
        iptc: IIM records.
        dpi: Horizontal and vertical resolution, in pixels per inch.
        text: Text of PNG files, by keyword.
        comment: Of JPEG and GIF files.
        png_colour: The chunks gAMA, cHRM and sRGB of PNG files without a profile, by name; of BMP
            files what means the same.
        mastering: The display of an HDR image, as the PNG chunks mDCV and cLLI, by name.
        calibration: Of a microscope image.
        dicom: A DICOM file without its pixels.
        further: Names of what else the file has, which nothing writes.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    xmp_extension: bytes | None = None
    icc: bytes | None = None
    page_icc: tuple[bytes | None, ...] = ()
    page_labels: tuple[PageLabel, ...] = ()
    page_places: tuple[Georeference | None, ...] = ()
    cicp: Cicp | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: dict[str, str] = field(default_factory=dict)
    comment: bytes | None = None
    png_colour: dict[bytes, bytes] = field(default_factory=dict)
    mastering: dict[bytes, bytes] = field(default_factory=dict)
    calibration: Calibration | None = None
    dicom: bytes | None = None
    further: tuple[str, ...] = ()


@dataclass
class GainMap:
    """An HDR gain map: the image stretched to cover the picture, with its own metadata.

    Attributes:
        frame: 8 bits, gray or RGB, upright; usually smaller than the picture.
        xmp: Its own XMP packet.
        iso: Its own metadata of ISO 21496-1, with its identifier.
        icc: Its own colour profile.
        base_iso: The part of that metadata that stands with the picture.
        version: `hdrgm:Version` for the XMP of the picture; empty if it has none.
        listed: Whether the directory in the XMP of the picture lists it.
    """

    frame: Frame
    xmp: bytes | None = None
    iso: bytes | None = None
    icc: bytes | None = None
    base_iso: bytes | None = None
    version: str = ""
    listed: bool = False


@dataclass(frozen=True)
class CameraProperty:
    """An XMP property of a camera maker: its qualified name, namespace and value."""

    prefix: str
    name: str
    uri: str
    value: str


@dataclass(frozen=True)
class Video:
    """The video of a motion photo.

    Attributes:
        data: An MP4 or QuickTime file.
        mime: Its type.
        properties: XMP of the picture about the video.
    """

    data: bytes
    mime: str
    properties: tuple[CameraProperty, ...] = ()


@dataclass
class Picture:
    """A decoded file.

    Attributes:
        frames: In the file's order, at least one.
        format: Pillow's name of the file's format.
        metadata: Of the file.
        animation: Whether several frames are an animation; otherwise they are pages.
        loop: How often an animation is played: 0 for ever, None once.
        notes: For the user: what was converted or could not be written.
        provenance: What made it; None for what was read from a file.
        gain_map: Makes an HDR picture of it; only in JPEG.
        video: Makes a motion photo of it; only in JPEG.
        measured: Whether its samples are measurements, which no network may paint over.
        deviation: Of a result, if it was asked for: how far it is, reduced again, from its input.
    """

    frames: list[Frame]
    format: str
    metadata: Metadata = field(default_factory=Metadata)
    animation: bool = False
    loop: int | None = None
    notes: list[Note] = field(default_factory=list)
    provenance: Provenance | None = None
    gain_map: GainMap | None = None
    video: Video | None = None
    measured: bool = False
    deviation: Deviation | None = None

    @property
    def width(self) -> int:
        """Of the first frame."""
        return self.frames[0].width

    @property
    def height(self) -> int:
        """Of the first frame."""
        return self.frames[0].height

    @property
    def has_any_range(self) -> bool:
        """Whether 16 bits are often less: measurements, and what comes in a TIFF."""
        return self.measured or self.format == "TIFF"

    @property
    def features(self) -> frozenset[Feature]:
        """The features that a format must support to hold it."""
        several = len(self.frames) > 1
        cicp = self.metadata.cicp
        sixteen_bit = any(f.pixels.dtype == np.uint16 for f in self.frames)
        has = {
            Feature.SIXTEEN_BIT: sixteen_bit,
            Feature.WIDE: any(is_wide(f.pixels.dtype) for f in self.frames),
            Feature.BANDS: any(f.bands for f in self.frames),
            Feature.ALPHA: any(f.alpha is not None for f in self.frames),
            Feature.ANIMATION: several and self.animation,
            Feature.PAGES: several and not self.animation,
            Feature.SIXTEEN_BIT_ANIMATION: several and self.animation and sixteen_bit,
            Feature.PQ: cicp is not None and cicp.transfer == PQ,
            Feature.HLG: cicp is not None and cicp.transfer == HLG,
            Feature.VIDEO_RANGE: cicp is not None and not cicp.full_range,
        }
        return frozenset(f for f, there in has.items() if there)

    def requirements(self, width: int, height: int) -> Requirements:
        """What a result of this size in pixels requires of its format."""
        return Requirements(width, height, self.features)
