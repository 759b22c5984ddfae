"""-m FILE.onnx: graphs of other tools, found out by a probe, and graphs that are refused."""

from __future__ import annotations

from collections.abc import Callable
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
    ANY,
    FLOAT,
    NEAREST,
    in_bytes,
    in_half,
    model,
    nearest,
    on_a_grid,
    up_to_255,
)
from onnx import TensorProto, helper  # noqa: E402

from sr_cli.errors import SrError  # noqa: E402
from sr_cli.registry.onnx_graph import read_signature  # noqa: E402
from sr_cli.registry.onnx_runtimes import Graph  # noqa: E402


def of_any_channels() -> Any:
    return nearest(2, shape=["n", "c", "h", "w"], result=["n", "c", "a", "b"])


def gray() -> Any:
    return nearest(2, shape=["n", 1, "h", "w"], result=["n", 1, "a", "b"])


@pytest.mark.parametrize(
    ("make", "scale"),
    [
        (nearest, 2),
        (in_bytes, 3),
        (in_half, 2),
        (up_to_255, 2),
        (on_a_grid, 2),
        (of_any_channels, 2),
    ],
)
def test_graphs_of_others_upscale(
    sr: Run, tmp_path: Path, make: Callable[[], Any], scale: int
) -> None:
    onnx.save(make(), tmp_path / "net.onnx")
    lr = save(tmp_path / "lr.png", 21, 13)
    done = sr("upscale", lr, "-m", "net.onnx", "-o", "sr.png")
    assert done.returncode == 0, done.stderr
    expected = np.asarray(Image.open(lr)).repeat(scale, 0).repeat(scale, 1)
    found = np.asarray(Image.open(tmp_path / "sr.png"))
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_gray_graph_upscales_gray_exactly(sr: Run, tmp_path: Path) -> None:
    onnx.save(gray(), tmp_path / "net.onnx")
    pixels = np.arange(15 * 20, dtype=np.uint8).reshape(15, 20)
    Image.fromarray(pixels).save(tmp_path / "lr.png")
    assert sr("upscale", "lr.png", "-m", "net.onnx", "-o", "sr.png").returncode == 0
    found = np.asarray(Image.open(tmp_path / "sr.png"))
    assert np.array_equal(found, pixels.repeat(2, 0).repeat(2, 1))


def test_what_was_found_is_described(sr: Run, tmp_path: Path) -> None:
    onnx.save(on_a_grid(), tmp_path / "net.onnx")
    facts = sr("models", "net.onnx", "--json").document
    assert (facts["scales"], facts["size_multiple"], facts["channels"]) == ([2], 2, "RGB")


def classifier() -> Any:
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    return model(nodes, result=["n", 3])


def rank_3() -> Any:
    return model([helper.make_node("Relu", ["x"], ["y"])], shape=["n", "h", "w"], result=["n"] * 3)


def control_flow() -> Any:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["z"])],
        "branch",
        [],
        [helper.make_tensor_value_info("z", FLOAT, None)],
    )
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    return model([node], weights={"c": np.array(True)})


def custom_operator() -> Any:
    return model([helper.make_node("Run", ["x"], ["y"], domain="evil")], domain="evil")


def fixed_size() -> Any:
    return nearest(2, shape=[1, 3, 64, 64], result=[1, 3, 128, 128])


def two_inputs() -> Any:
    made = model([helper.make_node("Add", ["x", "noise"], ["y"])])
    made.graph.input.append(helper.make_tensor_value_info("noise", FLOAT, ANY))
    return made


