"""Which model a name means, and how its weights become a network."""
