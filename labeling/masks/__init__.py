"""What gets no label: clouds, land, and scenes beyond the limits."""
