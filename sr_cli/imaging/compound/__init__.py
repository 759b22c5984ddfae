"""Compound files: JPEG with an HDR gain map, motion photos, and what else follows an image."""
