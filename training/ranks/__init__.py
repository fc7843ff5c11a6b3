"""Processes that train together: what they tell each other, their shares, their device, their end."""
