"""Every code and kind that the package raises has its sentence, with the facts that it names."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY

from sr_cli.cli.messages import MESSAGES, NOTES, advice, note_sentence, sentence
from sr_cli.errors import Note, SrError

PACKAGE = REPOSITORY / "sr_cli"

UNFINISHED = ("store",)
"""Rooms whose sentences are still being written."""


def calls() -> Iterator[tuple[str, str, str, set[str] | None]]:
    """(place, class, code, names of facts; None where they are not spelled out there)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] in UNFINISHED:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            kind, first = getattr(node.func, "id", ""), node.args[0]
            if kind not in ("SrError", "RefusedError", "Note") or not isinstance(
                first, ast.Constant
            ):
                continue
            facts: set[str] | None = {k.arg for k in node.keywords if k.arg}
            if any(k.arg is None for k in node.keywords):
                facts = None
            if kind == "Note":
                given = node.args[1] if len(node.args) > 1 else ast.Dict([], [])
                facts = (
                    {str(ast.literal_eval(k)) for k in given.keys if k is not None}
                    if isinstance(given, ast.Dict)
                    else None
                )
            place = f"{path.relative_to(PACKAGE)}:{node.lineno}"
            if " " not in str(first.value):
                yield place, kind, str(first.value), facts


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


CALLS = list(calls())


def test_codes_are_found() -> None:
    codes = {code for _, _, code, _ in CALLS}
    assert {"damaged-image", "too-many-pixels", "converted-to-srgb"} <= codes and len(codes) > 40


@pytest.mark.parametrize(("place", "kind", "code", "facts"), CALLS, ids=[c[0] for c in CALLS])
def test_it_has_a_sentence_and_the_facts_for_it(
    place: str, kind: str, code: str, facts: set[str] | None
) -> None:
    if kind == "Note":
        assert code in NOTES
        assert facts is None or placeholders(NOTES[code]) <= facts
        return
    assert code in MESSAGES
    message = MESSAGES[code]
    assert facts is None or placeholders(message.text) <= facts | {"subject"}


def test_values_have_words_of_their_own_in_some_sentences() -> None:
    error = SrError(
        "unsupported-by-format", Path("a.jpg"), hint="either", format="JPEG",
        features=["alpha", "16-bit"], formats=["png", "tiff"],
    )  # fmt: skip
    assert "transparency or 16 bits per channel" in sentence(error)
    assert sentence(error).startswith("a.jpg: JPEG")
    assert (advice(error) or "").startswith("-f png or tiff")
    assert "XMP" in note_sentence(Note("metadata-dropped", {"block": "XMP", "format": "GIF"}))
