"""One module for a format: how it is written, and how it is read where Pillow does not suffice."""
