"""The only place that fetches, verifies, pins and forgets files from elsewhere.

`store.get(remote)` gives the verified file in the cache, whether it comes from https, from the
Hugging Face hub or from a path on this machine. `remote` says what is known of a file, `transfer`
moves bytes, `pins` remembers what was seen where nothing else vouches for a content.
"""
