"""Training chips: card, kinds, splits, and the skies and tones drawn over them."""
