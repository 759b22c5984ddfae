"""Pictures: decoding, formats, what a format cannot hold."""

from __future__ import annotations

from sr_cli.cli.messages.template import Message

MESSAGES: dict[str, Message] = {}

NOTES: dict[str, str] = {}
