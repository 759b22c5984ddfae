"""The messages of errors and notes.

Each room of the package has a file here with a table of its codes. A template is filled with the
error's facts and its `{subject}`; lists are joined by commas, another error (a cause) is rendered
in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sr_cli.cli.messages.template import Message, fill
from sr_cli.errors import Note, SrError

from . import evaluation, export, files, imaging, models, options, training, upscale, video

_ROOMS = (options, files, imaging, models, upscale, video, training, evaluation, export)
MESSAGES: Mapping[str, Message] = {c: m for room in _ROOMS for c, m in room.MESSAGES.items()}
NOTES: Mapping[str, str] = {k: t for room in _ROOMS for k, t in room.NOTES.items()}


def sentence(error: SrError) -> str:
    """The message of an error in one line."""
    message = MESSAGES.get(error.code)
    if message is None:
        return str(error)
    return fill(message.text, error.facts | {"subject": error.subject}, sentence, message.words)


def advice(error: SrError) -> str | None:
    """The hint of an error in one line, or None."""
    message = MESSAGES.get(error.code)
    if message is None:
        return None
    text = message.hints.get(error.hint or "", message.hint)
    said = fill(text, error.facts | {"subject": error.subject}, sentence, message.words)
    return said or None


def note_sentence(note: Note) -> str:
    """The message of a note in one line."""
    text = NOTES.get(note.kind)
    if text is None:
        return note.kind
    return fill(text, note.facts, sentence)


def as_record(error: SrError) -> dict[str, Any]:
    """An error for `--json`: its code, subject and facts, and the sentence as `message`."""
    return error.as_dict() | {"message": sentence(error)}
