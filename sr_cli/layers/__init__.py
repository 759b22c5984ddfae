"""Layers that networks share: initial weights, and exact rewrites for faster inference."""
