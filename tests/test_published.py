"""Published models of others: recognised by their sha256, found by words, downloaded by name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import REPOSITORY
from helpers.command import Run
from helpers.images import save, size_of
from helpers.networks import compact
from helpers.server import wrong
from helpers.world import World
from jsonschema import Draft202012Validator
from safetensors.torch import save as to_bytes

from sr_cli.registry import published
from sr_cli.registry.published import PublishedFile, names_of, published_files

pytest.importorskip("spandrel")


def check(name: str, document: Any) -> None:
    text = (REPOSITORY / "docs" / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8")
    Draft202012Validator(json.loads(text)).validate(document)


@pytest.fixture
def files(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, PublishedFile]:
    """Six published files; the server has those with an address."""
    found = {}

    def add(name: str, seed: int, licence: str, kind: str = "safetensors", **more: Any) -> None:
        content = to_bytes(compact(2, seed=seed))
        host = f"example.com/{name}-{seed}.{kind}"
        world.server.put(f"/{host}", content)
        digest = hashlib.sha256(content).hexdigest()
        url = more.get("url", f"https://{host}")
        kept = more.get("architecture", "compact")
        file = PublishedFile(name, digest, len(content), kind, 2, kept, licence, url)
        found[f"{name}-{seed}"] = file
        (world.manifest.parent / f"{name}-{seed}.pth").write_bytes(content)

    add("2x-Free", 11, "CC0-1.0")
    add("2x-Free", 12, "CC0-1.0", "onnx")
    add("2x-NotForSale", 13, "CC-BY-NC-SA-4.0")
    add("2x-Unlicensed", 14, "")
    add("2x-NoAddress", 15, "MIT", url="")
    add("2x-Video", 16, "MIT", architecture="tscunet")
    monkeypatch.setattr(published, "published_files", lambda: tuple(found.values()))
    return found


def test_a_file_is_recognised(
    sr: Run, tmp_path: Path, world: World, files: dict[str, PublishedFile]
) -> None:
    run = ("models", "2x-NotForSale-13.pth")
    told = sr(*run)
    page = "https://openmodeldb.info/models/2x-NotForSale"
    line = f"published: 2x-NotForSale (CC-BY-NC-SA-4.0), {page}"
    assert told.returncode == 0 and line.encode() in told.stdout
    document = sr(*run, "--json").document
    check("models", document)
    assert document["published"] == [
        {"id": "2x-NotForSale", "licence": "CC-BY-NC-SA-4.0", "page": page}
    ]
    torch.save(compact(2, seed=99), tmp_path / "own.pth")
    assert b"published" not in sr("models", "own.pth").stdout
    public = sr("models", "own.pth", "--json", env=world.own)
    assert public.document["published"] == []


def test_a_file_that_cannot_be_used_is_recognised_too(
    sr: Run, tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"what is in an ONNX file"
    digest = hashlib.sha256(content).hexdigest()
    row = PublishedFile("4x-A", digest, len(content), "onnx", 4, "span", "MIT", "")
    other = PublishedFile("4x-B", digest, len(content), "onnx", 4, "span", "", "")
    monkeypatch.setattr(published, "published_files", lambda: (row, other))
    (tmp_path / "a.onnx").write_bytes(content)
    told = sr("models", "a.onnx")
    assert told.returncode == 1 and told.error_codes == ["unreadable-graph"]
    assert b"published: 4x-A (MIT), https://" in told.stdout
    assert b"published: 4x-B (none stated), https://" in told.stdout
    document = sr("models", "a.onnx", "--json").document
    check("models", document)
    assert [m["id"] for m in document["published"]] == ["4x-A", "4x-B"]


def test_an_entry_of_the_manifest_is_recognised(sr: Run, tmp_path: Path, world: World) -> None:
    (tmp_path / "a.safetensors").write_bytes(world.content["third-x2"])
    document = sr("models", "a.safetensors", "--json", env=world.own).document
    assert [m["id"] for m in document["published"]] == ["third-x2"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("notforsale", ["2x-NotForSale"]),
        ("compact CC0", ["2x-Free"]),
        ("x2 cc-by-nc", ["2x-NotForSale"]),
        ("2x tscunet", ["2x-Video"]),
        ("none stated", ["2x-Unlicensed"]),
        ("first-x2", ["first-x2"]),
    ],
)
def test_models_are_found_by_words(
    sr: Run, world: World, files: dict[str, PublishedFile], words: str, found: list[str]
) -> None:
    run = ("download-weights", "--search", words)
    rows = sr(*run, "--json", env=world.own).document
    check("download-weights", rows)
    assert [r["id"] for r in rows if r["format"] != "onnx"] == found
    told = sr(*run, env=world.own)
    assert told.returncode == 0 and found[0].encode() in told.stdout
    assert not world.server.requests


def test_a_search_says_where_each_is(
    sr: Run, world: World, files: dict[str, PublishedFile]
) -> None:
    told = sr("download-weights", "--search", "2x-", env=world.own).stdout.decode()
    lines = {line.split()[0]: line for line in told.splitlines()[1:]}
    assert lines["2x-Free"].rstrip().endswith("direct")
    assert "https://openmodeldb.info/models/2x-NoAddress" in lines["2x-NoAddress"]
    assert "to be accepted" in lines["2x-Unlicensed"] and "none stated" in lines["2x-Unlicensed"]
    digits = files["2x-Free-12"].sha256[:8]
    assert "not supported (onnx)" in lines[f"2x-Free-{digits}"]
    nothing = sr("download-weights", "--search", "quux", "--json", env=world.own)
    assert nothing.returncode == 1 and nothing.error_codes == ["nothing-matches"]
    assert nothing.document == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("2x-NoAddress",), "no-direct-address"),
        (("2x-Video",), "published-not-supported"),
        (("2x-NotForSale",), "licence-not-accepted"),
        (("2x-Unlicensed",), "licence-not-accepted"),
        (("2x-Fre",), "unknown-value"),
        (("--search", "a", "2x-Free"), "conflicting-options"),
        (("--search", "a", "--all"), "conflicting-options"),
    ],
)
def test_what_cannot_be_downloaded(
    sr: Run,
    world: World,
    files: dict[str, PublishedFile],
    arguments: tuple[str, ...],
    code: str,
) -> None:
    done = sr("download-weights", *arguments, env=world.own)
    assert done.returncode == 2 and done.error_codes == [code], done.stderr.decode()
    assert not world.server.requests
    if code == "no-direct-address":
        assert b"https://openmodeldb.info/models/2x-NoAddress" in done.stderr
    if code == "unknown-value":
        assert b"2x-Free" in done.stderr, "what is meant is suggested"


def test_a_model_is_downloaded_verified_and_used(
    sr: Run, tmp_path: Path, world: World, files: dict[str, PublishedFile]
) -> None:
    save(tmp_path / "a.png", 16, 12)
    missing = sr("upscale", "a.png", "-m", "2x-Free", env=world.own)
    assert missing.returncode == 2 and missing.error_codes == ["not-downloaded"]
    world.server.faults["/example.com/2x-Free-11.safetensors"] = [wrong]
    damaged = sr("download-weights", "2x-Free", env=world.own)
    assert damaged.returncode == 1 and damaged.error_codes == ["wrong-content"]
    file = world.cached / "2x-Free.safetensors"
    assert not file.exists()
    done = sr("download-weights", "2x-Free", "--json", env=world.own)
    assert done.returncode == 0, done.stderr.decode()
    (row,) = done.document
    assert row["cached"] and row["sha256"] == files["2x-Free-11"].sha256
    assert hashlib.sha256(file.read_bytes()).hexdigest() == row["sha256"]
    assert sr("upscale", "a.png", "-m", "2x-Free", env=world.own).returncode == 0
    assert size_of(tmp_path / "a_x2.png") == (32, 24)
    assert b"2x-Free" in sr("models", env=world.own).stdout
    file.write_bytes(bytes(len(file.read_bytes())))
    assert sr("download-weights", "--verify", env=world.own).returncode == 0
    assert hashlib.sha256(file.read_bytes()).hexdigest() == row["sha256"]
    assert sr("download-weights", "--prune", env=world.own).returncode == 0
    assert not file.exists()


def test_a_model_is_downloaded_on_first_use(
    sr: Run, tmp_path: Path, world: World, files: dict[str, PublishedFile]
) -> None:
    save(tmp_path / "a.png", 16, 12)
    done = sr("upscale", "a.png", "-m", "2x-Free", "--download", env=world.own)
    assert done.returncode == 0, done.stderr.decode()
    refused = sr("upscale", "a.png", "-m", "2x-NotForSale", "--download", "-y", env=world.own)
    assert refused.returncode == 2 and refused.error_codes == ["licence-not-accepted"]
    accepted = sr("download-weights", "2x-NotForSale", "--accept-license", env=world.own)
    assert accepted.returncode == 0
    again = sr("upscale", "a.png", "-m", "2x-NotForSale", "-y", env=world.own)
    assert again.returncode == 0


def test_a_file_of_the_same_name_comes_first(
    sr: Run, tmp_path: Path, world: World, files: dict[str, PublishedFile]
) -> None:
    save(tmp_path / "a.png", 16, 12)
    (tmp_path / "2x-Free").write_bytes((tmp_path / "2x-Free-11.pth").read_bytes())
    assert sr("upscale", "a.png", "-m", "2x-Free", env=world.own).returncode == 0
    assert not world.server.requests


def test_the_facts_are_whole() -> None:
    files = published_files()
    assert len(files) > 700
    names = names_of(files)
    assert len(names) == len(files)
    for name, file in names.items():
        assert name.startswith(file.id) and len(file.sha256) == 64 and file.bytes > 0
        assert not file.url or file.url.startswith("https://")
        assert 1 <= file.scale <= 16 and file.architecture == file.architecture.lower()
        assert ("-NC" not in file.licence and file.licence != "") or file.must_be_accepted
    assert sum(bool(f.url) and f.is_supported for f in files) > 250
    ids = {e.id for e in published.cached_published()}
    assert ids <= set(names)
    assert (REPOSITORY / "sr_cli" / "registry" / "published.json").stat().st_size < 200_000
