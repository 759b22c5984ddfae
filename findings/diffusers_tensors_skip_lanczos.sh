#!/usr/bin/env bash
# diffusers' VaeImageProcessor: `resample="lanczos"` holds for PIL images; arrays and tensors lose rows and columns.
#
# Setting: the pipelines for enlarging and image to image (StableDiffusionUpscalePipeline and others) accept the picture
# as PIL image, numpy array or torch tensor, and bring its sides to a multiple of 8 (or to the size asked for) with
# VaeImageProcessor, whose `resample`, "lanczos" by default, is the "resampling filter to use when resizing".
#
# What one would guess: the same picture in three types is the same picture, to a level or two; `resample` decides.
#
# What happens: for arrays and tensors `resample` is never looked at: F.interpolate with its default, nearest,
# picks samples. 519 x 519 becomes 512 x 512 by leaving seven rows and seven columns out: a line of one
# pixel is gone where the PIL image keeps it softened. Halved, stripes of one pixel are black (or white), not
# gray: every second column is thrown away. Only resize_mode "fill" and "crop" are documented (and raise) as
# for PIL images alone.
#
# Matters: who keeps 16 bits or floats, or chains pipelines without 8-bit pictures in between, gets worse input than
# who goes by way of PIL: jagged lines, moire, a geometry that jumps by a pixel at each place left out.
# Documentation: VaeImageProcessor, "resample (str, defaults to lanczos): Resampling filter to use when resizing the
# image"; resize(): "The image input, can be a PIL image, numpy array or pytorch tensor."
#
# Seen with diffusers 0.42.1, torch 2.14.1, pillow 13.0.0, numpy 2.4.6.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'diffusers==0.42.1' 'torch==2.14.1' 'pillow==13.0.0' \
    'numpy==2.4.6'
OMP_NUM_THREADS=1 "$dir/venv/bin/python" - <<'PY'
import sys

import diffusers
import numpy as np
import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

print("diffusers", diffusers.__version__, "torch", torch.__version__)
print("guess: a picture is the same picture as PIL image, array or tensor: equal to a level or two")
SIDE = 519  # not a multiple of 8
thin = np.ones((SIDE, SIDE), np.float32)
thin[:, ::37] = 0  # fifteen dark lines, one pixel wide
thin = np.repeat(thin[..., None], 3, 2)


def three(picture, size=None, **options):
    """The picture as a network gets it, given as PIL image, as array and as tensor; 0 to 1."""
    processor = VaeImageProcessor(vae_scale_factor=8, **options)
    pil = Image.fromarray(np.rint(picture * 255).astype(np.uint8))
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None]
    return [processor.preprocess(x, height=size, width=size) / 2 + 0.5 for x in (pil, picture, tensor)]


def apart(a, b):
    return float((a - b).abs().max())


checks = {}
given = torch.from_numpy(thin).permute(2, 0, 1)[None]
pil, array, tensor = three(thin)
kept = torch.linspace(0, SIDE, 513)[:-1].floor().long()
print(f"{SIDE} x {SIDE} becomes {tuple(pil.shape[2:])}; largest difference to the PIL image's: array "
      f"{apart(array, pil):.2f}, tensor {apart(tensor, pil):.2f}")
print(f"array and tensor are the input less {SIDE - 512} rows and columns:",
      torch.equal(array, given[..., kept, :][..., kept]), torch.equal(tensor, given[..., kept, :][..., kept]))
checks["array and tensor: rows and columns left out, nothing else"] = all(
    torch.equal(x, given[..., kept, :][..., kept]) for x in (array, tensor))
checks["a difference of more than 0.4 to the PIL image's"] = min(apart(array, pil), apart(tensor, pil)) > 0.4

filters = ("lanczos", "bicubic", "bilinear", "nearest")
pils, _, tensors = zip(*(three(thin, resample=name) for name in filters))
print("resample lanczos, bicubic, bilinear, nearest differ: PIL", not any(torch.equal(pils[0], x) for x in pils[1:]),
      "tensor", not all(torch.equal(tensors[0], x) for x in tensors[1:]))
checks["resample changes the PIL image's result"] = not any(torch.equal(pils[0], x) for x in pils[1:])
checks["and not the tensor's"] = all(torch.equal(tensors[0], x) for x in tensors[1:])

fine = np.repeat(np.broadcast_to((np.arange(1024) % 2).astype(np.float32), (1024, 1024))[..., None], 3, 2).copy()
pil, array, tensor = (float(x[..., 8:-8].mean()) for x in three(fine, size=512))
print(f"stripes of 0 and 1, 1024 to 512: mean {pil:.2f} (PIL), {array:.2f} (array), {tensor:.2f} (tensor)")
checks["halved stripes: gray as PIL image, black as array and tensor"] = abs(pil - 0.5) < 0.02 and array == tensor == 0
for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
