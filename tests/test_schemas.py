"""What `--json` prints follows the schemas in docs/schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from helpers import REPOSITORY
from helpers.command import Run
from helpers.networks import failing_for
from PIL import Image

from sr_cli.evaluation import benchmark as evaluation

SCHEMAS = REPOSITORY / "docs" / "schemas"


def validator(name: str) -> Any:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_benchmark_follows_its_schema(
    sr: Run, originals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (48, 48), (9, 200, 30)).save(originals / "flat.png")
    Image.new("L", (9, 9)).save(originals / "tiny.png")
    monkeypatch.setattr(evaluation, "build_pipeline", failing_for("fsrcnn-x2"))
    done = sr("benchmark", "mine", "-m", "espcn-x2", "-m", "fsrcnn-x2", "-x2",
                     "--rgb", "--per-image", "--json")  # fmt: skip
    assert done.returncode == 1
    document = json.loads(done.stdout)
    validator("benchmark").validate(document)
    # What the schema has for errors, infinite figures and models that fail was really seen.
    rows = {row["model"]: row for row in document["results"]}
    found = rows["bicubic"]["sets"]["mine"]
    assert found["errors"] and "psnr_y" in found["infinite"] and found["per_image"]
    assert rows["fsrcnn-x2"]["error"]["message"]


def test_benchmark_of_the_papers_sets_follows_its_schema(sr: Run, test_sets: Path) -> None:
    base = ("benchmark", "Set5", "-m", "bicubic", "-x3", "--data-dir", test_sets, "--json")
    measured = json.loads(sr(*base).stdout)
    assert measured["results"][0]["sets"]["Set5"]["published"]["psnr_y"] == 30.39
    checked = json.loads(sr(*base, "--check").stdout)
    assert len(checked["checks"]) == 2
    for document in (measured, checked):
        validator("benchmark").validate(document)


def test_a_schema_refuses_what_it_does_not_describe(test_sets: Path, sr: Run) -> None:
    row = {"model": "a", "scale": 2, "degradation": "bicubic", "parameters": 0, "device": "cpu",
           "multiply_adds_per_pixel": 0.0, "precision": None, "peak_memory_bytes": None,
           "sets": {}}  # fmt: skip
    good = {"results": [row]}
    validator("benchmark").validate(good)
    for bad in ({"results": [row | {"extra": 1}]}, {"results": [row | {"error": {"code": "A b"}}]},
                {"results": [], "checks": []}, {}):  # fmt: skip
        with pytest.raises(jsonschema.ValidationError):
            validator("benchmark").validate(bad)


def test_train_follows_its_schema(sr: Run, photos: Path) -> None:
    done = sr("train", "-m", "espcn", "-x2", "--data", photos, "--steps", "2",
                     "--lr-patch", "8", "--batch", "1", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    document = json.loads(done.stdout)
    validator("train").validate(document)
    assert document["done"] and document["step"] == 2
