"""The networks and what they see, lose and are measured by; Keras and NumPy only."""
