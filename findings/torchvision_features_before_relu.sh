#!/usr/bin/env bash
# torchvision's feature extractor returns VGG features "before activation" with the activation applied.
#
# Setting: ESRGAN's and Real-ESRGAN's perceptual loss compares VGG19 features before the activation,
# from conv1_2, conv2_2, conv3_4, conv4_4 and conv5_4 (features.2, 7, 16, 25, 34). torchvision offers
# create_feature_extractor(vgg, {"features.34": ...}) to get the output of any named layer.
#
# What one would guess: asked for a convolution's output, it returns the convolution's output; about
# half of the values are negative.
#
# What happens: VGG's ReLUs work in place, so the next layer overwrites the tensor that was handed out.
# Four of the five come back without a negative value: they are relu1_2 to relu4_4. The fifth, the
# deepest, is right, because the graph is cut behind it. So whoever checks with a single layer sees
# that it works; and asking for one layer more changes what another one returns. The loss trains on, on
# other features than its name says.
#
# Seen with torchvision 0.29.1, torch 2.14.1 (random weights: nothing is downloaded but packages).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'torch==2.14.1' 'torchvision==0.29.1' 'numpy==2.3.5'
OMP_NUM_THREADS=1 "$dir/venv/bin/python" - <<'PY'
import sys

import torch
import torchvision
from torchvision.models.feature_extraction import create_feature_extractor

print("torchvision", torchvision.__version__, "torch", torch.__version__)
print("guess: each output equals the convolution's, about half of it negative")
LAYERS = {2: "conv1_2", 7: "conv2_2", 16: "conv3_4", 25: "conv4_4", 34: "conv5_4"}
torch.manual_seed(0)
vgg = torchvision.models.vgg19(weights=None).eval()
picture = torch.rand(1, 3, 64, 64)


def extract(indices):
    with torch.inference_mode():
        return create_feature_extractor(vgg, {f"features.{i}": LAYERS[i] for i in indices})(picture)


@torch.inference_mode()
def by_hand(index):
    return vgg.features[:index + 1](picture)


together = extract(LAYERS)
verdict = {}
for index, name in LAYERS.items():
    true, alone, got = by_hand(index), extract([index])[name], together[name]
    verdict[name] = torch.equal(alone, true), torch.equal(got, true), torch.equal(got, true.relu())
    print(f"{name}: asked for alone {'right' if verdict[name][0] else 'wrong'}; with the others: "
          f"{100 * float((got < 0).float().mean()):.0f}% negative (true: {100 * float((true < 0).float().mean()):.0f}%)"
          + (", bit for bit the ReLU's output" if verdict[name][2] else ""))

checks = {
    "each layer asked for alone is right": all(v[0] for v in verdict.values()),
    "together, the first four are the ReLU's outputs": all(
        v[2] and not v[1] for n, v in verdict.items() if n != "conv5_4"),
    "and the deepest is right": verdict["conv5_4"][1],
}
for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
