"""sr: upscales images with neural networks."""

__version__ = "0.1.0"
