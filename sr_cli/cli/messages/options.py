"""Options and values that are refused."""

from __future__ import annotations

from sr_cli.cli.messages.template import Message

MESSAGES: dict[str, Message] = {
    # facts: value, known
    "unknown-value": Message("unknown {subject} '{value}'", "choose from: {known}"),
    # facts: value, allowed (in words: "1 to 100")
    "out-of-range": Message("{subject} {value} is out of range", "allowed: {allowed}"),
    # facts: value, wanted (in words: "a whole number")
    "wrong-type": Message("{subject} {value}: must be {wanted}"),
    # facts: wanted, given (types)
    "invalid-request": Message("invalid request: {subject} must be {wanted}, not {given}"),
    "invalid-duration": Message(
        "'{subject}' is not a duration above 0",
        "for example: 90m or 8h",
        {"steps": "for example: 60s, 2m, or a number of steps: 200"},
    ),
    "empty-value": Message("{subject} is empty"),
    # facts: other
    "conflicting-options": Message("{subject} and {other} cannot be used together"),
    # subject: what is missing; facts: example
    "missing-option": Message("{subject} is required", "for example: {example}"),
    # facts: extra
    "extra-missing": Message(
        "{subject} requires the extra '{extra}'",
        "install sr with it, for example: pip install '.[{extra}]' in a checkout",
    ),
}

NOTES: dict[str, str] = {}
