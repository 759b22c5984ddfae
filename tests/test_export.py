"""sr export: files that equal what sr upscale gives, and refusals that write nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from helpers import REPOSITORY
from helpers.command import Run
from helpers.images import save, smooth
from helpers.networks import compact, small_model
from helpers.pages import blocks
from PIL import Image

from sr_cli.engine.upscaler import Upscaler
from sr_cli.evaluation.costs import count_multiply_adds
from sr_cli.export import request as export_request
from sr_cli.export.onnx_file import export_graph
from sr_cli.registry.checkpoint import Header, load_checkpoint, save_checkpoint
from sr_cli.registry.onnx_graph import read_signature
from sr_cli.registry.onnx_runtimes import Graph

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")


def checkpoint(folder: Path, name: str, scale: int) -> Path:
    """A small network with lively weights as a checkpoint of sr."""
    model = small_model(name, scale)
    # Values about [0, 1], as those of a trained network.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.6)
    path = folder / f"{name}-x{scale}.safetensors"
    header = Header(name, [scale], model.config, licence="CC0-1.0")
    save_checkpoint(path, header, model.state_dict())
    return path


def session(path: Path) -> Any:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_without_o_the_file_is_named_after_the_model(sr: Run, tmp_path: Path) -> None:
    checkpoint(tmp_path, "espcn", 2).rename(tmp_path / "mine.safetensors")
    assert sr("export", "mine.safetensors").returncode == 0
    assert sr("export", "mine.safetensors").error_codes == ["already-exists"]
    assert sr("export", "espcn-x3", "--quiet").stderr == b""
    names = ["espcn-x3.onnx", "mine-x2.onnx", "mine.safetensors"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names


def levels(first: Path, second: Path) -> int:
    """The largest difference of two images in levels of 255."""
    a, b = (np.asarray(Image.open(p)).astype(int) for p in (first, second))
    assert a.shape == b.shape
    return int(np.abs(a - b).max())


@pytest.mark.parametrize(("name", "scale"), [("espcn", 2), ("fsrcnn", 3)])
def test_a_graph_has_the_multiply_adds_of_its_network(
    tmp_path: Path, name: str, scale: int
) -> None:
    network = small_model(name, scale).eval()
    example = torch.rand(2, network.channels, 13, 17)
    onnx.save(export_graph(network, example, layout="nchw", opset=18), tmp_path / "net.onnx")
    graph = Graph(tmp_path / "net.onnx", read_signature(tmp_path / "net.onnx"))
    counted = count_multiply_adds([network])
    assert graph.multiply_adds / scale**2 == pytest.approx(counted)


@pytest.mark.parametrize(
    ("name", "scale"), [("edsr", 4), ("espcn", 3), ("vdsr", 2), ("srresnet", 4), ("fsrcnn", 2)]
)
def test_onnx_equals_one_pass_of_the_engine_at_every_size(
    sr: Run, tmp_path: Path, name: str, scale: int
) -> None:
    made = checkpoint(tmp_path, name, scale)
    done = sr("export", made, f"-x{scale}", "-o", "net.onnx", "--uint8")
    assert done.returncode == 0, done.stderr
    engine = Upscaler(load_checkpoint(made)[0], device="cpu", precision="fp32", tile=0)
    network = session(tmp_path / "net.onnx")
    for h, w in ((1, 1), (1, 7), (9, 5), (16, 31)):
        pixels = smooth(h, w)
        found = network.run(None, {"lr": np.stack([pixels, pixels])})[0]
        assert found.dtype == np.uint8
        assert np.array_equal(found[0], found[1])
        assert np.abs(found[0].astype(int) - engine(pixels)).max() <= 1


def test_file_describes_itself_and_is_one_file(sr: Run, tmp_path: Path) -> None:
    made = checkpoint(tmp_path, "edsr", 2)
    done = sr("export", made, "--json", "-o", "out.onnx")
    record = done.document
    schema = REPOSITORY / "docs/schemas/export.schema.json"
    jsonschema.validate(record, json.loads(schema.read_text()))
    assert (record["scale"], record["channels"], record["licence"]) == (2, 3, "CC0-1.0")
    assert record["largest_difference"] <= 1e-5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["edsr-x2.safetensors", "out.onnx"]
    model = onnx.load(tmp_path / "out.onnx")
    stated = {p.key: p.value for p in model.metadata_props}
    assert {k: stated[f"sr.{k}"] for k in ("scale", "channels", "sha256")} == {
        k: str(record[k]) for k in ("scale", "channels", "sha256")
    }
    assert ([o.version for o in model.opset_import], model.ir_version) == ([18], 8)
    assert str(Path(__file__).parent.parent) not in str(model)
    network = session(tmp_path / "out.onnx")
    (lr,), (result,) = network.get_inputs(), network.get_outputs()
    assert (lr.name, result.name) == ("lr", "sr")
    assert lr.shape == ["batch", 3, "height", "width"]


@pytest.mark.parametrize(("name", "scale"), [("edsr", 3), ("espcn", 2)])
def test_exported_file_upscales_like_its_checkpoint(
    sr: Run, tmp_path: Path, name: str, scale: int
) -> None:
    made = checkpoint(tmp_path, name, scale)
    lr = save(tmp_path / "lr.png", 33, 40)
    assert sr("export", made, "-o", "net.onnx").returncode == 0
    for model, output in ((made, "a.png"), ("net.onnx", "b.png")):
        options = ("--precision", "fp32", "--tile", "16")
        done = sr("upscale", lr, "-m", model, "-o", output, *options)
        assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "b.png").size == (33 * scale, 40 * scale)
    assert levels(tmp_path / "a.png", tmp_path / "b.png") <= 1


def test_exported_file_is_benchmarked_and_described(
    sr: Run, tmp_path: Path, originals: Path
) -> None:
    made = checkpoint(tmp_path, "edsr", 2)
    assert sr("export", made, "-o", "net.onnx").returncode == 0
    done = sr("benchmark", originals, "-m", made, "-m", "net.onnx", "-x2", "--json")
    assert done.returncode == 0, done.stderr
    rows = [row for row in done.document["results"] if row["model"] != "bicubic"]
    figures = [row["sets"]["mine"]["psnr_y"] for row in rows]
    assert len(figures) == 2
    assert figures[0] == pytest.approx(figures[1], abs=0.01)
    facts = sr("models", "net.onnx", "--json").document
    assert (facts["network"], facts["scales"], facts["channels"]) == ("edsr", [2], "RGB")


@pytest.mark.parametrize(("name", "scale"), [("edsr", 2), ("srresnet", 4)])
def test_pt2_is_exact_at_every_size(sr: Run, tmp_path: Path, name: str, scale: int) -> None:
    made = checkpoint(tmp_path, name, scale)
    done = sr("export", made, "-o", "net.pt2", "--json")
    assert done.returncode == 0, done.stderr
    described = {"sr.json": ""}
    network = torch.export.load(tmp_path / "net.pt2", extra_files=described).module()
    assert json.loads(described["sr.json"])["sha256"] == done.document["sha256"]
    engine = Upscaler(load_checkpoint(made)[0], device="cpu", precision="fp32", tile=0)
    for h, w in ((1, 1), (1, 7), (9, 5), (1100, 3)):
        pixels = smooth(h, w)
        lr = torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)[None]
        found = network(lr)[0].detach().permute(1, 2, 0).clamp(0, 1).numpy() * 255
        assert np.abs(found - engine(pixels)).max() <= 0.51


def test_the_pages_examples_in_python_run(
    sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_onnx, with_torch, *_ = blocks(REPOSITORY / "docs/export.md", "python")
    made = checkpoint(tmp_path, "srresnet", 4)
    Image.fromarray(smooth(20, 31)).save(tmp_path / "photo.jpg")
    assert sr("export", made, "--uint8", "-o", "photo-x4.onnx").returncode == 0
    assert sr("export", made, "-o", "srresnet-x4.pt2").returncode == 0
    monkeypatch.chdir(tmp_path)
    exec(with_onnx, {})
    sr("upscale", "photo.jpg", "-m", made, "-o", "expected.png", "--precision", "fp32")
    assert levels(tmp_path / "photo_x4.png", tmp_path / "expected.png") <= 1
    names: dict[str, Any] = {}
    exec(with_torch, names)
    assert names["sr"].shape == (1, 3, 480, 640)


def test_half_precision_halves_the_file(sr: Run, tmp_path: Path) -> None:
    made = checkpoint(tmp_path, "srresnet", 4)
    sizes = []
    for precision in ("fp32", "fp16"):
        done = sr("export", made, "--precision", precision, "-o", f"{precision}.onnx", "--json")
        assert done.returncode == 0, done.stderr
        assert done.document["largest_difference"] <= 2e-3
        model = onnx.load(tmp_path / f"{precision}.onnx")
        weights = [t for t in model.graph.initializer if "body" in t.name and len(t.dims) == 4]
        assert weights
        sizes.append(sum(t.ByteSize() for t in weights))
    assert sizes[1] < 0.6 * sizes[0]
    lr = save(tmp_path / "lr.png", 12, 9)
    assert sr("upscale", lr, "-m", "fp16.onnx", "-o", "sr.png").returncode == 0


def test_half_precision_rounds_nothing_that_carries_the_image(sr: Run, tmp_path: Path) -> None:
    made = checkpoint(tmp_path, "edsr", 2)
    done = sr("export", made, "--precision", "fp16", "-o", "net.onnx", "--json")
    # What other processors round is stated, though ONNX Runtime does not round it here.
    assert 1e-6 < done.document["largest_difference"] <= 1e-3
    casts = [n for n in onnx.load(tmp_path / "net.onnx").graph.node if n.op_type == "Cast"]
    rounding = [n for n in casts if n.attribute[0].i == onnx.TensorProto.FLOAT16]
    assert len(rounding) == 1  # of what enters the body


def test_half_precision_of_espcn_computes_tanh(sr: Run, tmp_path: Path) -> None:
    done = sr("export", "espcn", "-x4", "--precision", "fp16", "-o", "net.onnx", "--json")
    assert done.returncode == 0, done.stderr
    assert done.document["largest_difference"] <= 1e-3
    operators = {node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node}
    assert "Tanh" in operators


def test_half_precision_that_overflows_is_refused(sr: Run, tmp_path: Path) -> None:
    model = small_model("edsr", 2)
    with torch.no_grad():
        # What is scaled up in the head is scaled down in the tail.
        for layer, factor in ((model.head, 1e6), (model.tail[0], 1e-6)):
            layer.weight.mul_(factor)
        model.tail[-1].weight.mul_(0.01)
    header = Header("edsr", [2], model.config)
    save_checkpoint(tmp_path / "large.safetensors", header, model.state_dict())
    done = sr("export", "large.safetensors", "--precision", "fp16")
    assert (done.returncode, done.error_codes) == (1, ["export-failed"])
    assert [p.name for p in tmp_path.iterdir()] == ["large.safetensors"]


def test_int8_states_its_cost_and_refuses_a_large_one(sr: Run, tmp_path: Path) -> None:
    arguments = ("export", "espcn", "-x2", "--precision", "int8", "-o", "net.onnx", "--json")
    done = sr(*arguments)
    assert (done.returncode, done.error_codes) == (1, ["quantisation-cost"])
    assert not list(tmp_path.iterdir())
    for number in range(5):
        save(tmp_path / f"mine/{number}.png", 40 + 30 * number, 64, seed=number)
    done = sr(*arguments, "--force", "--calibrate", "mine")
    assert done.returncode == 0, done.stderr
    stated = {p.key: p.value for p in onnx.load(tmp_path / "net.onnx").metadata_props}
    assert float(stated["sr.psnr_cost"]) == done.document["psnr_cost"]
    operators = {node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node}
    assert "QuantizeLinear" in operators


def test_other_tools_networks_are_exported(sr: Run, tmp_path: Path) -> None:
    pytest.importorskip("spandrel", reason="the extra foreign is not installed")
    torch.save(compact(2), tmp_path / "compact.pth")
    done = sr("export", "compact.pth", "-o", "net.onnx", "--json")
    assert done.returncode == 0, done.stderr
    assert done.document["scale"] == 2
    lr = save(tmp_path / "lr.png", 12, 9)
    for model, output in (("compact.pth", "a.png"), ("net.onnx", "b.png")):
        sr("upscale", lr, "-m", model, "-o", output, "--precision", "fp32")
    assert levels(tmp_path / "a.png", tmp_path / "b.png") <= 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("bicubic",), "not-exportable"),
        (("espcn+edsr",), "chain-not-supported"),
        (("srcnn-x7",), "no-weights"),
        (("nothing.pth",), "file-not-found"),
        (("nothing",), "unknown-model"),
        (("espcn", "-f", "torchscript"), "format-deprecated"),
        (("espcn", "-f", "caffe"), "unknown-value"),
        (("espcn", "-f", "litert", "--uint8"), "conflicting-options"),
        (("espcn", "-f", "litert", "--precision", "fp16"), "conflicting-options"),
        (("espcn", "-f", "litert", "--opset", "17"), "conflicting-options"),
        (("espcn", "-f", "litert", "--tile", "8"), "out-of-range"),
        (("espcn", "-f", "litert", "--layout", "hwc"), "unknown-value"),
        (("espcn", "--tile", "64"), "conflicting-options"),
        (("espcn", "--precision", "int4"), "unknown-value"),
        (("espcn", "-x8"), "scale-not-available"),
        (("espcn", "-x2.5"), "wrong-type"),
        (("espcn", "--opset", "13"), "out-of-range"),
        (("espcn", "--calibrate", "."), "conflicting-options"),
        (("espcn", "--precision", "int8", "--calibrate", "none"), "folder-not-found"),
        (("espcn", "-f", "pt2", "--uint8"), "conflicting-options"),
        (("espcn", "-o", "there.onnx"), "already-exists"),
        (("espcn", "-o", "none/net.onnx"), "folder-not-found"),
        (("there.onnx", "-o", "net.onnx"), "not-exportable"),
    ],
)
def test_refusals_write_nothing(
    sr: Run, tmp_path: Path, arguments: tuple[str, ...], code: str
) -> None:
    (tmp_path / "there.onnx").write_bytes(b"mine")
    done = sr("export", *arguments)
    assert (done.returncode, done.error_codes) == (2, [code])
    assert [p.name for p in tmp_path.iterdir()] == ["there.onnx"]
    assert (tmp_path / "there.onnx").read_bytes() == b"mine"


def test_missing_extra_is_an_error(
    sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_request, "find_spec", lambda name: None)
    done = sr("export", "espcn")
    assert (done.returncode, done.error_codes) == (2, ["extra-missing"])
    assert not list(tmp_path.iterdir())


def test_file_that_differs_is_not_written(
    sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sr_cli.export import export

    monkeypatch.setitem(export.TOLERANCES, "fp32", 0.0)
    done = sr("export", checkpoint(tmp_path, "edsr", 2), "-o", "net.onnx")
    assert (done.returncode, done.error_codes) == (1, ["export-differs"])
    assert [p.name for p in tmp_path.iterdir()] == ["edsr-x2.safetensors"]
