"""The entry of the command: `sr`, or `python -m sr_cli`."""

from __future__ import annotations

import os
import sys

from sr_cli.system.start import without_collection


def main() -> None:
    """Run the command. Ctrl-C while it is imported ends it as it does later."""
    try:
        with without_collection():
            from sr_cli.cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.stderr.flush()
        # Nothing has been written yet. Python would remember an interrupted exec() as unhandled.
        os._exit(130)
    run()


if __name__ == "__main__":
    main()