def two_outputs() -> Any:
    made = model([helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Abs", ["x"], ["z"])])
    made.graph.output.append(helper.make_tensor_value_info("z", FLOAT, ANY))
    return made


def four_channels() -> Any:
    return model([helper.make_node("Relu", ["x"], ["y"])], shape=["n", 4, "h", "w"])


def constant() -> Any:
    """A graph that gives black, whatever the image is."""
    nodes = [
        helper.make_node("Resize", ["x", "", "s"], ["r"], **NEAREST),
        helper.make_node("Mul", ["r", "zero"], ["y"]),
    ]
    weights = {"s": np.array([1, 1, 2, 2], np.float32), "zero": np.array(0, np.float32)}
    return model(nodes, weights=weights)


@pytest.mark.parametrize(
    "make",
    [
        classifier, rank_3, control_flow, custom_operator, fixed_size, two_inputs, four_channels,
        constant,
    ],
)  # fmt: skip
def test_graphs_that_are_no_upscalers_are_refused(
    sr: Run, tmp_path: Path, make: Callable[[], Any]
) -> None:
    onnx.save(make(), tmp_path / "net.onnx")
    lr = save(tmp_path / "lr.png", 8, 8)
    done = sr("upscale", lr, "-m", "net.onnx", "-o", "sr.png")
    assert (done.returncode, done.error_codes) == (1, ["unsupported-graph"])
    assert not (tmp_path / "sr.png").exists()
    assert sr("models", "net.onnx").error_codes == ["unsupported-graph"]


def external(location: str) -> bytes:
    """A graph whose weights are said to lie in another file."""
    made = nearest(2)
    (tensor,) = made.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a graph",
        nearest(2).SerializeToString()[:-40],
        external("../secret.bin"),
        external("/etc/hostname"),
        external("missing.bin"),
        external("link.bin"),
        external("."),
        external(""),
    ],
)
def test_damaged_files_and_data_outside_the_folder_are_refused(
    sr: Run, tmp_path: Path, content: bytes
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(np.array([1, 1, 2, 2], np.float32).tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "net.onnx").write_bytes(content)
    lr = save(tmp_path / "lr.png", 8, 8)
    done = sr("upscale", lr, "-m", folder / "net.onnx", "-o", "sr.png")
    assert (done.returncode, done.error_codes) == (1, ["unreadable-graph"])
    assert not (tmp_path / "sr.png").exists()


def test_reasons_of_the_runtime_are_without_its_source(tmp_path: Path) -> None:
    made = nearest(2)
    made.ir_version = 99
    onnx.save(made, tmp_path / "net.onnx")
    with pytest.raises(SrError) as refused:
        Graph(tmp_path / "net.onnx", read_signature(tmp_path / "net.onnx"))
    assert refused.value.code == "unreadable-graph"
    reason = refused.value.facts["reason"]
    assert "99" in reason
    assert not [part for part in ("::", "ONNXRuntimeError", str(tmp_path)) if part in reason]


def test_metadata_that_does_not_fit_the_graph_is_refused(sr: Run, tmp_path: Path) -> None:
    lr = save(tmp_path / "lr.png", 8, 8)
    for scale, halo in (("3", "4"), ("2", "-1"), ("two", "4")):
        made = nearest(2)
        stated = {"model": "x", "network": "x", "sha256": "", "version": "1", "channels": "3"}
        stated |= {"format": "1", "scale": scale, "halo": halo}
        helper.set_model_props(made, {f"sr.{k}": v for k, v in stated.items()})
        onnx.save(made, tmp_path / "net.onnx")
        done = sr("upscale", lr, "-m", "net.onnx", "-o", "sr.png")
        assert (done.returncode, done.error_codes) == (1, ["unreadable-graph"])


def test_cuda_requires_its_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    onnx.save(nearest(2), tmp_path / "net.onnx")
    graph = Graph(tmp_path / "net.onnx", read_signature(tmp_path / "net.onnx"))
    lr = np.zeros((1, 3, 4, 4), np.float32)
    with pytest.raises(SrError) as refused:
        graph.run(lr, "cuda:1")
    assert refused.value.code == "provider-missing"

    asked: list[Any] = []

    class Session:
        def __init__(self, content: str, options: Any, providers: list[Any]) -> None:
            asked.extend(providers)

        def get_providers(self) -> list[str]:
            return working

        def run(self, outputs: None, inputs: dict[str, Any]) -> list[Any]:
            return [inputs["x"]]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(
        onnxruntime,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    # Where CUDA's libraries are missing, ONNX Runtime goes on with the CPU.
    working = ["CPUExecutionProvider"]
    with pytest.raises(SrError) as refused:
        graph.run(lr, "cuda:1")
    assert refused.value.code == "provider-missing"
    working = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    asked.clear()
    assert graph.run(lr, "cuda:1") is lr
    assert asked == [("CUDAExecutionProvider", {"device_id": 1}), "CPUExecutionProvider"]


def test_number_of_threads_holds_for_a_file_that_was_read_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime
    import torch

    opened: list[int] = []
    real = onnxruntime.InferenceSession

    def open_session(content: str, options: Any, providers: list[Any]) -> Any:
        opened.append(options.intra_op_num_threads)
        return real(content, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    onnx.save(nearest(2), tmp_path / "net.onnx")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        graph = Graph(tmp_path / "net.onnx", read_signature(tmp_path / "net.onnx"))
        torch.set_num_threads(2)
        for _ in range(2):
            graph.run(np.zeros((1, 3, 4, 4), np.float32))
    finally:
        torch.set_num_threads(before)
    assert opened == [3, 2]


def test_multiply_adds_are_counted(tmp_path: Path) -> None:
    """Also of matrix products; without those that do not grow with the image."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Conv", ["p", "g"], ["e"]),
        helper.make_node("Mul", ["c", "e"], ["m"]),
        helper.make_node("Transpose", ["m"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", ["t", "f"], ["y"]),
    ]
    shapes = {"w": (8, 3, 3, 3), "g": (8, 8, 1, 1), "f": (8, 5)}
    weights = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    onnx.save(model(nodes, weights=weights, result=["n", "a", "b", 5]), tmp_path / "net.onnx")
    graph = Graph(tmp_path / "net.onnx", read_signature(tmp_path / "net.onnx"))
    assert graph.multiply_adds == 8 * 27 + 8 * 5


@pytest.mark.parametrize(
    ("make", "said"),
    [(two_inputs, "2 inputs and 1 output"), (two_outputs, "1 input and 2 outputs")],
)
def test_inputs_and_outputs_are_counted(tmp_path: Path, make: Callable[[], Any], said: str) -> None:
    onnx.save(make(), tmp_path / "net.onnx")
    with pytest.raises(SrError) as refused:
        read_signature(tmp_path / "net.onnx")
    assert refused.value.facts["reason"] == said


def test_models_describes_what_goes_in_and_the_precision(sr: Run, tmp_path: Path) -> None:
    onnx.save(in_bytes(), tmp_path / "net.onnx")
    facts = sr("models", "net.onnx", "--json").document
    assert (facts["input"], facts["precision"]) == ("uint8 nhwc", "as written")
    onnx.save(in_half(), tmp_path / "net.onnx")
    assert sr("models", "net.onnx", "--json").document["input"] == "float16 nchw"


def test_8_bit_graph_says_that_it_rounds_deeper_images(sr: Run, tmp_path: Path) -> None:
    onnx.save(in_bytes(), tmp_path / "net.onnx")
    deep = np.arange(12 * 9, dtype=np.uint16).reshape(12, 9) * 601
    Image.fromarray(deep).save(tmp_path / "deep.png")
    save(tmp_path / "lr.png", 12, 9)
    done = sr("upscale", "deep.png", "lr.png", "-m", "net.onnx", "-o", "out/", "--json")
    assert done.returncode == 0, done.stderr
    notes = {
        record["input"]: [note["kind"] for note in record.get("notes", [])]
        for record in done.records
        if "input" in record
    }
    assert notes == {"deep.png": ["rounded-to-8-bit"], "lr.png": []}
