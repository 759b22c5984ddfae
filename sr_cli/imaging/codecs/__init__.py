"""Codecs, one module per format: writing, and reading where Pillow does not suffice."""
