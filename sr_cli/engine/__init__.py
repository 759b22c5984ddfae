"""Inference: one image through one network, with tiles, devices, precision and sizes."""
