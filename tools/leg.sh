#!/bin/bash
# One leg of training on another machine:
#   tools/leg.sh PACK RECIPE INIT TRUNK SECONDS OUT [more options of sr train]
# PACK: a folder of tools/pack.py; TRUNK: of `tools/leg.py shrink`. See tools/leg.py.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH=$root PYTHONUNBUFFERED=1 SR_CACHE=${SR_CACHE:-/tmp/sr-leg} SR_OFFLINE=1
pack=$1 recipe=$2 init=$3 trunk=$4 seconds=$5 out=$6
shift 6
python3 - <<'CHECK'
import torch, PIL
from PIL import features
card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no graphics card"
print(f"leg: torch {torch.__version__}, {card}, pillow {PIL.__version__}, avif {features.check('avif')}")
CHECK
exec python3 "$root/tools/leg.py" train --data "$pack" --recipe "$recipe" --init "$init" \
    --trunk "$trunk" --seconds "$seconds" --out "$out" -- "$@"
