"""One page that says what ran, what came out and how good it is."""
