"""Small ONNX graphs, as other tools write them."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
ANY = ["n", 3, "h", "w"]
NEAREST = {
    "mode": "nearest",
    "nearest_mode": "floor",
    "coordinate_transformation_mode": "asymmetric",
}


def model(
    nodes: list[Any],
    *,
    shape: list[Any] | None = None,
    result: list[Any] | None = None,
    dtype: int = FLOAT,
    weights: dict[str, Any] | None = None,
    domain: str = "",
) -> Any:
    """A graph from `x` to `y`."""
    tensors = [numpy_helper.from_array(np.asarray(v), k) for k, v in (weights or {}).items()]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", dtype, shape or ANY)],
        [helper.make_tensor_value_info("y", dtype, result or ["n", 3, "a", "b"])],
        tensors,
    )
    opsets = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def nearest(scale: int = 2, *, last: bool = False, **options: Any) -> Any:
    """A graph that repeats each pixel."""
    factors = [1, scale, scale, 1] if last else [1, 1, scale, scale]
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], **NEAREST)
    return model([node], weights={"s": np.array(factors, np.float32)}, **options)


def in_bytes() -> Any:
    """8-bit pixels, channels last."""
    shapes = {"shape": ["n", "h", "w", 3], "result": ["n", "a", "b", 3]}
    return nearest(3, last=True, dtype=TensorProto.UINT8, **shapes)


def in_half() -> Any:
    return nearest(2, dtype=TensorProto.FLOAT16)


def up_to_255() -> Any:
    """A graph for values up to 255: it takes those up to 1 for black."""
    nodes = [
        helper.make_node("Floor", ["x"], ["whole"]),
        helper.make_node("Resize", ["whole", "", "s"], ["y"], **NEAREST),
    ]
    return model(nodes, weights={"s": np.array([1, 1, 2, 2], np.float32)})


def on_a_grid() -> Any:
    """A graph that takes sides that are even."""
    nodes = [
        helper.make_node("SpaceToDepth", ["x"], ["d"], blocksize=2),
        helper.make_node("DepthToSpace", ["d"], ["f"], blocksize=2, mode="DCR"),
        helper.make_node("Resize", ["f", "", "s"], ["y"], **NEAREST),
    ]
    return model(nodes, weights={"s": np.array([1, 1, 2, 2], np.float32)})
