"""The only place that fetches, verifies, pins and forgets files from elsewhere.

`get(remote)` gives the verified file in the cache, whether it comes from https, from the Hugging
Face hub or from a path on this machine. `remote` says what is known of a file, `transfer` moves
bytes, `pins` remembers what was seen where nothing else vouches for a content.
"""

from sr_cli.store.pins import pinned
from sr_cli.store.remote import Remote
from sr_cli.store.store import cached_addresses, forget, get, is_cached, is_intact, remove

__all__ = [
    "Remote",
    "cached_addresses",
    "forget",
    "get",
    "is_cached",
    "is_intact",
    "pinned",
    "remove",
]
