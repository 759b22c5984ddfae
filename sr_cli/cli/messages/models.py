"""Models: names, checkpoints, manifests, networks of other tools."""

from __future__ import annotations

from sr_cli.cli.messages.template import Message

_FORGET = "sr download-weights --prune '{subject}' removes it and forgets its sha256"

MESSAGES: dict[str, Message] = {
    # facts: known
    "unknown-model": Message(
        "unknown model '{subject}'",
        "available: {known}; sr download-weights lists more; checkpoint files work, too",
    ),
    # facts: available (scales as xN), known
    "no-weights": Message(
        "{subject} has no trained weights",
        "trained networks: {known}",
        {"other-scales": "trained scales: {available}"},
    ),
    "not-downloaded": Message(
        "{subject} has not been downloaded",
        "sr download-weights {subject}, or add --download",
        {"address": "sr download-weights {subject}"},
    ),
    # facts: licence
    "licence-not-accepted": Message(
        "{subject}: its licence must be accepted first ({licence})",
        "sr download-weights {subject} --accept-license",
    ),
    # facts: page
    "no-direct-address": Message(
        "{subject} is published without a direct address",
        "download it from {page}, and use -m FILE",
    ),
    # facts: architecture, format, page
    "published-not-supported": Message(
        "{subject} cannot be used: {architecture} as {format} is not supported", "see {page}"
    ),
    "nothing-matches": Message(
        "no model matches '{subject}'", "parts of names, architectures, licences, and x2, x4, …"
    ),
    # facts: scale, available
    "scale-not-available": Message(
        "{subject} is not available at x{scale}", "available: x{available:, x}"
    ),
    # facts: known
    "strength-not-available": Message(
        "{subject} has one set of weights; its strength cannot be changed",
        "--strength is for {known}",
    ),
    "weights-not-mixable": Message(
        "{subject}: its faithful weights are of a network of another shape"
    ),
    # subject: several models
    "no-common-scale": Message("{subject} have no scale in common"),
    "chain-not-supported": Message("{subject} is a chain; a single network is required"),
    "chain-in-average": Message(
        "{subject}: chains and networks that keep the size cannot be averaged with others"
    ),
    "chain-order": Message(
        "{subject} changes the image size; in a chain, only the last model may",
        "for example: -m denoise.pth+edsr",
    ),
    # facts: file
    "damaged-weights": Message(
        "{subject}: {file} is damaged or was modified",
        "reinstall sr",
        {"fetch-again": "it was removed; sr download-weights {subject} downloads it again"},
    ),
    # facts: reason
    "invalid-manifest": Message(
        "{subject}: not a valid weights manifest ({reason})", hints={"reinstall": "reinstall sr"}
    ),
    # facts: file, other
    "manifest-file-conflict": Message(
        "{subject}: the file name {file} is already used by {other}", "choose another file name"
    ),
    # facts: reason
    "unreadable-checkpoint": Message(
        "{subject}: not a readable checkpoint ({reason})",
        hints={
            "lfs-pointer": "git lfs pull in its repository fetches the file itself",
            "address": "nothing was kept; an address must lead to the file itself, without a login "
            "(on the hub: hf://owner/repo/file)",
            "pinned": _FORGET,
        },
        words={
            "empty-file": "an empty file",
            "web-page": "a web page",
            "lfs-pointer": "a Git LFS pointer to the file, not the file itself",
            "truncated-file": "the file is truncated",
        },
    ),
    "not-an-sr-checkpoint": Message("{subject}: not an sr checkpoint (no sr header)"),
    # facts: reason
    "invalid-header": Message("{subject}: invalid checkpoint header ({reason})"),
    # facts: network, missing, unknown, wrong_shape
    "tensor-mismatch": Message(
        "{subject}: its tensors do not match {network} "
        "(missing: {missing}; unexpected: {unknown}; wrong shape: {wrong_shape})"
    ),
    # facts: mib
    "expands-too-much": Message(
        "{subject}: expands to {mib} MiB, many times its size on disk", hints={"pinned": _FORGET}
    ),
    # facts: known
    "unknown-architecture": Message("{subject}: unsupported architecture", "supported: {known}"),
    # facts: architecture, purpose
    "not-for-upscaling": Message("{subject}: {architecture} is for {purpose}, not for upscaling"),
    # facts: architecture, inputs, outputs
    "unsupported-channels": Message(
        "{subject}: {architecture} with {inputs} input and {outputs} output channels "
        "is not supported"
    ),
    # facts: unknown, known
    "unknown-setting": Message("{subject} has no setting {unknown}", "settings: {known}"),
    "no-provenance": Message("{subject}: does not say what made it: no result of sr, or stripped"),
    # facts: reason
    "network-cannot-be-built": Message("{subject} cannot be built: {reason}"),
}

NOTES: dict[str, str] = {
    # facts: used, others (names of the sets of weights in the file)
    "averaged-weights": "uses the averaged weights '{used}' of the file, not {others}",
}
