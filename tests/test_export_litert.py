"""sr export -f litert: files for one size of tile, which the interpreter runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import REPOSITORY
from helpers.command import Run
from helpers.images import save, smooth
from helpers.networks import small_model
from helpers.pages import blocks

from sr_cli.engine.upscaler import Upscaler
from sr_cli.export import request as export_request
from sr_cli.export.litert_file import TileGraph
from sr_cli.registry.checkpoint import Header, load_checkpoint, save_checkpoint
from sr_cli.registry.graph_metadata import GraphMetadata

TILE = 48


def checkpoint(folder: Path, name: str, scale: int) -> Path:
    """A small network with values about [0, 1]."""
    model = small_model(name, scale)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.6)
    path = folder / f"{name}-x{scale}.safetensors"
    save_checkpoint(path, Header(name, [scale], model.config), model.state_dict())
    return path


def stated(content: bytes) -> dict[str, Any]:
    """The metadata of a file, found as another tool finds it."""
    from ai_edge_litert.schema_py_generated import Model

    model = Model.GetRootAs(content, 0)
    (entry,) = (
        m for n in range(model.MetadataLength()) if (m := model.Metadata(n)).Name() == b"sr.json"
    )
    found: dict[str, Any] = json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    return found


def test_missing_extra_is_an_error(
    sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_request, "find_spec", lambda name: None)
    done = sr("export", "espcn", "-o", "net.tflite")
    assert (done.returncode, done.error_codes) == (2, ["extra-missing"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize(("name", "scale"), [("edsr", 2), ("espcn", 3), ("vdsr", 2)])
def test_tiles_give_what_the_engine_gives(
    sr: Run, tmp_path: Path, name: str, scale: int, layout: str
) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="no extra litert")
    pytest.importorskip("litert_torch", reason="the extra litert is not installed")
    made = checkpoint(tmp_path, name, scale)
    arguments = ("--tile", str(TILE), "--layout", layout, "-o", "net.tflite", "--json")
    done = sr("export", made, *arguments)
    assert done.returncode == 0, done.stderr
    content = (tmp_path / "net.tflite").read_bytes()
    facts = stated(content)
    assert facts == {k: done.document[k] for k in facts}
    assert (facts["tile"], facts["layout"], facts["scale"]) == (TILE, layout, scale)
    assert facts["largest_difference"] <= 1e-5
    channels = facts["channels"]
    shape = [1, TILE, TILE, channels] if layout == "nhwc" else [1, channels, TILE, TILE]
    opened = interpreter.Interpreter(model_content=content)
    assert opened.get_input_details()[0]["shape"].tolist() == shape
    assert opened.get_signature_list()["serving_default"] == {"inputs": ["lr"], "outputs": ["sr"]}
    assert str(Path(__file__).parent.parent).encode() not in content

    graph = TileGraph(content, GraphMetadata(**facts))
    engine = Upscaler(load_checkpoint(made)[0], device="cpu", precision="fp32", tile=0)
    sizes = [(TILE, TILE), (100, 61)]
    if name == "espcn":  # Of which the continuation is as wide as the halo.
        sizes.append((TILE - 1, 5))
    for h, w in sizes:
        pixels = smooth(h, w)
        if channels == 1:
            pixels = pixels[..., 0]
        lr = torch.from_numpy(np.atleast_3d(pixels).astype(np.float32) / 255)
        span = facts["white"] - facts["black"]
        sr_image = graph.run_image(lr.permute(2, 0, 1)[None] * span + facts["black"])
        levels = ((sr_image[0] - facts["black"]) / span).permute(1, 2, 0).clamp(0, 1) * 255
        expected = np.atleast_3d(engine(pixels))
        assert np.abs(levels.numpy() - expected).max() <= 0.51


def test_int8_keeps_its_ends_in_float_and_states_its_cost(sr: Run, tmp_path: Path) -> None:
    pytest.importorskip("litert_torch", reason="the extra litert is not installed")
    made = checkpoint(tmp_path, "edsr", 2)
    for number in range(4):
        save(tmp_path / f"mine/{number}.png", 64, 64, seed=number)
    options = ("--precision", "int8", "--tile", str(TILE), "--calibrate", "mine", "--force")
    done = sr("export", made, "-f", "litert", "-o", "net.tflite", *options, "--json")
    assert done.returncode == 0, done.stderr
    from ai_edge_litert.interpreter import Interpreter

    opened = Interpreter(model_path=str(tmp_path / "net.tflite"))
    assert opened.get_input_details()[0]["dtype"] == np.float32
    types = {d["dtype"] for d in opened.get_tensor_details()}
    assert np.int8 in types
    facts = stated((tmp_path / "net.tflite").read_bytes())
    assert facts["psnr_cost"] == done.document["psnr_cost"]
    assert facts["largest_difference"] == done.document["largest_difference"] > 0


def test_the_pages_example_runs(sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("litert_torch", reason="the extra litert is not installed")
    made = checkpoint(tmp_path, "espcn", 4)
    assert sr("export", made, "-f", "litert", "-o", "espcn-x4.tflite").returncode == 0
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"tile": np.zeros((1, 128, 128, 1), np.float32)}
    exec(blocks(REPOSITORY / "docs/export.md", "python")[-1], names)
    assert names["sr"].shape == (1, 512, 512, 1)


def test_tile_without_a_core_is_refused(sr: Run, tmp_path: Path) -> None:
    pytest.importorskip("litert_torch", reason="the extra litert is not installed")
    done = sr("export", "edsr", "-f", "litert", "--tile", "16")
    assert (done.returncode, done.error_codes) == (2, ["out-of-range"])
    assert not list(tmp_path.iterdir())
