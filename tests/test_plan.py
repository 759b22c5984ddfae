"""From a request to jobs and groups: factors, names, folders, which network serves which image."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.images import save
from helpers.networks import compact

from sr_cli import RefusedError, UpscaleOptions
from sr_cli.engine.size import Size
from sr_cli.registry.ref import BicubicRef
from sr_cli.upscale.existing import output_exists
from sr_cli.upscale.groups import Group, group_jobs
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.plan import Plan, plan_files
from sr_cli.upscale.request import Event, Replacing, UpscaleRequest


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """a.png of 16x12 and b.png of 60x40 in the present folder."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "a.png")
    save(tmp_path / "b.png", 60, 40)


def planned(*inputs: str, models: tuple[str, ...] = ("bicubic",), **fields: Any) -> Plan:
    names = {f for f in fields if f in ("output", "scale")}
    request = {name: fields.pop(name) for name in names}
    options = UpscaleOptions(**fields)
    return plan_files(
        UpscaleRequest(inputs, models=models, options=options, **request), told.append
    )


def grouped(plan: Plan) -> list[Group]:
    return group_jobs(plan, told.append)


told: list[Event] = []


@pytest.mark.parametrize(
    ("fields", "target", "size"),
    [
        ({}, "a_x4.png", Size(4.0)),
        ({"scale": 2.5}, "a_x2.5.png", Size(2.5)),
        ({"scale": 3, "max_side": 20}, "a_x3.png", Size(3, max_side=20)),
        ({"width": 40}, "a_w40.png", Size(None, 40)),
        ({"height": 30}, "a_h30.png", Size(None, None, 30)),
        ({"width": 40, "height": 30}, "a_w40h30.png", Size(None, 40, 30)),
        ({"width": 40, "max_side": 9}, "a_w40.png", Size(None, 40, None, 9)),
        ({"suffix": "_big"}, "a_big.png", Size(4.0)),
        ({"suffix": "", "format": "webp"}, "a.webp", Size(4.0)),
    ],
)
def test_names_and_sizes(fields: dict[str, Any], target: str, size: Size) -> None:
    plan = planned("a.png", **fields)
    assert [str(j.target) for j in plan.jobs] == [target] and plan.size == size


@pytest.mark.parametrize(
    ("models", "scale", "factor"),
    [
        ((), None, 4),
        (("bicubic",), None, 4),
        (("espcn",), None, 4),
        (("espcn-x2",), None, 2),
        (("espcn-x2", "fsrcnn-x2"), None, 2),
        (("espcn-x2", "fsrcnn-x3"), None, 4),
        (("espcn-x2",), 3, 3),
        (("two.pth",), None, 2),
        (("two.pth", "espcn"), None, 4),
        (("one.pth+two.pth",), None, 2),
        (("one.pth",), None, 1),
        (("one.pth+espcn",), None, 4),
    ],
)
def test_the_factor(models: tuple[str, ...], scale: float | None, factor: float) -> None:
    torch.save(compact(1), "one.pth")
    torch.save(compact(2), "two.pth")
    plan = planned("a.png", models=models, scale=scale)
    assert plan.size == Size(factor)
    if models:
        assert plan.model == "+".join(models)


@pytest.mark.parametrize(
    ("inputs", "output", "targets"),
    [
        (("a.png",), "new", ["new"]),
        (("a.png", "b.png"), "new", ["new/a.png", "new/b.png"]),
        (("*.png",), "new", ["new/a.png", "new/b.png"]),
        ((".",), "new", ["new/a.png", "new/b.png"]),
        (("a.png", "missing.png"), "new", ["new/a.png"]),
        (("a.png",), "-", ["-"]),
        (("-",), None, ["-"]),
    ],
)
def test_where_results_go(inputs: tuple[str, ...], output: str | None, targets: list[str]) -> None:
    formats = {} if targets != ["new"] else {"format": "png"}
    plan = planned(*inputs, output=output, **formats)
    assert [str(j.target) for j in plan.jobs] == targets
    assert [name for name, _ in plan.problems] == [n for n in inputs if n == "missing.png"]


def test_the_folder_of_the_results_is_not_read() -> None:
    save(Path("out/c.png"))
    plan = planned(".", output="out", recursive=True)
    assert [str(j.source) for j in plan.jobs] == ["a.png", "b.png"]


@pytest.mark.parametrize("output", ["-", None])
def test_a_comparison_needs_a_file(output: str | None) -> None:
    with pytest.raises(RefusedError) as caught:
        planned("-", output=output, compare=True)
    assert (caught.value.code, caught.value.subject) == ("conflicting-options", "compare")


def test_each_image_has_the_network_that_reaches_it() -> None:
    plan = planned("a.png", "b.png", models=("espcn",), width=64)
    small, large = grouped(plan)
    assert [str(j.source) for j in small.jobs] == ["a.png"] and small.factor == 4
    assert [str(j.source) for j in large.jobs] == ["b.png"] and large.factor == 2
    (both,) = grouped(planned("a.png", "b.png", models=("espcn",), scale=3))
    assert len(both.jobs) == 2 and both.factor == 3 and both.model == "espcn"
    (capped,) = grouped(planned("b.png", models=("espcn",), scale=4, max_side=110))
    assert capped.factor == 2
    (any_size,) = grouped(planned("a.png", "b.png", width=64))
    assert len(any_size.jobs) == 2
    (beyond,) = grouped(planned("a.png", models=("espcn",), scale=16))
    assert beyond.factor == 4


def test_a_group_can_be_handed_to_another_process() -> None:
    (group,) = grouped(planned("a.png", models=("espcn", "fsrcnn"), scale=2))
    assert pickle.loads(pickle.dumps(group)) == group


def test_what_is_there_already_needs_no_network() -> None:
    save(Path("a_x2.png"))
    idle, rest = grouped(planned("a.png", "b.png", models=("espcn",), scale=2, skip_existing=True))
    assert [str(j.source) for j in idle.jobs] == ["a.png"] and idle.refs == (BicubicRef(),)
    assert [str(j.source) for j in rest.jobs] == ["b.png"]
    (alone,) = grouped(planned("a.png", models=("realesrgan-x4",), scale=2, download=True))
    assert alone.refs == (BicubicRef(),)


def test_whether_an_output_exists() -> None:
    save(Path("t.png"))
    job, options = Job(Path("a.png"), Path("t.png"), None), UpscaleOptions()
    assert output_exists(job, options)
    assert not output_exists(job, replace(options, overwrite=True))
    assert not output_exists(replace(job, target=Path("none.png")), options)
    assert not output_exists(replace(job, target=Path("-")), options)
    # With comparisons: either stands in the way, but only both are a result that can be skipped.
    assert output_exists(job, replace(options, compare=True))
    assert not output_exists(job, replace(options, compare=True, skip_existing=True))
    save(Path("t_compare.png"))
    assert output_exists(job, replace(options, compare=True, skip_existing=True))


def test_only_an_input_that_is_overwritten_is_announced() -> None:
    told.clear()
    grouped(planned("a.png", output="a.png", overwrite=True))
    grouped(planned("a.png", output="new.png", overwrite=True))
    grouped(planned("a.png", output="b.png", overwrite=True))
    grouped(planned("a.png", output="a.png"))
    assert told == [Replacing(Path("a.png"))]
