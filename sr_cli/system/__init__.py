"""Files, memory and the cache folder of this machine."""
