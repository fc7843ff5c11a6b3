"""Whatever has pixels becomes a Scene: a description, and windows of an 8-bit picture."""
