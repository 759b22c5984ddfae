"""Pixels without networks: files, colour, resizing, degradation."""
