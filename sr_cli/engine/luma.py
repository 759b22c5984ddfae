"""Networks that compute luma in the samples in which clips store it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import torch

from sr_cli.engine.device import pick_precision
from sr_cli.engine.pipeline import ChainPipeline, NetworkPipeline, Pipeline
from sr_cli.engine.probe import compare_half
from sr_cli.engine.upscaler import Upscaler
from sr_cli.networks.base import SRModel
from sr_cli.registry.loaded import LoadedModel
from sr_cli.registry.onnx_model import OnnxModel


def for_luma(pipeline: Pipeline, black: float, white: float, *, lossy: bool) -> Pipeline:
    """The pipeline for luma as a clip stores it, so that samples need no conversion.

    Args:
        pipeline: Of networks on luma.
        black, white: The samples of black and white, as shares of the largest sample.
        lossy: Whether the result is encoded with loss: half precision may then change as much as
            for networks of other tools, which is far less than what the encoder changes.
    """

    def adapted(upscaler: Upscaler) -> Upscaler:
        return upscaler.with_models(
            [_adapted(model, upscaler.device, black, white, lossy) for model in upscaler.loaded]
        )

    if isinstance(pipeline, NetworkPipeline):
        return NetworkPipeline(adapted(pipeline.upscaler), pipeline.wrap)
    if isinstance(pipeline, ChainPipeline):
        last = for_luma(pipeline.last, black, white, lossy=lossy)
        return ChainPipeline([adapted(upscaler) for upscaler in pipeline.first], last)
    return pipeline


def _adapted(
    model: LoadedModel, device: torch.device, black: float, white: float, lossy: bool
) -> LoadedModel:
    traits = model.traits
    first, last = traits.value_range
    step = (last - first) / (white - black)
    start = first - step * black
    # A graph has the precision in which it was written.
    measured = lossy and not isinstance(model.network, OnnxModel)
    half = traits.half_is_safe or (measured and _may_be_half(model.network, device))
    traits = replace(traits, value_range=(start, start + step), half_is_safe=half)
    # Files of other tools were measured before.
    return replace(model, traits=traits, sha256="")


@lru_cache(maxsize=8)
def _may_be_half(network: SRModel, device: torch.device) -> bool:
    dtype = pick_precision(device)
    return dtype != torch.float32 and compare_half(network, dtype, device).is_safe
