"""Models: names, checkpoints, manifests, networks of other tools."""

from __future__ import annotations

from sr_cli.cli.messages.template import Message

MESSAGES: dict[str, Message] = {
    # facts: known
    "unknown-model": Message(
        "unknown model '{subject}'",
        "known: {known}; more: sr download-weights; or give a checkpoint file",
    ),
    # facts: available (scales as xN), known
    "no-weights": Message(
        "{subject} has no trained weights",
        "trained: {known}; or give a checkpoint file",
        {"other-scales": "trained scales: {available}"},
    ),
    "not-downloaded": Message(
        "{subject} is not downloaded yet",
        "sr download-weights {subject}, or --download",
        {"address": "sr download-weights {subject}"},
    ),
    # facts: licence
    "licence-not-accepted": Message(
        "{subject} is under {licence}, which must be accepted first",
        "sr download-weights {subject} --accept-license",
    ),
    # facts: scale, available
    "scale-not-available": Message("{subject}: no x{scale}", "available: x{available:, x}"),
    # subject: several models
    "no-common-scale": Message("{subject} have no scale in common"),
    "chain-is-not-one-network": Message("{subject} is a chain of networks, not one"),
    "chain-is-not-averaged": Message(
        "{subject}: chains and networks that keep the size cannot be averaged with others"
    ),
    "chain-enlarges-early": Message(
        "{subject} changes the size: in a chain only the last model may",
        "for example: -m denoise.pth+edsr",
    ),
    # facts: file
    "damaged-weights": Message(
        "{subject}: {file} is not the released file",
        "install sr again",
        {"fetch-again": "it was removed; sr download-weights {subject} fetches it again"},
    ),
    # facts: reason
    "invalid-manifest": Message(
        "{subject}: not a manifest of weights ({reason})", hints={"reinstall": "install sr again"}
    ),
    # facts: file, other
    "manifest-file-taken": Message(
        "{subject}: {file} is the file of {other}", "give it another file name"
    ),
    # facts: reason
    "unreadable-checkpoint": Message(
        "{subject}: not a readable checkpoint ({reason})",
        "a truncated download, or another kind of file",
    ),
    "not-our-checkpoint": Message("{subject}: not a checkpoint of sr: its header says nothing"),
    # facts: reason
    "invalid-header": Message("{subject}: its header does not describe a network ({reason})"),
    # facts: network, missing, unknown, wrong_shape
    "tensors-do-not-fit": Message(
        "{subject}: its tensors are not those of {network} "
        "(missing: {missing}; unknown: {unknown}; wrong shape: {wrong_shape})"
    ),
    # facts: mib
    "expands-too-far": Message("{subject}: expands to {mib} MiB, many times its own size"),
    # facts: known
    "unknown-architecture": Message(
        "{subject}: not a supported architecture", "supported: {known}"
    ),
    # facts: architecture, purpose
    "wrong-purpose": Message("{subject}: {architecture} is for {purpose}, not for upscaling"),
    # facts: architecture, inputs, outputs
    "unsupported-channels": Message(
        "{subject}: {architecture} with {inputs} input and {outputs} output channels "
        "is not supported"
    ),
    # facts: unknown, known
    "unknown-setting": Message("{subject} has no setting {unknown}", "settings: {known}"),
    # facts: reason
    "network-cannot-be-built": Message("{subject} cannot be built: {reason}"),
}

NOTES: dict[str, str] = {}
