"""How fast scenes are labelled, against other ways and the floor."""
