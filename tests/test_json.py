"""What `--json` prints, and manifests, follow the schemas in docs/schemas."""

from __future__ import annotations

import copy
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from helpers import PACKAGE, REPOSITORY
from helpers.command import BICUBIC, Run
from helpers.images import save, smooth
from helpers.networks import compact
from helpers.world import World
from PIL import Image

from sr_cli.registry.manifest import json_schema

SCHEMAS = REPOSITORY / "docs" / "schemas"


@lru_cache
def schema(name: str) -> Any:
    """A schema that is one itself."""
    found = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def check(name: str, *documents: Any) -> None:
    validator = jsonschema.Draft202012Validator(schema(name))
    for document in documents:
        validator.validate(document)


def refuses(name: str, document: Any) -> bool:
    return not jsonschema.Draft202012Validator(schema(name)).is_valid(document)


@pytest.fixture
def records(sr: Run, tmp_path: Path) -> list[dict[str, Any]]:
    """Every kind of line that `sr upscale --json` prints."""
    save(tmp_path / "a.png")
    Image.fromarray(smooth(12, 16)).convert("CMYK").save(tmp_path / "cmyk.tif")
    (tmp_path / "bad.png").write_bytes(b"not an image")
    inputs = ("a.png", "cmyk.tif", "bad.png", "missing.png")
    planned = sr(*BICUBIC, *inputs, "--json", "--dry-run")
    done = sr(*BICUBIC, *inputs, "--json")
    exists = sr(*BICUBIC, *inputs, "--json")
    skipped = sr(*BICUBIC, *inputs, "a_x2.png", "--json", "--skip-existing")
    network = sr("upscale", "a.png", "-m", "espcn", "-m", "fsrcnn", "-o", "n.png", "--json")
    outcomes = (planned, done, exists, skipped, network)
    assert [o.returncode for o in outcomes] == [1, 1, 1, 1, 0]
    return [record for outcome in outcomes for record in outcome.records]


def test_every_line_of_upscale_follows_its_schema(records: list[dict[str, Any]]) -> None:
    assert {r["status"] for r in records} == {"planned", "done", "skipped", "failed", "left-out"}
    assert {r["reason"] for r in records if "reason" in r} == {"exists", "earlier-result"}
    assert {r.get("precision") for r in records if r["status"] == "done"} > {None}
    assert any(r.get("notes") for r in records)
    check("upscale", *records)


def test_the_schema_of_upscale_lets_nothing_else_pass(records: list[dict[str, Any]]) -> None:
    for record in records:
        for name in set(record) - {"output", "model"}:
            assert refuses("upscale", {k: v for k, v in record.items() if k != name}), name
            assert refuses("upscale", record | {name: [None]}), name
        assert refuses("upscale", record | {"extra": 1})
    failed = copy.deepcopy(next(r for r in records if r["status"] == "failed"))
    failed["error"]["code"] = "A sentence."
    assert refuses("upscale", failed)


def test_models_follows_its_schema(sr: Run, tmp_path: Path, world: World) -> None:
    torch.save(compact(2), tmp_path / "theirs.pth")
    ours = PACKAGE / "registry/files/espcn-x2.safetensors"
    fetched = sr("download-weights", "first-x2", env=world.own)
    assert fetched.returncode == 0
    listed = sr("models", "--json", env=world.own).document
    described = [sr("models", p, "--json").document for p in (ours, tmp_path / "theirs.pth")]
    assert "first-x2" in {row["id"] for row in listed}
    check("models", listed, *described)
    for row in listed:
        assert refuses("models", [row | {"extra": 1}])
        assert refuses("models", [{k: v for k, v in row.items() if k != "trained"}])
    assert refuses("models", described[0] | {"extra": 1})


def test_download_weights_follows_its_schema(sr: Run, world: World) -> None:
    address = "https://example.org/a.pth"
    world.server.put("/example.org/a.pth", world.content["second-x2"])
    listed = sr("download-weights", "--json", env=world.own)
    fetched = sr("download-weights", "first-x2", "--json", env=world.own)
    forgotten = sr("download-weights", "--prune", address, "third-x2", "--json", env=world.own)
    documents = [outcome.document for outcome in (listed, fetched, forgotten)]
    assert documents[1][0]["cached"] and [r["id"] for r in documents[2]] == ["third-x2", address]
    check("download-weights", *documents)
    for row in [r for document in documents for r in document]:
        assert refuses("download-weights", [row | {"extra": 1}])
        assert refuses("download-weights", [row | {"sha256": "1234"}])


def test_the_schema_of_manifests_is_the_one_that_is_read() -> None:
    command = (
        'python -c "import json; from sr_cli.registry.manifest import json_schema; '
        'print(json.dumps(json_schema(), indent=2))" > docs/schemas/manifest.schema.json'
    )
    assert schema("manifest") == json_schema(), command


def test_manifests_follow_their_schema(world: World) -> None:
    installed = json.loads((REPOSITORY / "weights_manifest.json").read_text())
    own = json.loads(world.manifest.read_text())
    check("manifest", installed, own)
    for name, value in (("file", ".."), ("scale", 17), ("bytes", 0), ("sha256", "1"), ("new", 1)):
        bad = copy.deepcopy(own)
        bad["weights"][0][name] = value
        assert refuses("manifest", bad), name
