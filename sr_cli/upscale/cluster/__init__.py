"""Worker processes, on this machine or on a Dask cluster, that upscale the images of a plan."""
