"""Pixels without networks: files, colour, resizing, degradation. Imports neither torch nor a model.

An image passes through here in three steps, and each knows nothing of the others:

1. `decode.read_picture` makes a `Picture` of a file: frames (arrays, upright, gray or RGB, 8 or 16
   bits) and beside them metadata, timing, and notes of what was changed on the way.
2. `sr_cli.engine` turns frames into larger frames. It sees one `Frame` at a time.
3. `encode.write_picture` writes a `Picture`, having dropped what the format does not support.

`codecs/` has one module for a format: a `write`, and a `read_frames` where Pillow alone does not
decode it well enough. `read_frames` yields frames one by one and each codec's `write` goes through
them in order, so that `Picture.frames` may one day be an iterable that decodes as it goes (video):
what needs to know about all frames at once, `Picture.features` and its size, would then be declared
by the container's header.
"""
