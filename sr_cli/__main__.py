"""`python -m sr_cli` is `sr`."""

from sr_cli.cli.main import main

main()
