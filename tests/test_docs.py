"""README and docs: their commands parse, their Python resolves, their links lead somewhere."""

from __future__ import annotations

import ast
import json
import re
import shlex
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from helpers.pages import FENCE, blocks, page
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from sr_cli import __version__
from sr_cli.cli.main import app
from sr_cli.registry.manifest import load_manifest
from sr_cli.registry.published import published_names
from sr_cli.store.remote import is_address

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
MOST_README_LINES = 140

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_WEB = ("https://", "http://", "mailto:")


def commands(path: Path) -> Iterator[list[str]]:
    """The arguments of each `sr` in the shell blocks of a page."""
    for block in blocks(path, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words: list[str] = []
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;>")
            lexer.whitespace_split = True
            for word in [*lexer, ";"]:
                if not set(word) <= set("|&;>"):
                    words.append(word)
                    continue
                yield from _sr_arguments(words)
                words = []


def _sr_arguments(words: list[str]) -> Iterator[list[str]]:
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if "-m" in words and words[words.index("-m") + 1 :][:1] == ["sr_cli"]:
        yield words[words.index("sr_cli") + 1 :]
    elif words and words[0].rpartition("/")[2] == "sr":
        yield words[1:]
    elif words[:4] == ["uvx", "--from", ".", "sr"]:
        yield words[4:]


COMMANDS = [
    pytest.param(arguments, id=f"{path.stem}: {' '.join(arguments)}")
    for path in PAGES
    for arguments in commands(path)
]


@pytest.mark.parametrize("arguments", COMMANDS)
def test_commands_parse(arguments: list[str]) -> None:
    group = get_command(app)
    name, *rest = arguments
    if name.startswith("-"):
        assert name in {option for p in group.params for option in p.opts} | {"--help"}
        return
    with group.make_context("sr", [name], resilient_parsing=True) as outer:
        command = group.get_command(outer, name)  # type: ignore[attr-defined]  # a group's
        parsed = command.make_context(name, rest, parent=outer).params
    known = load_manifest().weights
    names = {e.id for e in known} | {e.family for e in known} | {e.network for e in known}
    names |= {name for name, file in published_names().items() if file.url and file.is_supported}
    asked = parsed.get("names") if name == "download-weights" else parsed.get("model")
    for model in [asked] if isinstance(asked, str) else asked or []:
        for part in [model] if is_address(model) else model.split("+"):
            is_file = Path(part).suffix in (".pth", ".safetensors", ".onnx")
            assert (
                is_address(part)
                or is_file
                or part in names | {"auto", "bicubic", "my-net", "my-net-x4"}
            )


def test_the_pages_have_commands() -> None:
    seen = {arguments.values[0][0] for arguments in COMMANDS}  # type: ignore[index]
    assert seen >= {"upscale", "train", "benchmark", "download-weights", "models"}
    assert len(COMMANDS) > 60


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_python_compiles_and_its_imports_resolve(path: Path) -> None:
    for code in blocks(path, "python"):
        for node in ast.walk(compile(code, str(path), "exec", ast.PyCF_ONLY_AST)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("sr_cli"):
                module = import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(FENCE, "", page(path))
    for link in _LINK.findall(text):
        if link.startswith(_WEB):
            continue
        target, _, anchor = link.partition("#")
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), link
        if anchor:
            assert anchor in anchors(found), link


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as Git hosts make them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(FENCE, "", page(path)), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_every_page_is_in_the_table_of_contents() -> None:
    index = page(ROOT / "docs" / "index.md")
    missing = [p.name for p in (ROOT / "docs").glob("*.md") if f"({p.name})" not in index]
    assert missing == ["index.md"]


def test_generated_pages_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    for name in ("reference", "tables"):
        sys.modules.pop(name, None)
        for path, text in import_module(name).pages().items():
            assert page(path) == text, f"python tools/{name}.py writes {path.name}"


def printed(*arguments: str | Path) -> list[Any]:
    """What a command prints with --json: documents, one a line or one in all."""
    text = CliRunner().invoke(app, [*map(str, arguments), "--json"]).stdout
    lines = text.splitlines()
    return [json.loads(line) for line in lines] if text.startswith('{"') else [json.loads(text)]


def test_json_follows_its_schemas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("CMYK", (12, 9), (90, 20, 0, 0)).save("a.tif")
    (tmp_path / "bad.png").write_bytes(b"no image")
    bicubic = ("upscale", "a.tif", "bad.png", "none.png", "-m", "bicubic", "-x2")
    planned, done, again = (
        printed(*bicubic, *more) for more in (["--dry-run"], [], ["--skip-existing"])
    )
    by_name = printed("upscale", "a.tif", "a_x2.tif", "-m", "espcn", "-x2", "-y", "--tile", "64")
    records = [*planned, *done, *again, *by_name]
    assert {r["status"] for r in records} == {"planned", "done", "skipped", "failed", "left-out"}
    assert {r.get("reason") for r in records} >= {"exists", "earlier-result"}
    assert any(r.get("notes") for r in records)
    shipped = ROOT / "sr_cli/registry/files/espcn-x4.safetensors"
    address = "https://example.com/a.pth"
    for name, documents in {
        "upscale": records,
        "models": [
            *printed("models"),
            *printed("models", shipped),
            *(d for n in ("espcn", "photo-x4", "bicubic", "rcan") for d in printed("models", n)),
            *printed("models", "--of", "a_x2.tif"),
        ],
        "download-weights": [
            *printed("download-weights"),
            *printed("download-weights", "--prune", "realesrgan-x4", address),
        ],
    }.items():
        schema = json.loads(page(ROOT / f"docs/schemas/{name}.schema.json"))
        jsonschema.Draft202012Validator.check_schema(schema)
        for document in documents:
            jsonschema.Draft202012Validator(schema).validate(document)


def test_the_readme_is_short() -> None:
    assert len(page(ROOT / "README.md").splitlines()) <= MOST_README_LINES


def test_the_citation_has_the_version() -> None:
    assert f"version: {__version__}\n" in page(ROOT / "CITATION.cff")
