"""Checkpoints: files that describe themselves, the manifest that lists them, loading by name."""
