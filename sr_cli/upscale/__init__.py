"""`sr upscale` as a library: inputs, output names, grouping by network, results."""
