"""Small networks of spandrel's architectures with random weights, as files people could have."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

_TRANSFORMER = {"embed_dim": 16, "depths": [2], "num_heads": [2], "upscale": 2}
_FDAT = {"scale": 2, "embed_dim": 16, "num_groups": 1, "depth_per_group": 1, "num_heads": 2,
         "aim_reduction_ratio": 4, "mid_dim": 16}  # fmt: skip

SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "atd": ("ATD", {**_TRANSFORMER, "category_size": 32, "num_tokens": 8,
                    "upsampler": "pixelshuffledirect"}),
    "craft": ("CRAFT", {"embed_dim": 24, "depths": [1], "num_heads": [2], "upscale": 2}),
    "dat": ("DAT", {"embed_dim": 16, "depth": [2], "num_heads": [2], "split_size": [4, 8],
                    "expansion_factor": 2.0}),
    "dctlsa": ("DCTLSA", {"nf": 20, "upscale": 2}),
    "ditn": ("DITN", {"dim": 16, "ITL_blocks": 1, "SAL_blocks": 1, "upscale": 2}),
    "drct": ("DRCT", {**_TRANSFORMER, "gc": 8, "upsampler": "pixelshuffle"}),
    "esrgan": ("ESRGAN", {"num_filters": 8, "num_blocks": 1}),
    "esrgan-x2": ("ESRGAN", {"num_filters": 8, "num_blocks": 1, "scale": 4, "in_nc": 12,
                             "shuffle_factor": 2}),
    "fdat": ("FDAT", {**_FDAT, "upsampler_type": "pixelshuffle"}),
    "fdat-dysample": ("FDAT", {**_FDAT, "upsampler_type": "dysample"}),
    "fftformer": ("FFTformer", {"dim": 16, "num_blocks": [1, 1, 1], "num_refinement_blocks": 1}),
    "hat": ("HAT", {**_TRANSFORMER, "window_size": 8, "compress_ratio": 4,
                    "squeeze_factor": 4, "upsampler": "pixelshuffle"}),
    "moesr": ("MoESR", {"scale": 2, "dim": 16, "n_blocks": 1, "n_block": 1}),
    "mosr": ("MoSR", {"upscale": 2, "n_block": 2, "dim": 16}),
    "nafnet": ("NAFNet", {"width": 8, "enc_blk_nums": [1], "dec_blk_nums": [1]}),
    "omnisr": ("OmniSR", {"num_feat": 16, "up_scale": 2}),
    "plksr": ("PLKSR", {"dim": 16, "n_blocks": 2, "upscaling_factor": 2}),
    "realplksr": ("PLKSR.RealPLKSR", {"dim": 16, "n_blocks": 2, "upscaling_factor": 2}),
    "rcan": ("RCAN", {"scale": 2, "n_resgroups": 1, "n_resblocks": 1, "n_feats": 16,
                      "norm": False}),
    "rcan-unshuffled": ("RCAN", {"scale": 2, "n_resgroups": 1, "n_resblocks": 1, "n_feats": 16,
                                 "unshuffle_mod": True}),
    "real-cugan": ("RealCUGAN.UpCunet2x", {}),
    "rgt": ("RGT", {"embed_dim": 16, "depth": [2], "num_heads": [2]}),
    "safmn": ("SAFMN", {"dim": 8, "n_blocks": 2, "upscaling_factor": 2}),
    "safmn-bcie": ("SAFMNBCIE", {"dim": 8, "n_blocks": 1, "num_layers": 1}),
    "scunet": ("SCUNet", {"config": [1] * 7, "dim": 64}),
    "seemore": ("SeemoRe", {"scale": 2, "num_experts": 3, "num_layers": 1, "embedding_dim": 16}),
    "span": ("SPAN", {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 8, "upscale": 2}),
    "swift-srgan": ("SwiftSRGAN", {"num_channels": 8, "num_blocks": 1, "upscale_factor": 2}),
    "swin2sr": ("Swin2SR", {**_TRANSFORMER, "window_size": 8, "upsampler": "pixelshuffledirect"}),
    "swinir": ("SwinIR", {**_TRANSFORMER, "window_size": 8, "upsampler": "pixelshuffledirect"}),
}  # fmt: skip
"""By name: the module of spandrel (and the class, if it has another name), and small settings."""


def build(name: str) -> torch.nn.Module:
    """A small network with random weights."""
    place, settings = SMALL[name]
    folder, _, kind = place.partition(".")
    module = importlib.import_module(f"spandrel.architectures.{folder}")
    torch.manual_seed(0)
    net: torch.nn.Module = getattr(module, kind or folder)(**settings)
    return net.eval()


def write_checkpoint(name: str, path: Path) -> Path:
    """A small network as a .safetensors file."""
    tensors = build(name).state_dict()
    save_file({n: t.contiguous().clone() for n, t in tensors.items()}, path)
    return path
