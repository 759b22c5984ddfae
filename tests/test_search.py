"""tools/search.py: the search for a network's shape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.command import Outcome
from helpers.tools import run_tool, tool

from sr_cli.registry.checkpoint import load_checkpoint
from sr_cli.training.train import train

WORDS = (
    "search", "swift-x2", "--data", "photos", "-o", "found", "--steps", "2", "--count", "2",
    "--divide", "2", "--rungs", "2", "--try", "features=4,8", "--try", "activation=relu,silu",
    "--within", "0.001", "1000", "--size", "8", "--rounds", "1", "--threads", "1",
    "--set", "batch=1", "--set", "lr_patch=8", "--set", "config.blocks=1",
)  # fmt: skip


@pytest.fixture
def folder(photos: Path, tmp_path: Path) -> Path:
    if not (tmp_path / "photos").exists():
        (tmp_path / "photos").symlink_to(photos)
    return tmp_path


def search(folder: Path, *more: str) -> Outcome:
    return run_tool(*WORDS, *more, cwd=folder)


def rows(done: Outcome) -> list[list[str]]:
    assert done.returncode == 0, done.stderr.decode()
    _, _, *lines = done.stdout.decode().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_search_halves_and_prints_a_table(folder: Path) -> None:
    first, second, own = rows(search(folder))
    assert own[0] == "32" and own[4] == "1.00"
    assert {first[0], second[0]} <= {"4", "8"}
    # One of two went through both rungs, and it is the one that was better after the first.
    assert float(first[5]) >= float(second[5]) and float(first[6]) > 0 and second[6] == ""
    stored = json.loads((folder / "found/search.json").read_text())
    assert [len(shape["figures"]) for shape in stored["shapes"][:1]] == [2]
    name = f"features-{first[0]}-activation-{first[1]}"
    model, header = load_checkpoint(folder / f"found/{name}.safetensors")
    assert header.config["activation"] == first[1] and header.config["blocks"] == 1
    assert f"{model.count_parameters():,}" == first[2]


def test_an_interrupted_search_continues(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, trained = tool("search"), []

    def interrupted(recipe: object, request: object) -> object:
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(recipe)
        return train(recipe, request)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "train", interrupted)
    assert search(folder).returncode == 130
    before = json.loads((folder / "found/search.json").read_text())
    assert [len(shape["figures"]) for shape in before["shapes"]] == [1, 1, 0]
    calls = []
    monkeypatch.setattr(module, "train", lambda *a: calls.append(a[0]) or train(*a))
    assert len(rows(search(folder))) == 3
    # The shape that was left in the first rung, and two resumed runs in the second.
    assert [recipe is None for recipe in calls] == [False, True, True]
    after = json.loads((folder / "found/search.json").read_text())
    assert [s["seconds"] for s in after["shapes"]] == [s["seconds"] for s in before["shapes"]]
    assert after["shapes"][0]["figures"][:1] == before["shapes"][0]["figures"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--try", "features"), b"not NAME=VALUE"),
        (("--rungs", "0"), b"at least 1"),
        (("--within", "500", "1000"), b"no shape"),
        (("--data", "none"), b"error[path-not-found]"),
        (("--try", "widths=3"), b"error[unknown-setting]"),
        (("--try", "activation=tanh"), b"error[network-cannot-be-built]"),
        (("-o", "photos"), b"no search is in it"),
    ],
)
def test_options_that_cannot_work_are_refused(
    folder: Path, more: tuple[str, ...], said: bytes
) -> None:
    refused = search(folder, *more)
    assert refused.returncode == 2 and said in refused.stderr
    assert not (folder / "found").exists()


def test_a_folder_belongs_to_one_search(folder: Path) -> None:
    found = folder / "found"
    found.mkdir()
    module = tool("search")
    module.save(found, module.Search({"steps": 3}, []))
    refused = search(folder)
    assert refused.returncode == 2 and b"another recipe, tried" in refused.stderr
