"""How right products of maps are where the truth is known."""
