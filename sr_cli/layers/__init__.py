"""Building blocks of networks: how they start, and exact forms that infer faster."""
