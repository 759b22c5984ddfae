"""sr export as a library: networks as files for other runtimes."""
