"""The entry of the command: `sr`, or `python -m sr_cli`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command. Ctrl-C while it is imported ends it as it does later."""
    try:
        from sr_cli.cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        raise SystemExit(130) from None
    run()


if __name__ == "__main__":
    main()
