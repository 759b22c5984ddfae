"""Every code has a sentence, every sentence a code, and what it tells is known where it is raised.

A code with a space in it is a sentence of a room that has no codes yet: it is left alone.
"""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers import PACKAGE

from sr_cli.cli import messages
from sr_cli.cli.messages import MESSAGES, NOTES, advice, as_record, note_sentence, sentence
from sr_cli.cli.messages.template import Message
from sr_cli.errors import ExitCode, Note, RefusedError, SrError


@dataclass(frozen=True)
class Raised:
    """A place in the source where an error or a note is made.

    Attributes:
        code: The error's code or the note's kind.
        facts: The names of its facts; None where they are not written out.
        hints: What its hint may be; None for no hint, "?" for what only running tells.
        place: File and line.
    """

    code: str
    facts: frozenset[str] | None
    hints: frozenset[str | None]
    place: str


TREES = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def error_classes() -> set[str]:
    """SrError and what inherits from it."""
    bases = {
        node.name: {b.id for b in node.bases if isinstance(b, ast.Name)}
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {"SrError"}
    while more := {name for name, above in bases.items() if above & found} - found:
        found |= more
    return found


def calls() -> Iterator[tuple[Path, str, ast.Call]]:
    """Where errors and notes are made: file, class, call."""
    wanted = error_classes() | {"Note"}
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args:
                function = node.func
                name = function.attr if isinstance(function, ast.Attribute) else None
                name = function.id if isinstance(function, ast.Name) else name
                if name in wanted:
                    yield path, name, node


def first_argument(call: ast.Call) -> str | None:
    """The code, where it is written out."""
    value = call.args[0]
    is_code = isinstance(value, ast.Constant) and isinstance(value.value, str)
    return value.value if is_code else None  # type: ignore[union-attr]


def possible(value: ast.expr | None) -> frozenset[str | None]:
    """What an expression may be: constants, also on both sides of an if."""
    if value is None:
        return frozenset([None])
    if isinstance(value, ast.Constant):
        return frozenset([value.value])
    if isinstance(value, ast.IfExp):
        return possible(value.body) | possible(value.orelse)
    return frozenset(["?"])


def errors() -> list[Raised]:
    found = []
    for path, name, call in calls():
        code = first_argument(call)
        if name == "Note" or code is None:
            continue
        given = {k.arg: k.value for k in call.keywords if k.arg}
        written_out = all(k.arg for k in call.keywords)
        facts = frozenset(given) - {"hint"} if written_out else None
        place = f"{path.relative_to(PACKAGE)}:{call.lineno}"
        found.append(Raised(code, facts, possible(given.get("hint")), place))
    return found


def notes() -> list[Raised]:
    found = []
    for path, name, call in calls():
        kind = first_argument(call)
        if name != "Note" or kind is None:
            continue
        table = call.args[1] if len(call.args) > 1 else ast.Dict([], [])
        facts = None
        if isinstance(table, ast.Dict):
            facts = frozenset(k.value for k in table.keys if isinstance(k, ast.Constant))
        place = f"{path.relative_to(PACKAGE)}:{call.lineno}"
        found.append(Raised(kind, facts, frozenset([None]), place))
    return found


ERRORS, KINDS = errors(), notes()


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def test_the_source_raises_what_is_looked_for() -> None:
    assert len(ERRORS) > 60 and {"file-not-found", "unknown-value"} <= {r.code for r in ERRORS}


def test_every_code_has_a_sentence() -> None:
    assert not [r for r in ERRORS if r.code not in MESSAGES]
    assert not [r for r in KINDS if r.code not in NOTES]


def test_no_code_is_put_together_where_it_is_raised() -> None:
    assert not [(p, c.lineno) for p, _, c in calls() if isinstance(c.args[0], ast.JoinedStr)]


def test_every_sentence_has_a_code() -> None:
    assert not set(MESSAGES) - {r.code for r in ERRORS}
    assert not set(NOTES) - {r.code for r in KINDS}


def test_codes_are_in_kebab_case_and_in_one_room_each() -> None:
    rooms = messages._ROOMS
    for tables in ([room.MESSAGES for room in rooms], [room.NOTES for room in rooms]):
        codes = [code for table in tables for code in table]
        assert len(codes) == len(set(codes)), [c for c in codes if codes.count(c) > 1]
        assert all(c == c.lower() and set(c) <= set(string.ascii_lowercase + "-1234567890")
                   for c in codes)  # fmt: skip


def advices(message: Message, raised: Raised) -> list[str]:
    """The hints that may be shown for an error."""
    if "?" in raised.hints:
        return [message.hint, *message.hints.values()]
    return [message.hints.get(hint or "", message.hint) for hint in raised.hints]


@pytest.mark.parametrize("raised", ERRORS, ids=lambda r: f"{r.code}-{r.place}")
def test_what_is_told_is_known_where_it_is_raised(raised: Raised) -> None:
    message = MESSAGES[raised.code]
    for template in (message.text, *advices(message, raised)):
        if raised.facts is not None:
            assert fields(template) <= raised.facts | {"subject"}, template
    named = raised.hints - {None, "?"}
    assert named <= set(message.hints), f"{raised.place} gives an advice that is not there"


def test_every_advice_is_given_somewhere() -> None:
    for code, message in MESSAGES.items():
        given = {hint for r in ERRORS if r.code == code for hint in r.hints}
        assert "?" in given or set(message.hints) <= given, code


@pytest.mark.parametrize("raised", KINDS, ids=lambda r: f"{r.code}-{r.place}")
def test_notes_tell_what_is_known(raised: Raised) -> None:
    assert raised.facts is None or fields(NOTES[raised.code]) <= raised.facts


@pytest.fixture
def of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two codes and a kind whose words stay the same."""
    no_scale = Message(
        "{subject}: no x{scale}",
        "there are x{available:, x}{note}",
        {"none": "", "other": "see {subject}"},
    )
    monkeypatch.setitem(MESSAGES, "no-such-scale", no_scale)  # type: ignore[arg-type]
    monkeypatch.setitem(MESSAGES, "bad-header", Message("{subject} ({reason})"))  # type: ignore[arg-type]
    monkeypatch.setitem(NOTES, "dropped", "{block} dropped")  # type: ignore[arg-type]


@pytest.mark.usefixtures("of_ours")
def test_sentences_are_filled_with_facts() -> None:
    error = SrError("no-such-scale", "edsr", scale=5.0, available=[2, 3.5, 4], note=None)
    assert sentence(error) == "edsr: no x5"
    assert advice(error) == "there are x2, x3.5, x4"
    assert advice(SrError("no-such-scale", "edsr", hint="other")) == "see edsr"
    assert advice(SrError("no-such-scale", "edsr", hint="none")) is None
    assert advice(SrError("bad-header", "edsr")) is None
    assert note_sentence(Note("dropped", {"block": "EXIF"})) == "EXIF dropped"


@pytest.mark.usefixtures("of_ours")
def test_a_fact_that_is_missing_hides_nothing() -> None:
    assert sentence(SrError("no-such-scale", "edsr")) == "edsr: no x?"
    assert sentence(SrError("brand-new", "edsr", scale=5)) == "brand-new: edsr (scale=5)"
    assert note_sentence(Note("brand-new")) == "brand-new"


@pytest.mark.usefixtures("of_ours")
def test_a_cause_is_told_in_its_place() -> None:
    cause = RefusedError("no-such-scale", "edsr", scale=5)
    error = SrError("bad-header", "a.safetensors", reason=cause)
    assert sentence(error) == "a.safetensors (edsr: no x5)"
    record = as_record(error)
    assert record["code"] == "bad-header" and record["message"] == sentence(error)
    assert record["reason"] == {"code": "no-such-scale", "subject": "edsr", "scale": 5}


def test_errors_are_plain_data() -> None:
    error = SrError("x", Path("a/b"), files=(Path("c"), {"d"}), hint="h")
    assert error.subject == "a/b" and error.facts == {"files": ["c", ["d"]]}
    assert error.as_dict() == {"code": "x", "subject": "a/b", "files": ["c", ["d"]]}
    assert error.exit_code == ExitCode.FAILED and RefusedError("x").exit_code == ExitCode.REFUSED
    assert SrError("x").about("now known").subject == "now known"
    assert error.about("another").subject == "a/b"
    assert str(SrError("x", "y", a=1)) == "x: y (a=1)" and str(SrError("x")) == "x"
    assert Note("k", {"a": 1}).as_dict() == {"kind": "k", "a": 1}
