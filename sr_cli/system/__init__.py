"""What this machine gives: files written whole, memory, the cache folder."""
