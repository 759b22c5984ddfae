"""From a folder of pictures to a checkpoint: recipes, data, losses, the loop."""
