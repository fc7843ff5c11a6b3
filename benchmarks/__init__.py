"""Every figure in the documents is printed by a command of these."""
