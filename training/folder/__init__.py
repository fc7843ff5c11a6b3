"""The model folder: opened, filled, and gone on from."""
