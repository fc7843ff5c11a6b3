"""One scene through all steps, whole or in blocks."""
