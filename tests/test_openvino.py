"""--device openvino: ONNX files in OpenVINO."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import Run
from helpers.images import save
from PIL import Image

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

# E402: what follows needs the extra, without which the lines above skip this file.
from helpers.graphs import (  # noqa: E402
    in_bytes,
    in_half,
    model,
    nearest,
    on_a_grid,
    up_to_255,
)
from onnx import helper  # noqa: E402

from sr_cli.engine.device import pick_device  # noqa: E402
from sr_cli.errors import RefusedError  # noqa: E402
from sr_cli.registry.onnx_runtimes import import_openvino  # noqa: E402


@pytest.fixture
def openvino() -> Any:
    if find_spec("openvino") is None:
        pytest.skip("the extra openvino is not installed")
    return import_openvino()


@pytest.mark.parametrize(
    ("make", "scale"), [(nearest, 2), (in_bytes, 3), (in_half, 2), (up_to_255, 2), (on_a_grid, 2)]
)
def test_graphs_of_others_upscale(
    sr: Run, tmp_path: Path, openvino: Any, make: Callable[[], Any], scale: int
) -> None:
    onnx.save(make(), tmp_path / "net.onnx")
    lr = save(tmp_path / "lr.png", 21, 13)
    done = sr("upscale", lr, "-m", "net.onnx", "-o", "sr.png", "--device", "openvino", "--json")
    assert done.returncode == 0, done.stderr
    assert [r["device"] for r in done.records if "output" in r] == ["openvino"]
    expected = np.asarray(Image.open(lr)).repeat(scale, 0).repeat(scale, 1)
    found = np.asarray(Image.open(tmp_path / "sr.png"))
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 1


def convolutions() -> Any:
    """A network of two convolutions that adds details to the repeated pixels."""
    random = np.random.default_rng(0)
    nodes = [
        *nearest().graph.node,
        helper.make_node("Conv", ["x", "w1"], ["c1"], pads=[1] * 4),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], pads=[1] * 4),
        helper.make_node("DepthToSpace", ["c2"], ["d"], blocksize=2),
        helper.make_node("Add", ["n", "d"], ["y"]),
    ]
    nodes[0].output[0] = "n"
    shapes = {"w1": (32, 3, 3, 3), "w2": (12, 32, 3, 3)}
    weights = {n: random.normal(0, 0.03, s).astype(np.float32) for n, s in shapes.items()}
    return model(nodes, weights={"s": np.array([1, 1, 2, 2], np.float32), **weights})


def test_results_are_those_of_onnx_runtime(sr: Run, tmp_path: Path, openvino: Any) -> None:
    onnx.save(convolutions(), tmp_path / "net.onnx")
    lr = save(tmp_path / "lr.png", 90, 61)
    results = []
    for device in ("cpu", "openvino"):
        out = f"{device}.png"
        done = sr("upscale", lr, "-m", "net.onnx", "-o", out, "--device", device, "--tile", "32")
        assert done.returncode == 0, done.stderr
        results.append(np.asarray(Image.open(tmp_path / out)).astype(int))
    assert np.abs(results[0] - results[1]).max() <= 1
    lr_pixels = np.asarray(Image.open(lr)).astype(int)
    assert np.abs(results[1] - lr_pixels.repeat(2, 0).repeat(2, 1)).max() > 1


def test_threads_and_precision_are_those_asked_for(
    sr: Run, tmp_path: Path, openvino: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    class Core(openvino.Core):  # type: ignore[misc]
        def compile_model(self, content: Any, device: str, properties: dict[str, Any]) -> Any:
            asked.append(properties)
            return super().compile_model(content, device, properties)

    monkeypatch.setattr(openvino, "Core", Core)
    onnx.save(nearest(2), tmp_path / "net.onnx")
    save(tmp_path / "lr.png", 9, 9)
    command = ("upscale", "lr.png", "-m", "net.onnx", "--device", "openvino", "--threads", "1")
    for extra in ((), ("--precision", "bf16")):
        done = sr(*command, *extra, "-o", "sr.png", "--overwrite")
        assert done.returncode == 0, done.stderr
    assert {a["INFERENCE_NUM_THREADS"] for a in asked} == {1}
    hints = [a["INFERENCE_PRECISION_HINT"] for a in asked]
    assert (hints[0], hints[-1]) == ("f32", "bf16")
    assert "bf16" not in hints[:-1]


def reducing() -> Any:
    """A graph that reduces its input inside, without aliasing, and repeats each pixel of that."""
    halve = helper.make_node("Resize", ["x", "", "half"], ["h"], mode="linear", antialias=1)
    grow = helper.make_node("Resize", ["h", "", "four"], ["y"], mode="linear")
    factors = {"half": (1, 1, 0.5, 0.5), "four": (1, 1, 4, 4)}
    weights = {name: np.array(values, np.float32) for name, values in factors.items()}
    return model([halve, grow], weights=weights)


def test_a_graph_of_which_openvino_makes_another_image_is_refused(
    sr: Run, tmp_path: Path, openvino: Any
) -> None:
    """OpenVINO 2026.4.1 ignores `antialias` of Resize."""
    onnx.save(reducing(), tmp_path / "net.onnx")
    save(tmp_path / "lr.png", 30, 20)
    done = sr("upscale", "lr.png", "-m", "net.onnx", "-o", "sr.png")
    assert done.returncode == 0, done.stderr
    done = sr("upscale", "lr.png", "-m", "net.onnx", "-o", "ov.png", "--device", "openvino")
    assert done.error_codes == ["unsupported-by-openvino"] and b"another image" in done.stderr
    assert not (tmp_path / "ov.png").exists()


def test_importing_it_reports_nothing(openvino: Any) -> None:
    assert "openvino.tools.ovc.telemetry_utils" in sys.modules
    assert "openvino_telemetry" not in sys.modules


def test_benchmark_states_the_device(sr: Run, tmp_path: Path, openvino: Any) -> None:
    onnx.save(nearest(2), tmp_path / "net.onnx")
    (tmp_path / "set").mkdir()
    save(tmp_path / "set" / "hr.png", 40, 32)
    done = sr(
        "benchmark",
        "set",
        "-x2",
        "--precision",
        "fp32",
        "-m",
        "net.onnx",
        "--device",
        "openvino",
        "--json",
    )
    rows = {row["model"]: row for row in done.document["results"]}
    assert rows["net.onnx"]["device"] == "openvino"


def unknown_operator() -> Any:
    """An operator of ONNX Runtime that returns its input, and that OpenVINO does not have."""
    nodes = [
        helper.make_node("SampleOp", ["x"], ["e"], domain="com.microsoft"),
        *nearest().graph.node,
    ]
    nodes[1].input[0] = "e"
    weights = {"s": np.array([1, 1, 2, 2], np.float32)}
    return model(nodes, weights=weights, domain="com.microsoft")


def test_unsupported_models_are_refused(sr: Run, tmp_path: Path, openvino: Any) -> None:
    onnx.save(unknown_operator(), tmp_path / "net.onnx")
    save(tmp_path / "lr.png", 9, 9)
    command = ("upscale", "lr.png", "-o", "sr.png", "--device", "openvino", "-m")
    for name in ("net.onnx", "fsrcnn"):
        done = sr(*command, name)
        assert done.returncode != 0
        assert done.error_codes == ["unsupported-by-openvino"]
        assert not (tmp_path / "sr.png").exists()
    done = sr("benchmark", "Set5", "-m", "espcn", "--device", "openvino")
    assert (done.returncode, done.error_codes) == (2, ["unsupported-by-openvino"])
    assert b"espcn-x4:" not in done.stdout and b"espcn" in done.stderr
    assert sr("upscale", "lr.png", "-o", "sr.png", "-m", "net.onnx").returncode == 0


def test_missing_extra_is_named(sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sr_cli.engine.device.find_spec", lambda _: None)
    onnx.save(nearest(2), tmp_path / "net.onnx")
    save(tmp_path / "lr.png", 9, 9)
    done = sr("upscale", "lr.png", "-m", "net.onnx", "-o", "sr.png", "--device", "openvino")
    assert (done.returncode, done.error_codes) == (2, ["extra-missing"])
    assert not (tmp_path / "sr.png").exists()


def test_nothing_else_runs_in_it() -> None:
    with pytest.raises(RefusedError) as refused:
        pick_device("openvino")
    assert refused.value.code == "device-not-available"
