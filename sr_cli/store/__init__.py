"""The only room that downloads, verifies, pins and removes files.

`store.get(remote)` returns the verified file in the cache, from https, from the Hugging Face hub
or from a path on this machine. `remote` describes a file, `transfer` downloads it, `pins` records
the sha256 first seen at addresses without a known one.
"""
