"""Tools that change a trained chain of ReLU layers without changing its pictures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from sr_cli.models import create_model
from sr_cli.models.vdsr import VDSR

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    for name in ("deepen_vdsr", "revive", "from_edsr"):
        sys.modules.pop(name, None)


def trained(layers: int = 5) -> VDSR:
    """A small VDSR whose last layer is no longer zero."""
    torch.manual_seed(0)
    model = create_model("vdsr", scale=2, layers=layers, features=16)
    assert isinstance(model, VDSR)
    last = model.layers[-1]
    assert isinstance(last, nn.Conv2d)
    nn.init.normal_(last.weight, std=0.05)
    return model


def test_a_deepened_vdsr_is_the_shallow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import deepen_vdsr  # type: ignore[import-not-found]  # lies in tools/

    monkeypatch.setattr(deepen_vdsr, "NOISE", 0.0)
    shallow = trained()
    deep = deepen_vdsr.deepen(shallow, 20)
    assert deep.config["layers"] == 20
    lr = torch.rand(2, 1, 12, 10)
    assert torch.allclose(deep(lr), shallow(lr), atol=1e-5)


def test_revived_features_live_and_change_little(monkeypatch: pytest.MonkeyPatch) -> None:
    import revive  # type: ignore[import-not-found]  # lies in tools/

    monkeypatch.setattr(revive, "TAKEN", 1e-6)

    model = trained()
    first = model.layers[0]
    assert isinstance(first, nn.Conv2d) and first.bias is not None
    with torch.no_grad():
        first.bias[:4] = -100
    lr = torch.rand(2, 1, 24, 24)
    before = model(lr)
    x = nn.functional.interpolate(lr, scale_factor=2.0)
    counts = revive.revive(model.layers, x)
    assert counts[0] == 4
    on = (first(x) > 0).float().mean((0, 2, 3))
    assert (on[:4] > 0.3).all() and (on[:4] < 0.7).all()
    assert torch.allclose(model(lr), before, atol=1e-5)
