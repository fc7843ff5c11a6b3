"""What a training is told, and what of it decides the weights."""
