"""Upscaling: inputs, outputs, sizes, devices."""

from __future__ import annotations

from sr_cli.cli.messages.template import Message

MESSAGES: dict[str, Message] = {
    "no-images-in-folder": Message(
        "{subject}: no images in this folder", hints={"recursive": "-r searches its subfolders"}
    ),
    "no-images-match": Message("{subject}: no images match"),
    # facts: first, second (inputs)
    "outputs-collide": Message(
        "{first} and {second} would both be written to {subject}",
        "rename one of them, or run them separately",
    ),
    # facts: source
    "output-is-an-input": Message("{subject} is both an input and the output of {source}"),
    "output-not-a-folder": Message("{subject} is a file; several results require a folder"),
    # facts: known
    "format-not-in-name": Message(
        "{subject}: the name does not determine the output format",
        "end the name of a file in {known}, that of a folder in /",
    ),
    # facts: source
    "archive-not-in-name": Message(
        "{subject}: the result of an archive ({source}) is an archive",
        "end the name of a file in .cbz, that of a folder in /",
    ),
    "unsupported-archive": Message(
        "{subject}: of comic archives, only .cbz (ZIP) is supported",
        "unpack it and pack the pages into a ZIP file named .cbz",
    ),
    # facts: reason
    "damaged-archive": Message("{subject}: damaged or unsupported archive ({reason})"),
    "encrypted-archive": Message(
        "{subject}: encrypted archives are not supported", "unpack it with its password"
    ),
    # facts: entry, reason
    "unsafe-entry": Message(
        "{subject}: refused because of the name of an entry, {entry} ({reason})",
        words={
            "absolute": "it is absolute",
            "backslash": "it has a backslash",
            "parent": "it leads out of the folder",
            "unprintable": "it cannot be printed",
            "duplicate": "it is there twice",
        },
    ),
    "no-pages": Message("{subject}: no images in this archive"),
    # facts: format
    "format-contradicts-name": Message("{subject}: the name does not match -f {format}"),
    # facts: format
    "format-of-other-kind": Message("{subject} cannot be written as {format}"),
    "clip-on-stdout": Message("{subject}: a clip cannot be written to stdout", "-o names a file"),
    "compare-of-clips": Message("{subject}: --compare is for images", "--preview is for clips"),
    "one-image-on-stdout": Message("stdout can hold only one image", "-o FOLDER/ writes several"),
    # facts: factor, most
    "factor-too-large": Message("{subject}: the result would be x{factor}; the limit is x{most}"),
    # facts: width, height, total, max_pixels
    "result-too-large": Message(
        "{subject}: the result would be {width}x{height}, {total} pixels in total; "
        "the limit is {max_pixels}",
        "--max-pixels raises the limit, --max-side caps the result",
    ),
    # facts: format
    "never-lossless": Message(
        "{subject}: {format} is never lossless",
        "-f png, webp, avif or jxl is",
        {"codec": "--codec h264, hevc, vp9 or ffv1 is"},
    ),
    # facts: available
    "device-not-available": Message(
        "device {subject} is not available here", "available: {available}"
    ),
    # facts: supported
    "precision-not-supported": Message(
        "this CPU does not support {subject}", "it supports {supported}"
    ),
    # facts: network, precision, device, reason
    "network-failed": Message(
        "{subject}: {network} failed in {precision} on {device}: {reason}",
        hints={"other-precision": "try --precision fp32"},
    ),
    # facts: device, tile
    "out-of-memory": Message(
        "{subject}: out of memory on {device}, even with tiles of {tile} pixels",
        "close other programs, or use --device cpu",
    ),
    # facts: device, needed_mib, free_mib
    "whole-image-too-large": Message(
        "{subject}: upscaling the whole image at once takes about {needed_mib} MiB on {device}, "
        "{free_mib} MiB are free",
        "leave out --tile 0",
    ),
    # facts: network
    "not-finite": Message("{subject}: the result of {network} is not finite, even in fp32"),
    "image-out-of-memory": Message(
        "{subject}: out of memory", "close other programs, or use --max-side"
    ),
    # facts: reason
    "image-failed": Message("{subject}: {reason}"),
    # facts: reason
    "not-adaptable": Message(
        "{subject} cannot be tuned to an image ({reason})",
        "-m edsr can, and checkpoints of sr train",
        words={
            "bicubic": "it has no weights",
            "chain": "it is a chain",
            "foreign": "its weights are not of sr",
            "perceptual": "it is not trained for the least error, and would unlearn what it is for",
        },
    ),
    # facts: size, smallest
    "too-small-to-adapt": Message(
        "{subject}: too small to tune a network to it ({size}; both sides need {smallest} pixels)",
        "leave out --adapt",
    ),
    # facts: frames
    "one-frame-to-adapt": Message(
        "{subject}: --adapt is for images of one frame or page; this one has {frames}",
        "leave out --adapt, or use --flatten with a format that holds one",
    ),
    # facts: seconds, reason
    "cluster-unreachable": Message(
        "{subject}: no scheduler answers within {seconds} s ({reason})",
        "dask scheduler starts one; tls:// requires its authority and certificates",
    ),
    # facts: reason
    "store-not-supported": Message("{subject}: not supported ({reason})"),
    "clip-in-store": Message(
        "{subject}: clips cannot be read from or written to a store",
        "copy it to this machine first",
    ),
    # facts: reason
    "workers-not-started": Message("the worker processes did not start ({reason})"),
    # the scheduler ended or cannot be reached any more
    "cluster-lost": Message(
        "{subject}: the connection to the scheduler was lost",
        "the same command with --skip-existing resumes",
    ),
    # facts: seconds
    "no-workers": Message(
        "{subject}: no worker within {seconds} s",
        hints={"cluster": "dask worker {subject} starts some"},
    ),
    # facts: cause
    "worker-unfit": Message("worker {subject}: {cause}"),
    # facts: what, found, wanted
    "worker-differs": Message("{what} differs: {found} there, {wanted} here"),
    # facts: reason
    "worker-failed": Message("cannot be used ({reason})"),
    # facts: unfit, workers
    "workers-refused": Message(
        "{unfit} of {workers} workers are not fit for the work",
        "--some uses the others, if there are any",
    ),
    # facts: kills
    "worker-killed": Message(
        "{subject}: {kills} workers were lost with it",
        "perhaps it takes more memory than a worker has; --tile makes tiles smaller",
    ),
    "input-replaced": Message(
        "{subject}: workers cannot overwrite an input with its result",
        "write the results to another folder",
    ),
    "not-an-image": Message(
        "not an image: {subject}",
        "supported: a PIL image, or an array (h, w), (h, w, 3) or (h, w, 4) "
        "of uint8, uint16 or float32",
    ),
}

