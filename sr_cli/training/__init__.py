"""`sr train` as a library: recipes, data, losses, the training loop, runs."""
