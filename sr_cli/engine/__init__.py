"""One picture through one network: tiles, device, precision, size."""
