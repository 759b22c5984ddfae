"""Models by name: the manifest, checkpoints, and files of other tools."""
