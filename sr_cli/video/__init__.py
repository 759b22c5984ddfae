"""Clips: video streams upscaled frame by frame, everything else copied as packets (PyAV)."""
