"""Write the reference pages of docs/ that follow from the code.

    python tools/reference.py

docs/cli.md from the commands' options, docs/errors.md from the tables of messages, docs/recipe.md
from the schema of recipes, the fields in docs/manifest.md from the docstring of an entry, and the
table of metadata in docs/photos.md from the one that decides it.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

from typer.models import ArgumentInfo

from sr_cli.cli import messages
from sr_cli.cli.commands import COMMANDS, load_command
from sr_cli.cli.messages import MESSAGES
from sr_cli.cli.messages.template import Message
from sr_cli.imaging.fates import FATES
from sr_cli.imaging.formats import FORMATS, Feature
from sr_cli.registry.manifest import Entry
from sr_cli.training.recipe_files import recipe_schema

DOCS = Path(__file__).resolve().parent.parent / "docs"
_FIELDS = re.compile(r"(?<=<!-- fields -->\n).*?(?=<!-- end -->)", re.S)
_FATES = re.compile(r"(?<=<!-- metadata -->\n).*?(?=<!-- end -->)", re.S)
_PLACEHOLDER = re.compile(r"\{(\w+)(?::[^}]*)?\}")
_NOTICE = "<!-- Written by tools/reference.py. Do not edit. -->\n\n"


def pages() -> dict[Path, str]:
    """The text that each generated page must have."""
    manifest = DOCS / "manifest.md"
    fields = _table(("field", "meaning"), attributes_of(Entry))
    text = _FIELDS.sub(lambda _: fields, manifest.read_text(encoding="utf-8"))
    photos = DOCS / "photos.md"
    return {
        DOCS / "cli.md": cli_page(),
        DOCS / "errors.md": errors_page(),
        DOCS / "recipe.md": recipe_page(),
        manifest: text,
        photos: _FATES.sub(lambda _: metadata_table(), photos.read_text(encoding="utf-8")),
    }


def cli_page() -> str:
    """Every command with its arguments and options."""
    parts = [
        _NOTICE + "# Command line\n",
        "`sr COMMAND --help` prints the same in a terminal. `sr --version` prints the version, and "
        "`sr --install-completion` sets up completion for the current shell.\n",
    ]
    for name in COMMANDS:
        command = load_command(name)
        parts += [f"## sr {name}\n", inspect.cleandoc(command.__doc__ or "") + "\n"]
        rows = list(_options(command))
        arguments = [(n, text) for n, text, is_argument in rows if is_argument]
        options = [(n, text) for n, text, is_argument in rows if not is_argument]
        if arguments:
            parts.append(_table(("argument", "meaning"), arguments))
        parts.append(_table(("option", "meaning"), options))
    return "\n".join(parts)


def errors_page() -> str:
    """Every code with its message and advice, room by room."""
    parts = [
        _NOTICE + "# Errors and notes\n",
        "stderr shows `error[code]: message` and, below it, what to do. `--json` carries the code, "
        "the subject and the facts of the message ([json.md](json.md)). Codes stay the same from "
        "version to version; messages may be reworded.\n",
    ]
    for room in messages._ROOMS:
        title = (room.__doc__ or "").splitlines()[0].rstrip(".")
        if room.MESSAGES or room.NOTES:
            parts.append(f"## {title}\n")
        if room.MESSAGES:
            rows = [(f"`{c}`", _shown(m.text), _advice(m)) for c, m in room.MESSAGES.items()]
            parts.append(_table(("error", "message", "advice"), rows))
        if room.NOTES:
            rows = [(f"`{kind}`", _shown(text)) for kind, text in room.NOTES.items()]
            parts.append(_table(("note", "message"), rows))
    return "\n".join(parts)


def recipe_page() -> str:
    """Every field of a recipe, and of the tables in it."""
    parts = [
        _NOTICE + "# Recipes\n",
        "A recipe is a TOML file or a table in Python. `--set NAME=VALUE` sets a field, "
        "`--set photo.first.jpeg=[40,80]` one of a table in it. Fields that are left out come from "
        "the network's paper: `sr train --model edsr -x4 --print-recipe` shows them. "
        "`sr train --print-schema` prints the JSON schema that this page is made from.\n",
    ]
    for name, kind in json.loads(recipe_schema())["$defs"].items():
        rows = []
        for field, schema in kind["properties"].items():
            about = schema.get("description", "")
            names = schema.get("propertyNames", {}).get("enum", [])
            choices = ", ".join(f"`{choice}`" for choice in schema.get("enum", names))
            about += f" {'Names' if names else 'One of'}: {choices}." if choices else ""
            has_default = "default" in schema and "$ref" not in schema
            default = f"`{json.dumps(schema['default'])}`" if has_default else ""
            rows.append((f"`{field}`", about.strip(), default))
        parts += [f"## {name}\n", _table(("field", "meaning", "default"), rows)]
    return "\n".join(parts)


def metadata_table() -> str:
    """What becomes of each kind of metadata, and of each feature, in each format."""
    formats = [f for f in FORMATS.values() if f.writable]
    rows = [(k.value, *(fates[f.name].value for f in formats)) for k, fates in FATES.items()]
    rows += [
        (words.capitalize() if words.islower() else words,
         *("kept" if feature in f.features else "refused" for f in formats))
        for feature in Feature
        if (words := MESSAGES["unsupported-by-format"].words[feature.value])
    ]  # fmt: skip
    return _table(("", *(f.name for f in formats)), rows)


def attributes_of(described: type) -> list[tuple[str, str]]:
    """Names and descriptions in the Attributes section of a class's docstring."""
    section = inspect.cleandoc(described.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.split(r"^    (?=\w)", section.partition("\n\n")[0], flags=re.M)[1:]
    pairs = [entry.split(":", 1) for entry in entries]
    return [(f"`{name}`", " ".join(text.split())) for name, text in pairs]


def _options(command: Callable[..., Any]) -> Iterator[tuple[str, str, bool]]:
    """Name, meaning, and whether it is an argument, for each parameter of a command."""
    hints = get_type_hints(command, include_extras=True)
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        (info,) = hint.__metadata__
        if isinstance(info, ArgumentInfo):
            yield f"`{info.metavar or parameter.name.upper()}`", info.help or "", True
            continue
        # Typer takes the first name of an annotated option for its default.
        names = [n for n in (info.default, *(info.param_decls or ())) if isinstance(n, str)]
        names = names or [f"--{parameter.name.replace('_', '-')}"]
        value = info.metavar or _placeholder(hint.__origin__)
        shown = ", ".join(f"`{name}`" for name in names) + (f" `{value}`" if value else "")
        yield shown, (info.help or "") + _default(parameter.default), False


def _placeholder(kind: object) -> str:
    """What stands for an option's value; "" for a switch."""
    text = str(kind)
    words = {"bool": "", "int": "INTEGER", "float": "NUMBER", "Path": "PATH", "str": "TEXT"}
    return next(word for name, word in words.items() if name in text)


def _default(value: object) -> str:
    return "" if value in (None, False, "") else f" Default: `{value}`."


def _advice(message: Message) -> str:
    return "<br>".join(_shown(text) for text in (message.hint, *message.hints.values()) if text)


def _shown(template: str) -> str:
    """A template with its facts as placeholders, literally."""
    return f"`{_PLACEHOLDER.sub(lambda m: f'<{m[1]}>', template)}`"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    cells = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def main() -> None:
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
