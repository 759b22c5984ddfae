"""`sr upscale` as a library: inputs found, outputs named, pictures upscaled one after the other."""
