"""The only place that fetches, verifies, pins and forgets files from elsewhere."""
