"""Training: recipes, data, runs."""

from __future__ import annotations

from sr_cli.cli.messages.template import Message

_NEW_RUN = "-y, without --resume, starts a new run"

MESSAGES: dict[str, Message] = {
    # Recipes.
    # facts: known
    "unknown-field": Message("a recipe has no field '{subject}'", "its fields: {known}"),
    # facts: reason
    "invalid-toml": Message("{subject}: not valid TOML ({reason})"),
    "invalid-setting": Message(
        "--set {subject}: not one setting NAME=VALUE", "for example: --set learning_rate=1e-4"
    ),
    "scale-in-config": Message("{subject}: the scale is given by `scales`", "-x 4"),
    "network-needs-one-scale": Message("{subject} is trained for one scale at a time"),
    # facts: loss
    "loss-needs-rgb": Message("{subject} works on luma: {loss} cannot be used"),
    # facts: cause
    "invalid-teacher": Message("the teacher {subject} cannot be used: {cause}"),
    "teacher-needs-one-scale": Message("a teacher requires a single scale", "give one --scale"),
    # facts: scale, wanted
    "teacher-scale": Message("the teacher {subject} upscales x{scale}, not x{wanted}"),
    "teacher-is-luma": Message("the teacher {subject} works on luma and cannot teach colours"),
    # facts: reason
    "no-discriminator": Message("{subject}: no discriminator of this kind ({reason})"),
    "no-normalisation-statistics": Message(
        "frozen_normalisation needs the statistics of a trained network", "--init CHECKPOINT"
    ),
    # facts: network, config
    "weights-mismatch": Message(
        "{subject} has other layers or sizes than this {network}",
        "sr models FILE shows what a checkpoint is; here: {config}",
    ),
    # facts: network, tensor
    "not-vgg-weights": Message(
        "{subject}: not the weights of {network} ({tensor} is missing or has another shape)"
    ),
    # Requests.
    # facts: suffix
    "wrong-suffix": Message("{subject}: the name must end in {suffix}"),
    # facts: batch, processes
    "batch-not-divisible": Message("a batch of {batch} cannot be shared by {processes} processes"),
    "no-gpu-for-process": Message("process {subject} has no GPU of its own"),
    # facts: batch, needed_mib, free_mib, fitting
    "batch-too-large": Message(
        "a batch of {batch} needs about {needed_mib} MiB, {free_mib} MiB are free",
        "--batch {fitting} would fit, or a smaller --lr-patch",
    ),
    # Data.
    "no-images": Message("{subject}: no images found"),
    # facts: unreadable, too_small, smallest, first
    "no-training-images": Message(
        "no image to train on: {unreadable} unreadable, {too_small} smaller than {smallest} pixels",
        hints={
            "smaller-patch": "a smaller --lr-patch takes smaller images",
            "first": "the first: {first}",
        },
    ),
    "too-few-images": Message(
        "one image is not enough: one is held back for validation", "--val FOLDER"
    ),
    "validation-overlaps": Message("{subject}: images to validate on are also trained on"),
    "no-validation-images": Message("{subject}: no image to validate on"),
    # facts: cause
    "no-test-set": Message("{cause}", "--val FOLDER takes images of your own"),
    "pairs-need-one-scale": Message("{subject}: pairs of hr and lr require a single scale", "-x 4"),
    # facts: size, hr, hr_size, scale
    "pair-size-mismatch": Message(
        "{subject}: {size} is not 1/{scale} of the size of {hr} ({hr_size})"
    ),
    # Runs.
    "run-exists": Message(
        "{subject}: contains a run", "--resume resumes it, -y overwrites it with a new one"
    ),
    "run-in-use": Message("{subject}: another process is training it", "-o NAME for another run"),
    "no-run": Message("{subject}: no run to resume"),
    # facts: reason
    "unreadable-run": Message("{subject}: the run cannot be read ({reason})", _NEW_RUN),
    "no-readable-state": Message("{subject}: no state can be read", _NEW_RUN),
    # facts: changes
    "recipe-differs": Message(
        "{subject}: the run to resume has another recipe ({changes:; })", _NEW_RUN
    ),
    # facts: stored, given
    "run-differs": Message("the run to resume has {subject} {stored}, not {given}"),
    # facts: step, steps
    "run-beyond-limit": Message(
        "the run is already at step {step}, beyond {steps}", "--steps takes a larger number"
    ),
    # facts: steps
    "diverged": Message(
        "{steps} steps in a row had no finite gradient or an exploding loss",
        "the last good state is kept; a lower learning_rate or clip=1 may help",
    ),
    "weights-not-finite": Message(
        "the weights are no longer finite",
        "what was saved before is kept; a lower learning_rate or clip=1 may help",
    ),
}

NOTES: dict[str, str] = {
    # facts: count, first
    "images-unreadable": "unreadable images skipped: {count}; the first: {first}",
    # facts: count
    "images-too-small": "images that are too small skipped: {count}",
    # facts: count
    "given-lr-not-degraded": "images with lr of their own, which is not degraded again: {count}",
    # facts: batch, needed_mib, free_mib, fitting
    "batch-may-not-fit": (
        "a batch of {batch} needs about {needed_mib} MiB, {free_mib} MiB are free: "
        "a batch of {fitting} would fit"
    ),
    # facts: file, reason
    "state-damaged": "{file} is damaged ({reason}): the state before it is used",
    "crop-process-died": "a process that makes crops has died: threads continue, more slowly",
    # facts: validations
    "stopped-early": "no better figure in {validations} validations: the run ends",
}
