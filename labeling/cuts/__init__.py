"""Where cut points on brightness should lie, and whether they can be right."""
