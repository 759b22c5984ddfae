"""Benchmarks: test sets, protocols, figures."""

from __future__ import annotations

from sr_cli.cli.messages.template import Message

MESSAGES: dict[str, Message] = {
    # Options. facts: other
    "option-requires": Message("{subject} requires {other}"),
    # Images. facts: width, height, needed (the least width and height)
    "image-too-small": Message(
        "{subject}: {width}x{height} pixels are too few, at least {needed}x{needed} are required"
    ),
    # facts: sr, hr (shapes)
    "shape-mismatch": Message(
        "{subject}: images of different shapes cannot be compared ({sr:x} and {hr:x})"
    ),
    # facts: lr_size, hr, hr_size, scale
    "lr-size-mismatch": Message(
        "{subject}: {lr_size:x} pixels are not 1/{scale} of {hr}, which has {hr_size:x}"
    ),
    # Test sets. facts: known
    "unknown-test-set": Message(
        "unknown test set '{subject}'", "choose from: {known}; or a folder"
    ),
    # facts: test_set, example
    "set-not-found": Message(
        "{subject}: no copy of {test_set} in this folder",
        "{example} must be in it or in its folder {test_set}",
    ),
    # facts: test_set
    "set-incomplete": Message("{subject}: missing from this copy of {test_set}"),
    "set-modified": Message("{subject}: not the file of {test_set} (its SHA-256 differs)"),
    # facts: count
    "duplicate-set": Message(
        "{count} test sets are called '{subject}'", "rename a folder, or measure them one by one"
    ),
    # facts: cause
    "model-failed": Message("{subject} could not be measured: {cause}"),
    # Comparisons. facts: width, height
    "crop-outside-image": Message(
        "the region is outside {subject}, which has {width}x{height} pixels"
    ),
    "nothing-to-compare": Message("no image was measured by enough models to compare them"),
    # facts: reason
    "plot-failed": Message("{subject}: the plot cannot be drawn ({reason})"),
    # --check. facts: known
    "set-without-figures": Message(
        "no figures ship for {subject}", "choose from: {known}, the papers' own images"
    ),
    # facts: scales
    "model-without-figures": Message("no figures ship for {subject} at x{scales:, x}"),
    "niqe-undefined": Message(
        "{subject}: has no NIQE: nothing varies in all blocks of 96x96 pixels but one"
    ),
    # LPIPS. facts: network, tensor
    "lpips-tensor-missing": Message(
        "{subject}: not the weights of LPIPS ({network}): {tensor} is missing"
    ),
    # facts: network
    "lpips-weights-modified": Message("{subject}: not the published weights of LPIPS ({network})"),
    # --ocr
    "tesseract-not-found": Message(
        "{subject} requires the program tesseract, which was not found",
        "install it (Debian: apt install tesseract-ocr), or add it to PATH",
    ),
    # facts: reason
    "tesseract-failed": Message("{subject} failed: {reason}"),
    "text-missing": Message(
        "{subject}: the text of this image is missing",
        "beside FILE.png, FILE.gt.txt holds what is written in it",
    ),
    # facts: reason
    "unreadable-text": Message("{subject}: the text cannot be read: {reason}"),
}

NOTES: dict[str, str] = {}
