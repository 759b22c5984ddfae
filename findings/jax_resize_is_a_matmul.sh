#!/usr/bin/env bash
# jax.image.resize costs more for each output pixel the larger the picture: it multiplies dense matrices.
#
# Setting: bicubic upscaling of the input is the skip connection of many super-resolution networks, the
# baseline in every table, and the way low-resolution pictures are made; in JAX it is
# jax.image.resize(x, shape, "cubic"), also under dm-pix and Keras' JAX backend.
#
# What one would guess: four taps along each axis, so about 16 operations for every output value,
# whatever the size of the picture; linear cheaper than cubic, Lanczos dearer, nearest almost free.
#
# What happens: the weights of an axis are laid out as a dense (input x output) matrix, zeros and all,
# and the picture is contracted with it. Enlarging n x n four times costs about 2.5 n operations for each
# output value: 160 at n = 64, 2560 at n = 1024, the same for linear, cubic and lanczos3. A whole
# picture costs n^3. Beside it, the compiled program wants temporary memory of several output planes.
# A 3x3 convolution of 64 channels costs 1152 per value: for a photo of 12 megapixels the "free" bicubic
# skip costs more than a layer of the network. The answer itself is right. XLA's own count of
# operations says so without a clock.
#
# Seen with jax and jaxlib 0.10.2 on CPU.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'jax==0.10.2' 'jaxlib==0.10.2' 'numpy==2.3.5'
JAX_PLATFORMS=cpu "$dir/venv/bin/python" - <<'PY'
import sys

import jax
import jax.numpy as jnp
import numpy as np

print("jax", jax.__version__)
print("guess: about 16 operations per output value for cubic, at any size")


def enlarge(n, method):
    return jax.jit(lambda x: jax.image.resize(x, (1, 4 * n, 4 * n, 3), method))


def cost(n, method):
    compiled = enlarge(n, method).lower(jax.ShapeDtypeStruct((1, n, n, 3), jnp.float32)).compile()
    found = compiled.cost_analysis()
    found = found[0] if isinstance(found, list) else found
    return found["flops"] / (16 * n * n * 3)


def taps(n, a=-0.5):
    """Keys' cubic as four taps each, enlarging four times, borders renormalised: as numpy would do it."""
    at = (np.arange(4 * n) + 0.5) / 4 - 0.5
    first = np.floor(at).astype(int) - 1
    index = first[:, None] + np.arange(4)
    t = np.abs(at[:, None] - index)
    w = np.where(t < 1, (a + 2) * t**3 - (a + 3) * t**2 + 1, a * (t**3 - 5 * t**2 + 8 * t - 4))
    w = w * (index >= 0) * (index < n)
    return index.clip(0, n - 1), w / w.sum(1, keepdims=True)


n = 32
x = np.random.default_rng(0).random((n, n))
index, w = taps(n)
down = (x[index] * w[:, :, None]).sum(1)
ours = (down[:, index] * w).sum(2)
theirs = np.asarray(jax.image.resize(jnp.asarray(x, jnp.float32), (4 * n, 4 * n), "cubic"))
same = float(np.abs(ours - theirs).max())
print(f"four taps and two passes (16 operations a value) give the same picture: worst difference {same:.1e}")

flops = {}
for n in (64, 256, 1024):
    for method in ("nearest", "linear", "cubic", "lanczos3"):
        flops[n, method] = cost(n, method)
    print(f"{n:4} -> {4 * n:4}: operations per output value: "
          + ", ".join(f"{m} {flops[n, m]:.4g}" for m in ("nearest", "linear", "cubic", "lanczos3")))

checks = {
    "the same picture as four taps": same < 1e-5,
    "more than 100 operations per value at 64": flops[64, "cubic"] > 100,
    "more than 2000 at 1024": flops[1024, "cubic"] > 2000,
    "it grows with the side": 12 < flops[1024, "cubic"] / flops[64, "cubic"] < 20,
    "linear costs what lanczos3 costs": abs(flops[1024, "linear"] / flops[1024, "lanczos3"] - 1) < 0.01,
    "nearest is free": flops[1024, "nearest"] < 1,
}
for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
