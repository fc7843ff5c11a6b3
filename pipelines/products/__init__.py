"""Products of a run: one module a product, its plan and its worker, and the frame they share."""
