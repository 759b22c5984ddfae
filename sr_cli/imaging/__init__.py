"""Pixels without networks: files, colour, resizing, degradation. Does not import torch.

An image is processed in three independent steps:

1. `decode.read_picture` decodes a file into a `Picture`: frames (arrays, upright, gray or RGB, with
   alpha and further bands), metadata, timing, and notes on what was converted.
2. `sr_cli.engine` upscales the frames, one `Frame` at a time.
3. `encode.write_picture` writes a `Picture`, without what the format does not support.

`codecs/` has one module per format, with a `write` function, and a `read_frames` function where
Pillow alone does not decode the format fully. `read_frames` yields frames one by one, and `write`
takes them in order, so that `Picture.frames` could become an iterable that decodes on demand
(video). `Picture.features` and its size would then come from the header of the container.
"""
