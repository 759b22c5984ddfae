"""Clips: what is in them, what a container or an encoder cannot hold, interrupted runs."""

from __future__ import annotations

from sr_cli.cli.messages.template import Message

_RERUN = "--resume continues it, -y starts again"

MESSAGES: dict[str, Message] = {
    # facts: format
    "not-a-clip": Message("{subject}: an image ({format}), not a clip", "rename it"),
    # facts: format
    "is-a-clip": Message(
        "{subject}: a clip ({format}), not an image",
        hints={"rename": "rename it", "stdin": "clips are read from files"},
    ),
    # facts: reason
    "damaged-clip": Message("{subject}: damaged, or not a clip ({reason})"),
    "no-video-stream": Message("{subject}: no video stream"),
    "no-frames": Message("{subject}: no frames"),
    # facts: time, reason
    "damaged-frame": Message(
        "{subject}: damaged at {time} ({reason})", "--allow-damaged goes on from there"
    ),
    # facts: time
    "truncated-clip": Message(
        "{subject}: truncated after {time}", "--allow-damaged accepts what is left"
    ),
    # facts: time, width, height
    "clip-size-changes": Message(
        "{subject}: the size changes to {width}x{height} at {time}", "cut it there"
    ),
    # facts: time
    "interlaced": Message("{subject}: interlaced at {time}", "--deinterlace applies bwdif"),
    # facts: format
    "transparent-clip": Message(
        "{subject}: transparency is not supported ({format})",
        hints={"flatten": "--flatten puts it onto white"},
    ),
    # facts: format
    "hdr-images": Message(
        "{subject}: {format} does not say that colours are HDR or wide gamut", "-f png does"
    ),
    # facts: width, height, bits
    "frame-differs": Message(
        "{subject}: {width}x{height} with {bits} bits, unlike the first image"
    ),
    # facts: count
    "several-frames": Message("{subject}: {count} frames, where one image is wanted"),
    "fps-without-images": Message(
        "--fps is for images that become a clip", "for example: sr upscale frames/ -o clip.mp4"
    ),
    # facts: source, other
    "not-only-frames": Message(
        "{subject}: holds other files ({other}), among which frames of {source} would be written",
        "-f mp4 writes a clip into the folder, -f png the frames",
    ),
    # facts: line
    "invalid-timestamps": Message(
        "{subject}: line {line} is not a time after the one before", "--fps replaces the times"
    ),
    # facts: times, images
    "timestamps-mismatch": Message(
        "{subject}: {times} times for {images} images", "--fps replaces the times"
    ),
    # facts: format
    "unsupported-pixel-format": Message("{subject}: the pixel format {format} is not supported"),
    # facts: matrix (a number of ITU-T H.273)
    "unsupported-colour": Message(
        "{subject}: the matrix coefficients {matrix} are not supported",
        "--colour names others that replace the tags",
    ),
    "dolby-vision": Message(
        "{subject}: Dolby Vision is not supported",
        "its metadata describes frames as they were; convert the clip to HDR10 first",
    ),
    # facts: container, known
    "codec-not-in-container": Message("{container} does not hold {subject}", "it holds {known}"),
    # facts: encoder
    "encoder-missing": Message("{subject}: this PyAV was built without {encoder}"),
    # facts: codec, format, codecs
    "pixel-format-not-supported": Message(
        "{subject}: {codec} does not support {format}", "--codec {codecs: or } does"
    ),
    # facts: codec
    "codec-without-crf": Message("{subject}: --crf does not apply to {codec}"),
    # facts: container, streams
    "unsupported-streams": Message(
        "{subject}: {container} does not hold {streams}",
        hints={
            "other-container": "-f mkv may; --flatten drops them",
            "drop": "the clip's own container may; --flatten drops them",
        },
    ),
    # facts: reason
    "clip-not-written": Message("{subject}: cannot be written ({reason})"),
    "clip-in-progress": Message("{subject}: another process is writing it"),
    "unfinished-run": Message("{subject}: segments of an interrupted run", _RERUN),
    "resume-mismatch": Message(
        "{subject}: made from another file or with other options", "-y starts again"
    ),
}

NOTES: dict[str, str] = {
    # facts: matrix
    "colour-assumed": "colours are not tagged: read as {matrix} (--colour)",
    # facts: width, height, layout
    "size-made-even": "{width}x{height}, because {layout} chroma has even sizes",
    # facts: codec, layout
    "rgb-written-as-yuv": "RGB written as {layout} BT.709 by {codec} (--codec ffv1 writes RGB)",
    # facts: codec
    "hdr-metadata-dropped": "HDR10 metadata dropped: {codec} is written without it",
    # facts: names
    "dynamic-hdr-dropped": "dynamic HDR metadata dropped, which describes frames: {names}",
    # facts: container
    "times-rounded": "times rounded to milliseconds, which {container} counts in",
    # facts: streams
    "streams-dropped": "dropped: {streams}",
    "clip-as-images": "written as images, because the output is a folder (-f mp4 writes a clip)",
    # facts: count, fps, file
    "frames-as-images": (
        "{count} frames, {fps} a second on average, their times in {file}; other streams are not "
        "in images"
    ),
    # facts: file
    "times-from-file": "times read from {file}",
    # facts: aspect
    "pixels-not-square": "pixels are not square: {aspect}",
    # facts: count, first
    "images-of-another-clip": "images of a longer clip follow, from {first}: {count}",
    "rotation-not-applied": "rotation not applied: not a multiple of 90 degrees",
    # facts: count
    "damaged-frames": "damaged frames: {count}",
    # facts: time, end
    "clip-truncated": "truncated: frames after {time} are missing, until {end}",
    # facts: count
    "times-repaired": "frames without a usable time, placed by the frame rate: {count}",
}
