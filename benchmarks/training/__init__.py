"""How fast networks train, on one rank and on more."""
