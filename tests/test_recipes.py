"""Recipes: the papers' defaults, the shipped ones, settings; and which pictures are held back."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from helpers import REPOSITORY
from hypothesis import given
from hypothesis import strategies as st

from sr_cli.errors import RefusedError, SrError
from sr_cli.imaging.names import pair_key
from sr_cli.networks import model_names
from sr_cli.training.images import Pair, find_sources, hold_back
from sr_cli.training.optimisers import learning_rate_factor
from sr_cli.training.papers import default_recipe
from sr_cli.training.recipe_files import (
    as_table,
    as_toml,
    make_recipe,
    read_recipe,
    recipe_schema,
    shipped_recipes,
    stored_recipe,
    with_teacher,
)

TRAINABLE = [n for n in model_names() if n != "bicubic"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("srcnn", {"optimiser": "sgd", "learning_rate": 1e-4, "momentum": 0.9, "batch": 128}),
        ("fsrcnn", {"optimiser": "sgd", "learning_rate": 1e-3, "last_layer_rate": 0.1}),
        ("espcn", {"lr_patch": 17, "learning_rate": 1e-2}),
        ("vdsr", {"optimiser": "sgd", "learning_rate": 0.1, "batch": 64, "weight_decay": 1e-4}),
        ("srresnet", {"losses": {"l2": 1.0}, "batch": 16, "lr_patch": 24, "steps": 10**6}),
        ("srgan", {"losses": {"perceptual": 1.0, "adversarial": 1e-3}, "steps": 200_000}),
        ("edsr", {"losses": {"l1": 1.0}, "learning_rate": 1e-4, "lr_patch": 48, "batch": 16}),
        ("rcan", {"losses": {"l1": 1.0}, "learning_rate": 1e-4, "lr_patch": 48, "batch": 16}),
        ("swift", {"losses": {"l1": 1.0}, "learning_rate": 1e-3, "optimiser": "soap"}),
    ],
)
def test_defaults_are_the_papers(name: str, wanted: dict[str, object]) -> None:
    recipe = default_recipe(name, (4,))
    assert {field: getattr(recipe, field) for field in wanted} == wanted
    first, middle, last = (learning_rate_factor(recipe, d, 999) for d in (0.0, 0.6, 1.0))
    ends = {"espcn": (0.01**0.6, 0.01), "vdsr": (0.01, 1e-4), "srgan": (0.1, 0.01)}
    ends["swift"] = ((1 + math.cos(0.6 * math.pi)) / 2, 0.0)
    halved = {"edsr": (1.0, 0.5), "rcan": (0.125, 0.03125)}
    assert first == 1.0
    assert (middle, last) == pytest.approx((ends | halved).get(name, (1.0, 1.0)))


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_shipped_recipes_are_read_by_name(name: str) -> None:
    recipe = make_recipe(read_recipe(Path(name)))
    assert name.startswith(("photo", "text") if recipe.degradation == "photo" else recipe.model)
    assert len(recipe.scales) > 1 or name.endswith(f"x{recipe.scales[0]}")


@pytest.mark.parametrize("name", TRAINABLE)
def test_recipes_survive_toml_and_json(name: str, tmp_path: Path) -> None:
    recipe = default_recipe(name, (2,))
    file = tmp_path / "r.toml"
    file.write_text(as_toml(recipe))
    assert make_recipe(read_recipe(file)) == recipe
    assert stored_recipe(as_table(recipe)) == recipe


def test_settings_reach_every_depth() -> None:
    recipe = make_recipe(
        {"model": "edsr", "scales": [4]},
        ["losses.l1=0.5", "photo.first.jpeg=[40, 60]", "config.features=32", "learning_rate=1e-4"],
    )
    assert recipe.losses == {"l1": 0.5} and recipe.photo.first.jpeg == (40.0, 60.0)
    assert recipe.config == {"features": 32} and recipe.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("setting", "code", "subject", "facts"),
    [
        ("learning_rates=1", "unknown-field", "learning_rates", {}),
        ("learning_rate=fast", "wrong-type", "learning_rate", {"wanted": "a number above 0"}),
        ("learning_rate=nan", "out-of-range", "learning_rate", {"allowed": "above 0"}),
        ("clip=inf", "wrong-type", "clip", {"wanted": "a finite number"}),
        ("batch=2.5", "wrong-type", "batch", {"wanted": "an integer at least 1"}),
        ("batch=true", "wrong-type", "batch", {}),
        ("batch=0", "out-of-range", "batch", {"value": 0, "allowed": "at least 1"}),
        ("losses.l3=1", "unknown-value", "loss", {"value": "l3"}),
        ("losses.l1=-1", "out-of-range", "losses.l1", {"allowed": "above 0"}),
        ("losses.l1=0", "wrong-type", "losses", {"wanted": "a table with at least one entry"}),
        ("losses.teacher=1", "missing-option", "--teacher", {}),
        ("photo.first.jpg=[1,2]", "unknown-field", "photo.first.jpg", {}),
        ("photo.first.jpeg=[1,2,3]", "wrong-type", "photo.first.jpeg",
         {"wanted": "a list of 2 numbers"}),
        ("photo.first.jpeg=[0,50]", "out-of-range", "photo.first.jpeg",
         {"value": 0, "allowed": "at least 1, at most 100"}),
        ("photo.second.jpeg=[90,20]", "out-of-range", "photo.second.jpeg",
         {"allowed": "low to high"}),
        ("photo.first.up=0.9", "out-of-range", "photo.first.up + down", {"value": 1.6}),
        ("photo.first.kernels={}", "out-of-range", "photo.first.kernels", {}),
        ("photo=3", "wrong-type", "photo", {"wanted": "a table"}),
        ("optimiser=lion", "unknown-value", "optimiser",
         {"value": "lion", "known": ["adam", "adamw", "sgd", "soap"]}),
        ("ema=1.5", "out-of-range", "ema", {"value": 1.5, "allowed": "at least 0, below 1"}),
        ("rescale=[2.0, 1.0]", "out-of-range", "rescale", {"allowed": "low to high"}),
        ("milestones=[0.5, 0.2]", "out-of-range", "milestones", {"allowed": "ascending"}),
        ("milestones=half", "wrong-type", "milestones", {"wanted": "a list of numbers"}),
        ("flips=1", "wrong-type", "flips", {"wanted": "true or false"}),
        ("teacher=[1]", "wrong-type", "teacher", {"wanted": "a string"}),
        ("scales=[5]", "out-of-range", "scales", {"value": 5}),
        ("nonsense", "invalid-setting", "nonsense", {}),
        ("steps=5\nbatch=2", "invalid-setting", "steps=5\nbatch=2", {}),
        ("steps=5\n[photo]", "invalid-setting", "steps=5\n[photo]", {}),
        ("losses..l1=1", "invalid-setting", "losses..l1=1", {}),
        (" =1", "invalid-setting", " =1", {}),
        ("steps=", "wrong-type", "steps", {"value": '""'}),
        ("noise_sigma=[1]", "wrong-type", "noise_sigma", {"value": "[1]"}),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(
    setting: str, code: str, subject: str, facts: dict[str, object]
) -> None:
    with pytest.raises(RefusedError) as caught:
        make_recipe({"model": "edsr", "scales": [4]}, [setting])
    error = caught.value
    assert (error.code, error.subject) == (code, subject)
    assert {name: error.facts.get(name) for name in facts} == facts
    assert "known" not in error.facts or len(error.facts["known"]) > 2


def test_a_nested_table_keeps_the_fields_that_it_does_not_have() -> None:
    table = {"model": "edsr", "scales": [2], "photo": {"second": {"gray": 0.1}}}
    second = make_recipe(table).photo.second
    assert (second.gray, second.blur_sigma) == (0.1, (0.2, 1.5))


def test_a_teacher_gets_a_loss_unless_it_has_one() -> None:
    assert with_teacher({}, "a")["losses"] == {"l1": 0.5, "teacher": 0.5}
    assert with_teacher({}, "a", {"l2": 1.0})["losses"] == {"l2": 1.0, "teacher": 0.5}
    given = {"losses": {"teacher": 0.3}}
    assert with_teacher(given, "a") == {"teacher": "a", **given}


def test_the_schema_in_the_documentation_is_current_and_describes_every_field() -> None:
    text = (REPOSITORY / "docs" / "schemas" / "recipe.schema.json").read_text()
    assert text == recipe_schema(), "sr train --print-schema > docs/schemas/recipe.schema.json"
    for name, kind in json.loads(text)["$defs"].items():
        assert kind["additionalProperties"] is False, name
        for field, described in kind["properties"].items():
            assert described.get("description", "").endswith("."), f"{name}.{field}"


def test_partners_are_found_by_their_names(tmp_path: Path) -> None:
    assert pair_key("0801x4", 4) == pair_key("0801", 4) == pair_key("0801_HR", 4)
    assert pair_key("a_x4_LR", 4) == "a" and pair_key("box", 4) == "box"
    for folder, name in (("hr", "a.png"), ("lr", "ax2.png"), ("hr", "b.png")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).touch()
    with pytest.raises(SrError, match="missing-partner"):
        find_sources([tmp_path], scale=2)
    with pytest.raises(SrError) as caught:
        find_sources([tmp_path], scale=None)
    assert caught.value.code == "pairs-need-one-scale"
    (tmp_path / "lr" / "b_LR.png").touch()
    assert [(s.hr.name, s.lr.name) for s in find_sources([tmp_path], scale=2) if s.lr] == [
        ("a.png", "ax2.png"),
        ("b.png", "b_LR.png"),
    ]


@given(count=st.integers(2, 60), share=st.floats(0.01, 0.99))
def test_held_back_pictures_are_not_trained_on(count: int, share: float) -> None:
    pairs = [Pair(str(i), np.zeros((1, 1, 3), np.uint8)) for i in range(count)]
    train, held_back = hold_back(pairs, share)
    names = {p.name for p in train}, {p.name for p in held_back}
    assert train and held_back and not names[0] & names[1] and len(names[0] | names[1]) == count
