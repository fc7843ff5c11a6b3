"""How right labels and maps are where the truth is known."""
