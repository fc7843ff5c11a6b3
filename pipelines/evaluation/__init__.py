"""How good maps are: what is counted of a scene, and what the counts say."""
