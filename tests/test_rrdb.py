"""ESRGAN's network without concatenations and in strips."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sr_cli.engine.probe import prepare
from sr_cli.layers import strips
from sr_cli.layers.dense import DenseBlocks
from sr_cli.layers.fusion import fusion_works
from sr_cli.registry.foreign import ForeignModel

spandrel = pytest.importorskip("spandrel")
CPU = torch.device("cpu")


def network(**config: Any) -> ForeignModel:
    """With random weights of which every block changes the image."""
    from spandrel.architectures.ESRGAN import ESRGAN

    torch.manual_seed(0)
    net = ESRGAN(**{"num_blocks": 2, "num_filters": 64} | config)
    return ForeignModel(spandrel.ModelLoader().load_from_state_dict(net.state_dict()).eval())


@pytest.mark.skipif(not fusion_works(), reason="PyTorch without the operations")
@pytest.mark.parametrize(
    "config",
    [
        {"scale": 4},
        {"scale": 2},
        {"scale": 1},
        {"scale": 8, "num_blocks": 1},
        {"scale": 4, "shuffle_factor": 2, "in_nc": 12},
    ],
    ids=str,
)
@torch.inference_mode()
def test_the_same_image(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "STRIP", 20 * 7)
    monkeypatch.setattr(strips, "LEAST_ROWS", 7)
    model = network(**config)
    lr = torch.rand(2, 3, 23, 18)
    published = model(lr)
    net = prepare(model, torch.float32, CPU)
    assert any(isinstance(m, DenseBlocks) for m in net.modules())
    assert net.seen_in_strips is not None
    assert torch.allclose(net(lr), published, atol=1e-5)


@pytest.mark.parametrize("config", [{"plus": True}, {"num_filters": 48}], ids=str)
@torch.inference_mode()
def test_other_forms_are_left_as_they_are(config: dict[str, Any]) -> None:
    model = network(**config, scale=4, num_blocks=1)
    lr = torch.rand(1, 3, 9, 12)
    net = prepare(model, torch.float32, CPU)
    assert not any(isinstance(m, DenseBlocks) for m in net.modules())
    assert torch.allclose(net(lr), model(lr), atol=1e-5)
