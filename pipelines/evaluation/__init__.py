"""How good maps are: what is counted, what it says, and where the maps come from."""
