"""sr: upscales pictures with neural networks.

    from sr_cli import upscale_image
    large = upscale_image(image, model="srgan", scale=4)

Importing this loads neither torch nor numpy; the first call does.
"""

from sr_cli.api import upscale_image

__all__ = ["__version__", "upscale_image"]
__version__ = "0.1.0"
