"""The engine on a GPU: does it match the CPU, does it survive a full card, how fast is it?

    python benchmarks/gpu.py [--out FOLDER] [--seconds 100]
    python benchmarks/gpu.py --device cpu --tiny       # the same steps, to try the script itself

Every check stands alone with a time limit of its own: one that fails or takes too long becomes a
line, and a table always comes last (and `gpu.json` in the folder). Differences are in 8-bit levels,
measured on 16-bit images. Times are medians after a warm-up: the network alone between tensors on
the device, end to end from a uint8 image in host memory to another. `overlapped` is a draft of how
the engine could carry pixels. The checks are in `gpu_checks/`, and `order.py` there lists them.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    began = time.perf_counter()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="sizes for trying the script")
    parser.add_argument("--seconds", type=float, default=100.0, help="for everything together")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "gpu-results")))
    options = parser.parse_args()
    # A bare checkout is enough, and nothing that was measured on the machine before counts.
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory(prefix="sr-gpu-") as cache:
        os.environ.setdefault("SR_CACHE", cache)
        run(options, began)
    # Compilers' helpers and CUDA's own threads are not waited for.
    sys.stdout.flush()
    os._exit(0)


def run(options: argparse.Namespace, began: float) -> None:
    """Run all checks, and end the process if a call does not return."""
    # These imports are timed, and need the path and the cache.
    from gpu_checks.board import Board
    from gpu_checks.device import choose_setting
    from gpu_checks.order import run_all

    board = Board(options.out, options.seconds, began)

    def give_up() -> None:
        board.lines.append("stopped: a call did not return")
        board.end()
        os._exit(1)

    watch = threading.Timer(options.seconds + 15, give_up)
    watch.daemon = True
    watch.start()
    try:
        run_all(board, choose_setting(options.device, tiny=options.tiny))
    finally:
        watch.cancel()
        board.end()


if __name__ == "__main__":
    main()
