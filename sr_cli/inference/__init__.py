"""Pictures through networks: tiles, devices, precision, many files."""
