"""Templates of messages, and how facts go into them."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sr_cli.errors import SrError


@dataclass(frozen=True)
class Message:
    """What is said for one code.

    Args:
        text: The sentence: what and where.
        hint: What to do, where there is something to do.
        hints: Other advice for the same code, by the name that the error gives it.
        words: How values of facts are called: `alpha` is transparency.
    """

    text: str
    hint: str = ""
    hints: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)


class _Formatter(string.Formatter):
    def __init__(self, render: Callable[[SrError], str], words: Mapping[str, str]) -> None:
        self._render = render
        self._words = words

    def get_value(self, key: int | str, args: Any, kwargs: Any) -> Any:
        # A fact that is missing must not hide the error that it belongs to.
        return kwargs.get(key, "?")

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, SrError):
            return self._render(value)
        if isinstance(value, list):
            return (format_spec or ", ").join(self.format_field(v, "") for v in value)
        if isinstance(value, float) and not format_spec:
            return f"{value:g}"
        if value is None:
            return ""
        if isinstance(value, str):
            value = self._words.get(value, value)
        return str(super().format_field(value, format_spec))


def fill(
    text: str,
    facts: Mapping[str, Any],
    render: Callable[[SrError], str],
    words: Mapping[str, str] | None = None,
) -> str:
    """The template with its facts in place.

    Args:
        text: A template in Python's format syntax. A list's format is what joins it.
        facts: Values by name.
        render: Makes a sentence of an error among the facts.
        words: How values are called that are codes themselves.
    """
    return _Formatter(render, words or {}).vformat(text, (), facts).strip()
