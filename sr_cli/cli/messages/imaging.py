"""Images: decoding, formats, what a format does not support, pairs of hr and lr files."""

from __future__ import annotations

from sr_cli.cli.messages.template import Message

_FEATURES = {
    "16-bit": "16 bits per channel",
    "wide": "samples that are floats, signed or of 32 bits",
    "bands": "further bands",
    "alpha": "transparency",
    "animation": "animations",
    "pages": "several pages",
    "16-bit-animation": "animations with 16 bits per channel",
    "pq": "PQ (HDR)",
    "hlg": "HLG (HDR)",
    "video-range": "RGB in the range of video",
}

MESSAGES: dict[str, Message] = {
    "empty-file": Message("{subject}: empty file"),
    # facts: known
    "unknown-image-format": Message(
        "{subject}: not an image in a known format", "known formats: {known}"
    ),
    # facts: format
    "not-supported-format": Message("{subject}: {format} is not supported"),
    # facts: format
    "unsupported-image": Message("{subject}: damaged, or an unsupported kind of {format}"),
    # facts: reason
    "damaged-image": Message(
        "{subject}: damaged or unsupported image ({reason})",
        hints={"allow-truncated": "--allow-truncated decodes what is left of a damaged file"},
    ),
    "unsupported-16-bit-image": Message(
        "{subject}: damaged, or an unsupported kind of 16-bit image",
        "--allow-truncated decodes it with 8 bits per channel",
    ),
    # facts: format
    "animation-not-supported": Message(
        "{subject}: {format} animations are not supported",
        "convert it to WebP, AVIF, APNG or GIF",
    ),
    # facts: samples
    "unsupported-samples": Message(
        "{subject}: {samples} samples are not supported",
        "convert them to integers of 8, 16 or 32 bits or to floats",
        hints={
            "black-is-zero": "store them with 0 as black",
            "as-rgb": "convert them to RGB",
        },
    ),
    # facts: kind
    "unsupported-dicom": Message(
        "{subject}: DICOM of this kind is not supported ({kind})",
        words={
            "no-image": "no image of integers in it",
            "enhanced": "enhanced multi-frame, of slides, segments or volumes of ultrasound, "
            "or without groups for all frames",
            "colour": "colour",
            "rt-image": "RT image",
            "padding-range": "padding with a range of values",
            "bits": "other than 8 to 16 bits",
            "high-bit": "the high bit is not the last of the stored bits",
            "no-identity": "no SOP class or no instance UID",
            "position": "a position without orientation and pixel spacing",
        },
    ),
    # facts: syntax
    "undecodable-pixels": Message(
        "{subject}: pixels cannot be decoded ({syntax}: damaged, or no decoder is installed)",
        "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg adds decoders",
    ),
    # facts: format
    "only-from-itself": Message(
        "{subject}: results in {format} are only made of {format} files",
        "-f png or tif writes an image",
    ),
    # facts: reason
    "bad-georeference": Message(
        "{subject}: GeoTIFF tags do not place the image ({reason})",
        "--strip drops them",
        words={
            "count": "a tag has the wrong number of values",
            "keys": "the directory of keys is cut off",
            "scale": "a pixel has no size",
            "contradiction": "scale and tie points contradict the transformation",
            "orientation": "the image is stored turned",
        },
    ),
    # facts: compression
    "unsupported-compression": Message(
        "{subject}: samples of this kind with {compression} compression are not supported",
        "store them with LZW, Deflate or no compression",
    ),
    # facts: pixels, max_pixels
    "too-many-pixels": Message(
        "{subject}: {pixels} pixels in all, more than {max_pixels}", "--max-pixels raises the limit"
    ),
    # facts: format, features, formats
    "unsupported-by-format": Message(
        "{subject}: {format} does not support {features: or }",
        hints={
            "other-format": "-f {formats: or } does",
            "drop": "--flatten drops it",
            "either": "-f {formats: or } does; --flatten drops it",
        },
        words=_FEATURES,
    ),
    # facts: width, height, format, max_side, max_pixels, formats
    "too-large-for-format": Message(
        "{subject}: {width}x{height} is too large for {format} "
        "(at most {max_side} pixels a side, {max_pixels} in all)",
        "--max-side limits the size of the result",
        {"other-format": "-f {formats: or } supports it"},
    ),
    "lossless-avif-animation": Message(
        "{subject}: lossless AVIF does not support animations", "lossless WebP and PNG do"
    ),
    # facts: format, reason
    "encoding-failed": Message("{subject}: cannot be encoded as {format} ({reason})"),
    # facts: other
    "ambiguous-pair": Message("{subject} and {other} have the same name"),
    # facts: others
    "missing-partner": Message("{subject} has no partner (further files without one: {others})"),
}

