"""FP16: the inner layers of a graph in float16, and what rounding does to them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable
from typing import Any

from sr_cli.export.onnx_file import layers_of


def in_half(model: Any) -> Any:
    """The graph with what lies between its first and its last layer in float16.

    What carries most of the image beside that, as a global skip does, must not be rounded.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    inner = _inner_nodes(model)
    exact = [node.name for node in model.graph.node if node.name not in inner]
    half = convert_float_to_float16(copy.deepcopy(model), keep_io_types=True, node_block_list=exact)
    tools = OnnxModel(half)
    # Values between two nodes in float32 are cast to float16 and back.
    tools.remove_cascaded_cast_nodes()
    # The cast of the input is put last, behind the nodes that read it, and the types of what lies
    # between nodes are those of before.
    tools.topological_sort()
    del half.graph.value_info[:]
    return half


def rounded(model: Any) -> Any:
    """The graph in float32, where each value that `in_half` has in float16 is rounded to it.

    On x86, ONNX Runtime computes chains of layers in float32, where nothing is rounded and nothing
    overflows. Casts that are in the file it does not remove.
    """
    import onnx

    model = copy.deepcopy(model)
    inner, graph = _inner_nodes(model), model.graph
    floats = {v.name for v in graph.value_info if v.type.tensor_type.elem_type == 1}
    floats |= {v.name for v in graph.initializer if v.data_type == 1}
    results = {o for node in graph.node if node.name in inner for o in node.output}
    nodes, done = [], set()
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name not in floats or (name not in results and node.name not in inner):
                continue
            node.input[place] = f"{name}_rounded"
            if name not in done:
                done.add(name)
                half = f"{name}_half"
                nodes.append(onnx.helper.make_node("Cast", [name], [half], to=10))
                nodes.append(onnx.helper.make_node("Cast", [half], [node.input[place]], to=1))
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _inner_nodes(model: Any) -> set[str]:
    """The layers between the first and the last, and the nodes on the ways between those."""
    layers, nodes = layers_of(model)[1:-1], model.graph.node
    behind = _reached(nodes, layers, lambda node: (node.input, node.output))
    before = _reached(reversed(nodes), layers, lambda node: (node.output, node.input))
    return behind & before


def _reached(
    nodes: Iterable[Any], layers: Collection[str], ends: Callable[[Any], tuple[Any, Any]]
) -> set[str]:
    """The layers and what follows them, where `ends` gives the side of a node that is met first."""
    values: set[str] = set()
    names: set[str] = set()
    for node in nodes:
        near, far = ends(node)
        if node.name in layers or values.intersection(near):
            names.add(node.name)
            values.update(far)
    return names