NOTES: dict[str, str] = {
    # -m auto. facts: model
    "text-model-chosen": "looks like a page of text: upscaled with {model}",
    "general-model-chosen": "does not look like a page of text: upscaled with {model}",
    "general-model-unseen": "-m auto does not look into stdin, clips and archives: upscaled with "
    "{model}",
    # facts: network, difference
    "tiles-differ": "tiles of {network} differ by up to {difference:g} of 255 from the whole "
    "image; --tile 0 upscales it at once",
    "rounded-to-8-bit": "rounded to 8 bits: the model takes 8-bit pixels",
    # facts: count, suffixes
    "images-copied": "images of unsupported formats, copied as they are: {count} ({suffixes})",
    # facts: count
    "entries-copied": "entries that are not pages, copied as they are: {count}",
    # facts: entry
    "page-sizes-dropped": "{entry}: sizes of pages dropped, because they are no longer true",
    # facts: model
    "faithful-model": "measured values: upscaled with {model}, which invents nothing",
    # facts: model
    "may-invent": (
        "warning: measured values, and {model} may invent some (-m edsr does not; --verify "
        "measures it)"
    ),
    # facts: largest, mean, count
    "verified": "reduced again, it deviates from the input by at most {largest:.3g} of 255, "
    "{mean:.3g} on average",
    "not-verified": "not verified: nothing that has a value became larger",
    # facts: format
    "verified-before-compression": (
        "verified before compression: {format} changes pixels (-f png or tif does not)"
    ),
    # facts: steps, gain
    "adapted": "tuned to the image in {steps} steps: {gain:+.2f} dB on the part that was held back",
    # facts: steps
    "not-adapted": "not better on the part that was held back, after {steps} steps of tuning: "
    "upscaled with the weights as they are",
    # facts: file
    "unreadable-result-replaced": "{file} was empty or damaged, and is made again",
    # facts: reason (model, frames, alpha, bands, values, factor, memory)
    "not-split": "computed by one worker, not in bands ({reason})",
}
