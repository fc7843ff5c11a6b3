"""Processes that train together: what they tell each other, their shares, device and end."""