NOTES: dict[str, str] = {
    # facts: mode
    "converted-to-srgb": "{mode} converted to sRGB",
    "converted-without-profile": (
        "{mode} without a usable profile: converted to sRGB, colours may shift"
    ),
    # facts: count
    "reduced-pages-skipped": "reduced copies of pages skipped: {count}",
    # facts: count
    "mask-pages-skipped": "pages with masks skipped: {count}; what they hide is upscaled as well",
    # facts: count
    "pyramid-dropped": "reduced copies or other images below pages dropped: {count}",
    "cloud-order-dropped": (
        "the result is not cloud-optimised, as its input is (gdal_translate -of COG makes it so)"
    ),
    # facts: files
    "files-beside-unread": "files beside the image are not read: {files:, }",
    # facts: bits
    "depth-reduced": "{bits} bits per channel are read as 8",
    "crop-ignored": "crop in the file ignored: it is not valid",
    # facts: format
    "reduced-to-palette": "{format}: reduced to 256 colours, transparency to on or off",
    # facts: space
    "profile-unusable": "ICC profile for {space} dropped: it does not fit the pixels",
    # facts: count
    "statistics-dropped": "statistics of the values of the input dropped: {count}",
    # facts: block
    "calibration-dropped": (
        "{block} dropped, with the resolution: not all of its pages are in the result"
    ),
    # facts: count
    "regions-dropped": "regions drawn at pixels of the input dropped: {count}",
    # facts: low, high
    "values-mapped": (
        "values from {low:.7g} to {high:.7g} mapped to 0 to 1 and back; "
        "the result stays within them"
    ),
    # facts: count
    "bands-alone": "bands upscaled one by one: {count}",
    # facts: count
    "bands-beside-colour": "RGB upscaled together, the other bands one by one: {count}",
    # facts: count
    "bands-dropped": "further bands dropped: {count}",
    # facts: low, high, top
    "values-narrowed": "values from {low:.7g} to {high:.7g} became 0 to {top}",
    # facts: center, width, top
    "window-applied": (
        "not the stored values: window with center {center:.7g} and width {width:.7g}, 0 to {top}"
    ),
    # facts: count
    "looks-applied": "not the stored values: each frame through its own window or table ({count})",
    # facts: top
    "voi-lut-applied": "not the stored values: shown through the VOI LUT, 0 to {top}",
    # facts: attributes
    "attributes-dropped": "DICOM attributes that were true of the input dropped: {attributes}",
    # facts: count
    "missing-values": (
        "pixels without a value (NaN, infinite, nodata or masked), filled while upscaling and "
        "restored: "
        "{count}"
    ),
    "read-at-8-bits": "damaged or truncated: decoded with 8 bits per channel",
    # facts: block, format
    "metadata-dropped": "{block} dropped: {format} does not support it",
    # facts: block, format, bytes
    "metadata-too-large": "{block} dropped: {bytes} bytes do not fit in a {format} file",
    # facts: blocks
    "further-dropped": "further data dropped: {blocks}",
    # facts: values
    "colour-not-understood": "cICP dropped: its values ({values}) have no known meaning for RGB",
    # facts: format
    "provenance-not-written": (
        "provenance not written: the XMP of the image cannot be extended, or has no room for it"
    ),
    # facts: part
    "part-unreadable": "{part} dropped: missing, damaged or of an unknown kind",
    # facts: part, format
    "part-unsupported": "{part} dropped: not supported in {format} files",
    # facts: count, kinds
    "images-dropped": "further images in the file dropped: {count} ({kinds})",
    "default-image-dropped": "image for viewers without animation dropped: not part of it",
    # facts: bytes
    "data-dropped": "data after the image dropped: {bytes} bytes of an unknown kind",
    "xmp-unreadable": "XMP dropped: it concerns a gain map or video, and cannot be parsed",
    "lossless-avif-without-metadata": (
        "metadata dropped: lossless AVIF has it only with OpenCV 5 (lossless WebP and PNG keep it)"
    ),
}
